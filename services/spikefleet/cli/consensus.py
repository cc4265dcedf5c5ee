"""``spikefleet consensus``: several sorts of one recording joined into the units they agree on.

What comes of it is a curation of the first run, made like any other that was decided outside the
thresholds; nobody has to choose it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from spikefleet.cli.connection import connected, transfers
from spikefleet.cli.options import address_option, needs_extra, output_option
from spikefleet.cli.printing import Output, next_command, table
from spikefleet.client.sorting import SortingClient
from spikefleet.core.text import counted

if TYPE_CHECKING:
    from spikefleet.signal.units.consensus import UnitSupport
    from spikefleet.signal.units.fetched_results import FetchedResults

_FEWEST = 2


@click.command()
@click.argument("run_ids", metavar="RUN RUN...", nargs=-1, required=True)
@click.option("--name", default="", help="Name of the curation.  [default: its id]")
@click.option(
    "--agreement",
    type=click.FloatRange(min=0.1, max=1.0),
    default=0.5,
    show_default=True,
    help="Least share of both units' spikes that both have, for one to support the other.",
)
@click.option(
    "--sorts",
    "least_runs",
    type=click.IntRange(min=_FEWEST),
    default=_FEWEST,
    show_default=True,
    help="Fewest sorts that must have a unit, the first one's counted.",
)
@address_option
@output_option
def consensus(run_ids: tuple[str, ...], address: str | None, output: str, **given: Any) -> None:
    """Join sorts of one recording into the units they agree on, as a curation of the first run.

    Each run's curated units are compared. A unit of the first run is kept where other sorts have
    it, too; which, and how far they agree, stands in curation.json.
    """
    if len(set(run_ids)) < _FEWEST:
        raise click.UsageError("name two runs or more of one recording.")
    if given["least_runs"] > len(run_ids):
        raise click.UsageError(f"--sorts {given['least_runs']} of {len(run_ids)} runs.")
    with needs_extra("science"):
        from spikefleet.signal.units.consensus import agreed_curation  # noqa: PLC0415
        from spikefleet.signal.units.fetched_results import load_results  # noqa: PLC0415

    out = Output(output)
    with (
        connected(address) as client,
        tempfile.TemporaryDirectory(prefix="spikefleet-consensus-") as scratch,
    ):
        results = {}
        for run_id in dict.fromkeys(run_ids):
            _fetch(client, run_id, Path(scratch) / run_id, out)
            results[run_id] = load_results(Path(scratch) / run_id)
        _require_one_recording(results)
        hand, support = agreed_curation(
            results, least_agreement=given["agreement"], least_runs=given["least_runs"]
        )
        made, existed = client.curate(run_ids[0], name=given["name"], by_hand=hand.to_json())
    told = {unit: [one.to_json() for one in others] for unit, others in support.items()}
    sentence = (
        f"The curation {made.name} {'was there already' if existed else 'was made'}: "
        f"{made.n_curated} of {counted(len(support), 'curated unit')} of {run_ids[0]} are in at "
        f"least {given['least_runs']} of {len(results)} sorts."
    )
    document = {**made.to_json(), "existed": existed, "support": told}
    fetch = next_command(f"spikefleet fetch {run_ids[0]} --curation {made.name}")
    out.emit(document, _table(support), sentence, fetch)


def _fetch(client: SortingClient, run_id: str, folder: Path, out: Output) -> None:
    with transfers(out) as progress:
        client.fetch(run_id, folder, progress)


def _require_one_recording(results: Mapping[str, FetchedResults]) -> None:
    """Refuse sorts of different recordings, streams or rates, and runs without units."""
    found = {}
    for run_id, result in results.items():
        if not result.units or result.timeline is None:
            raise click.UsageError(f"{run_id} has no sorted units.")
        recording, run = result.provenance["recording"], result.provenance["run"]
        rate_hz = result.timeline.sampling_rate_hz
        found[run_id] = (recording.get("digest"), str(run.get("stream") or ""), rate_hz)
    first, *others = found.items()
    for run_id, what in others:
        if what != first[1] or not what[0]:
            raise click.UsageError(
                f"{first[0]} and {run_id} are sorts of different recordings or streams."
            )


def _table(support: Mapping[str, Sequence[UnitSupport]]) -> Table:
    shown = table("unit", ">sorts", "the others, with their agreement")
    for unit, others in support.items():
        told = ", ".join(f"{o.run_id} {o.unit_id} ({o.agreement:.2f})" for o in others)
        shown.add_row(unit, str(len(others) + 1), told or "-")
    return shown
