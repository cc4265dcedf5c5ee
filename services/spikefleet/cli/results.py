"""``spikefleet fetch`` and ``report``: a run's files on this machine, each verified."""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from spikefleet.cli.connection import connected, transfers
from spikefleet.cli.options import address_option, output_option
from spikefleet.cli.printing import Output, bytes_text
from spikefleet.client.views import RunView
from spikefleet.core.runs import RunState
from spikefleet.infra.rpc.errors import ServiceError


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@address_option
@output_option
def fetch(run_id: str, folder: Path | None, address: str | None, output: str) -> None:
    """Copy a run's files to FOLDER (default: a folder named like the run), each verified."""
    target, out = folder or Path(run_id), Output(output)
    with connected(address) as client, transfers(out) as progress:
        files = client.fetch(run_id, target, progress)
        run = None if files else client.get(run_id).run
    size_bytes = sum(file.size_bytes for file in files)
    document = {
        "run_id": run_id,
        "folder": str(target),
        "size_bytes": size_bytes,
        "files": [
            {"path": str(f.path), "size_bytes": f.size_bytes, "sha256": f.sha256, "new": f.is_new}
            for f in files
        ],
    }
    kept = sum(not file.is_new for file in files)
    already = f", {kept} were there already" if kept else ""
    sentence = f"{len(files)} files, {bytes_text(size_bytes)} in {target}{already}"
    if run is not None:
        sentence = f"{run_id} has no files yet: it is {run.state}"
        sentence += "" if run.is_terminal else f". Wait with: spikefleet watch {run_id}"
    out.emit(document, sentence)


def _no_report(run: RunView, error: ServiceError) -> ServiceError:
    """Say why this run has no report, which only its state can tell."""
    if run.state is RunState.CANCELLED:
        message = f"{run.run_id} was cancelled before its report was made."
        next_step = f"Start it again with: spikefleet retry {run.run_id}"
    elif run.is_terminal:
        message = f"{run.run_id} ended as {run.state}, and its report could not be made."
        next_step = f"Make it again with: spikefleet retry {run.run_id} --stage report"
    else:
        message = f"{run.run_id} is {run.state}; its report is made when it ends."
        next_step = f"Wait with: spikefleet watch {run.run_id}"
    return ServiceError(error.reason, message, next_step=next_step, request_id=error.request_id)


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--open-path", is_flag=True, help="Print nothing but the page's path.")
@address_option
@output_option
def report(
    run_id: str, folder: Path | None, open_path: bool, address: str | None, output: str
) -> None:
    """Copy a run's report to FOLDER (default: a folder named like the run) and say where it is."""
    target, out = folder or Path(run_id), Output(output)
    with connected(address) as client:
        try:
            answer = client.report(run_id)
        except ServiceError as error:
            if error.reason == "REPORT_NOT_FOUND":
                raise _no_report(client.get(run_id), error) from error
            raise
        prefix = answer.html_key.rpartition("/")[0]
        files = client.fetch(run_id, target, within=prefix)
    name = answer.html_key.rpartition("/")[2]
    page = next((file.path.absolute() for file in files if file.path.name == name), None)
    document = {
        "run_id": run_id,
        "html": None if page is None else str(page),
        "files": [str(file.path.absolute()) for file in files],
        "report": dict(answer.report),
    }
    shown = str(page) if open_path else f"report: {page}"
    out.emit(document, Text(shown, no_wrap=True, overflow="ignore"))
