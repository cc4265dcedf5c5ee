"""``spikefleet fetch`` and ``report``: a run's files on this machine, each verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import RenderableType
from rich.text import Text

from spikefleet.cli.connection import connected, transfers
from spikefleet.cli.exports import Exporting, exporting
from spikefleet.cli.following import next_steps
from spikefleet.cli.options import ExitCode, address_option, output_option
from spikefleet.cli.printing import Output, next_command
from spikefleet.cli.selectors import Selection, is_run_or_batch, selecting
from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import FetchedFile, RunView
from spikefleet.core.attempts import SORTER_OUTPUT
from spikefleet.core.runs import RunState
from spikefleet.core.text import counted, format_size
from spikefleet.deploy.settings import has_screen
from spikefleet.infra.rpc.errors import ServiceError


@click.command()
@selecting
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to copy to, also the last argument.  [default: one named like the run]",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace files that were changed since they were fetched or exported.",
)
@click.option(
    "--curation",
    default="",
    metavar="NAME",
    help="Curation of the run to copy.  [default: the chosen one]",
)
@exporting
@address_option
@output_option
@click.pass_context
def fetch(context: click.Context, /, address: str | None, output: str, **given: Any) -> None:
    """Copy runs' files to a folder, each verified; of several runs to a folder for each in it.

    With --as, the units are also written as files of other tools.
    """
    folder, overwrite = given.pop("folder"), given.pop("overwrite")
    curation = given.pop("curation")
    export = Exporting.taken(given)
    chosen, target, out = *_parted(given, folder), Output(output)
    documents, without_files = [], []
    with connected(address) as client, transfers(out) as progress:
        run_ids = chosen.ids(client)
        for run_id in run_ids if len(run_ids) > 1 else ():
            client.get(run_id)  # a mistyped id is refused before anything is copied
        for run_id in run_ids:
            place = _place(run_id, target, several=not chosen.is_one)
            files = client.fetch(run_id, place, progress, curation=curation, overwrite=overwrite)
            documents.append(_fetched(run_id, place, files))
            without_files.append(None if files else client.get(run_id))
    _export(export, documents, hidden=out.is_json, overwrite=overwrite)
    told = zip(documents, without_files, strict=True)
    said = [line for document, run in told for line in _fetched_lines(document, run)]
    if chosen.is_one:
        out.emit(documents[0], *said)
        context.exit(ExitCode.DONE if documents[0]["files"] else ExitCode.USAGE)
    out.emit({"runs": documents}, *(said or ["No run matches."]))


def _parted(given: dict[str, Any], folder: Path | None) -> tuple[Selection, Path | None]:
    """Tell a folder at the end of the arguments from the runs before it."""
    named = given["run_ids"]
    at_end = bool(named) and not is_run_or_batch(named[-1])
    if at_end and folder is None and (len(named) > 1 or _chooses(given)):
        given["run_ids"], folder = named[:-1], Path(named[-1])
    return Selection.taken(given), folder


def _chooses(given: Mapping[str, Any]) -> bool:
    return any(value for name, value in given.items() if name != "run_ids")


def _place(run_id: str, folder: Path | None, *, several: bool) -> Path:
    if folder is None:
        return Path(run_id)
    return folder / run_id if several else folder


def _fetched(run_id: str, folder: Path, files: Sequence[FetchedFile]) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "folder": str(folder),
        "size_bytes": sum(file.size_bytes for file in files),
        "files": [
            {"path": str(f.path), "size_bytes": f.size_bytes, "sha256": f.sha256, "new": f.is_new}
            for f in files
        ],
    }


def _fetched_lines(fetched: Mapping[str, Any], run: RunView | None) -> list[RenderableType]:
    """What was copied, and the next step; ``run`` is given where there was nothing to copy."""
    if run is not None:
        lines: list[RenderableType] = [f"{run.run_id} has no files yet: it is {run.outcome}."]
        return [*lines, *next_steps([run])]
    files = fetched["files"]
    kept = sum(not file["new"] for file in files)
    already = f", {kept} of them there already" if kept else ""
    size = format_size(fetched["size_bytes"])
    folder = fetched["folder"]
    load = f"python -c \"import spikefleet; print(spikefleet.load_results('{folder}'))\""
    return [
        f"{counted(len(files), 'file')}, {size} in {folder}{already}",
        *_kept_lines(Path(folder), files),
        *(f"{name}: {path}" for name, path in fetched["exports"].items()),
        *(f"Note on {note}" for note in fetched["notes"]),
        *fetched["problems"],
        next_command(load),
    ]


def _kept_lines(folder: Path, files: Sequence[Mapping[str, Any]]) -> list[str]:
    """How large the sorter's own folder is, where it was kept: it may be most of all."""
    own = folder / "sort" / SORTER_OUTPUT
    sizes = [file["size_bytes"] for file in files if Path(file["path"]).is_relative_to(own)]
    return [f"the sorter's own output, {format_size(sum(sizes))} of it: {own}"] if sizes else []


