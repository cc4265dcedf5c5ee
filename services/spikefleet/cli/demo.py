"""``spikefleet demo``: the whole path on a recording whose spikes are known."""

from __future__ import annotations

from pathlib import Path

import click

from spikefleet.cli.options import needs_extra
from spikefleet.cli.printing import console
from spikefleet.core.sorters.catalogue import BACKENDS, DEFAULT_SORTER


@click.command()
@click.option(
    "--sorter",
    type=click.Choice(sorted(BACKENDS)),
    default=DEFAULT_SORTER,
    show_default=True,
    help="Sorter to use.",
)
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder for the recording, the results and summary.json.",
)
@click.pass_context
def demo(context: click.Context, sorter: str, folder: Path) -> None:
    """Simulate a recording, sort it, and compare with the known spikes.

    Starts a service of its own and stops it again. Ends 1 if anything failed.
    """
    with needs_extra("embedded"):
        # Late: starts an embedded service, with the science stack.
        from spikefleet.deploy.demo import run_demo  # noqa: PLC0415

    context.exit(run_demo(sorter, folder, console(markup=True)))
