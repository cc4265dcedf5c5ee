"""``spikefleet compare``: two sortings of one recording side by side, or one with the truth."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from spikefleet.cli.connection import connected, transfers
from spikefleet.cli.options import address_option, needs_extra, output_option
from spikefleet.cli.printing import Output, table
from spikefleet.cli.selectors import is_run_or_batch
from spikefleet.core.text import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TRUTH = ".npz"


@dataclass(frozen=True)
class _Side:
    """One sorting: ``name`` as a person gave it, trains as original frames by unit."""

    name: str
    trains: Mapping[str, NDArray[Any]]
    sampling_rate_hz: float  # 0 without units
    is_truth: bool = False


@click.command()
@click.argument("first")
@click.argument("second")
@click.option(
    "--delta",
    "delta_ms",
    type=click.FloatRange(min=0, min_open=True),
    default=0.4,
    show_default=True,
    help="Spikes at most so far apart are one (ms).",
)
@click.option("--stream", default="", help="Stream of a truth file.  [default: its first]")
@click.option("--with-failed", is_flag=True, help="Take the units that curation rejected, too.")
@address_option
@output_option
def compare(first: str, second: str, address: str | None, output: str, **given: Any) -> None:
    """Say how far two sortings of one recording agree, unit by unit.

    FIRST and SECOND are each a run, a fetched folder, or the NAME.truth.npz beside a simulated
    recording. Against a truth, agreement is accuracy.
    """
    with needs_extra("science"):
        from spikefleet.signal.units.agreement import compare_sortings  # noqa: PLC0415

    out, with_failed = Output(output), bool(given["with_failed"])
    with ExitStack() as stack:
        sides = [
            stack.enter_context(_read(name, given["stream"], address, out, with_failed))
            for name in (first, second)
        ]
    ours, theirs = sides
    rates_hz = {side.sampling_rate_hz for side in sides if side.trains}
    if len(rates_hz) > 1:
        raise click.UsageError(
            f"{first} has {ours.sampling_rate_hz:g} samples per second and {second} "
            f"{theirs.sampling_rate_hz:g}: they are not of one recording."
        )
    rate_hz = rates_hz.pop() if rates_hz else 1.0
    found = compare_sortings(ours.trains, theirs.trains, rate_hz, delta_ms=given["delta_ms"])
    matched = sum(unit.agreement >= 0.5 for unit in found.units)
    mean = f", {found.mean_agreement:.3f} on average" if theirs.trains else ""
    word = "accuracy" if theirs.is_truth else "agreement"
    sentence = (
        f"{matched} of {counted(len(theirs.trains), 'unit')} of {second} found in {first} with "
        f"{word} of at least 0.5{mean}."
    )
    document = {"first": first, "second": second, "delta_ms": given["delta_ms"], **found.to_json()}
    out.emit(document, _table(found.units, word), sentence)


def _table(units: Any, word: str) -> Table:
    shown = table("second", "first", word, "precision", "recall", "spikes")
    for unit in units:
        numbers = (f"{value:.3f}" for value in (unit.agreement, unit.precision, unit.recall))
        spikes = f"{unit.second_spikes or '-'} / {unit.first_spikes or '-'}"
        shown.add_row(unit.second or "-", unit.first or "-", *numbers, spikes)
    return shown


@contextmanager
def _read(
    name: str, stream: str, address: str | None, out: Output, with_failed: bool
) -> Iterator[_Side]:
    if is_run_or_batch(name) and not Path(name).exists():
        with tempfile.TemporaryDirectory(prefix="spikefleet-compare-") as scratch:
            with connected(address) as client, transfers(out) as progress:
                client.fetch(name, scratch, progress)
            yield _folder(name, Path(scratch), with_failed)
    elif name.endswith(_TRUTH):
        yield _truth(name, stream)
    else:
        yield _folder(name, Path(name), with_failed)


def _folder(name: str, folder: Path, with_failed: bool) -> _Side:
    from spikefleet.signal.units.fetched_results import load_results  # noqa: PLC0415

    results = load_results(folder)
    units = results.units if with_failed else results.curated
    rate_hz = next((unit.sampling_rate_hz for unit in units.values()), 0.0)
    return _Side(name, {unit_id: unit.spike_frames for unit_id, unit in units.items()}, rate_hz)


def _truth(name: str, stream: str) -> _Side:
    from spikefleet.signal.simulation.truth import load_truth  # noqa: PLC0415

    truth = load_truth(Path(name), stream)
    return _Side(name, truth.spike_samples, truth.sampling_rate_hz, is_truth=True)