def _export(
    export: Exporting, documents: Sequence[dict[str, Any]], *, hidden: bool, overwrite: bool
) -> None:
    """Export what was fetched, and say in each document what was written and what was not."""
    fetched = [document for document in documents if document["files"]]
    made = export.write(
        [Path(document["folder"]) for document in fetched], hidden=hidden, overwrite=overwrite
    )
    for document, told in zip(fetched, made, strict=True):
        document |= told


def _no_report(run: RunView, error: ServiceError) -> ServiceError:
    """Say why this run has no report, which only its state can tell."""
    if run.state is RunState.CANCELLED:
        message = f"{run.run_id} was cancelled before its report was made."
        next_step = f"Start it again with: spikefleet retry {run.run_id}"
    elif run.is_terminal:
        message = f"{run.run_id} ended as {run.outcome}, and its report could not be made."
        next_step = f"Make it again with: spikefleet retry {run.run_id} --stage report"
    else:
        message = f"{run.run_id} is {run.outcome}; its report is made when it ends."
        next_step = f"Wait with: spikefleet watch {run.run_id}"
    return ServiceError(error.reason, message, next_step=next_step, request_id=error.request_id)


@click.command()
@selecting
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to copy to, also the last argument.  [default: one named like the run]",
)
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
@click.option("--open-path", is_flag=True, help="Print nothing but the page's path.")
@address_option
@output_option
def report(address: str | None, output: str, **given: Any) -> None:
    """Copy runs' reports to a folder, as fetch does, and say where the pages are."""
    opened, only_path = given.pop("opened"), given.pop("open_path")
    chosen, target = _parted(given, given.pop("folder"))
    out, documents = Output(output), []
    with connected(address) as client:
        for run_id in chosen.ids(client):
            place = _place(run_id, target, several=not chosen.is_one)
            documents.append(_report(client, run_id, place))
    lines: list[RenderableType] = []
    for document in documents:
        page = document["html"]
        shown = page if only_path else f"report: {page}"
        lines.append(Text(shown, no_wrap=True, overflow="ignore"))
        if opened and not out.is_json and not (has_screen() and click.launch(page) == 0):
            lines.append("No browser could be opened here; open the file on your own machine.")
    if documents and not (only_path or opened):
        lines.append(next_command(f"spikefleet report {documents[0]['run_id']} --open"))
    if chosen.is_one:
        out.emit(documents[0], *lines)
    else:
        out.emit({"runs": documents}, *(lines or ["No run matches."]))


def _report(client: SortingClient, run_id: str, folder: Path) -> dict[str, Any]:
    """Copy one report. Raises ServiceError, telling why there is none."""
    try:
        answer = client.report(run_id)
    except ServiceError as error:
        if error.reason == "REPORT_NOT_FOUND":
            raise _no_report(client.get(run_id), error) from error
        raise
    prefix, _, name = answer.html_key.rpartition("/")
    files = client.fetch(run_id, folder, within=prefix)
    page = next((file.path.absolute() for file in files if file.path.name == name), None)
    return {
        "run_id": run_id,
        "html": None if page is None else str(page),
        "files": [str(file.path.absolute()) for file in files],
        "report": dict(answer.report),
    }
