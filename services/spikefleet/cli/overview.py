"""``spikefleet overview``: several runs on one page, what failed first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import RenderableType
from rich.text import Text

from spikefleet.cli.connection import connected
from spikefleet.cli.options import address_option, output_option
from spikefleet.cli.printing import Output, next_command, table
from spikefleet.cli.selectors import Selection, selecting
from spikefleet.client.overview import OverviewLine, lines_of, sentence, to_html, to_json
from spikefleet.core.files import write_text
from spikefleet.deploy.settings import has_screen

_STYLES = {"success": "green", "failed": "bold red", "input_error": "bold red", "held": "yellow"}


@click.command()
@selecting
@click.option(
    "--to",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("overview.html"),
    show_default=True,
    help="The page to write.",
)
@click.option("--title", default="Spike sorting overview", show_default=True, help="Its title.")
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
@address_option
@output_option
def overview(address: str | None, output: str, **given: Any) -> None:
    """Show several runs (a plate, a session, a night) on one page, what failed first.

    RUNS are run or batch ids, or chosen by the options, as for the other commands.
    """
    page, title, opened = given.pop("page"), given.pop("title"), given.pop("opened")
    out = Output(output)
    with connected(address) as client:
        chosen = Selection.taken(given).ids(client)
        lines = lines_of([client.get(run_id) for run_id in chosen])
    document = to_json(lines) | {"html": None}
    if not lines:
        out.emit(document, "No run matches.")
        return
    write_text(page, to_html(lines, title))
    document["html"] = str(page.absolute())
    told: list[RenderableType] = [sentence(lines), _table(lines)]
    told.append(Text(f"page: {page.absolute()}", no_wrap=True, overflow="ignore"))
    if opened and not out.is_json and not (has_screen() and click.launch(str(page)) == 0):
        told.append("No browser could be opened here; open the file on your own machine.")
    told.append(next_command(f"spikefleet report {lines[0].run_id} --open"))
    out.emit(document, *told)


def _table(lines: tuple[OverviewLine, ...]) -> RenderableType:
    made = table("run", "outcome", "recording", "stream", ">units", "cause")
    for line in lines:
        made.add_row(
            line.run_id,
            Text(line.outcome, style=_STYLES.get(line.outcome, "")),
            line.recording,
            line.stream,
            line.units,
            line.cause,
        )
    return made
