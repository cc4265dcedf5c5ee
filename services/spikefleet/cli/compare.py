"""``spikefleet compare``: two sortings of one recording side by side, or one with the truth."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
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

    from spikefleet.signal.preparing.timeline import Timeline

_TRUTH = ".npz"
_LONGEST_DELTA_MS = 1000.0


@dataclass(frozen=True)
class _Side:
    """One sorting: trains as original frames by unit.

    ``recording`` is the digest of what was recorded, with its stream; "" where it is not known.
    """

    trains: Mapping[str, NDArray[Any]]
    sampling_rate_hz: float  # 0 without units
    is_truth: bool = False
    recording: str = ""
    stream: str = ""
    timeline: Timeline | None = None  # what of it was sorted; None: all


def _number(_context: click.Context, _option: click.Parameter, value: float) -> float:
    if math.isnan(value):
        raise click.BadParameter("nan is no number of milliseconds.")
    return value


@click.command()
@click.argument("first")
@click.argument("second")
@click.option(
    "--delta",
    "delta_ms",
    type=click.FloatRange(min=0, max=_LONGEST_DELTA_MS, min_open=True),
    callback=_number,
    default=0.4,
    show_default=True,
    help="Spikes at most so far apart are one (ms).",
)
@click.option("--stream", default="", help="Stream of a truth file.  [default: that of the run]")
@click.option("--with-failed", is_flag=True, help="Take the units that curation rejected, too.")
@address_option
@output_option
def compare(first: str, second: str, address: str | None, output: str, **given: Any) -> None:
    """Say how far two sortings of one recording agree, unit by unit.

    FIRST and SECOND are each a run, a fetched folder, or the NAME.truth.npz beside a simulated
    recording. Against a truth, agreement is accuracy. Only what both sides sorted is compared.
    """
    with needs_extra("science"):
        from spikefleet.signal.units.agreement import compare_sortings  # noqa: PLC0415

    out, with_failed = Output(output), bool(given["with_failed"])
    ours, theirs = _both((first, second), given["stream"], address, out, with_failed)
    sides = (ours, theirs)
    if ours.recording != theirs.recording and ours.recording and theirs.recording:
        raise click.UsageError(
            f"{first} and {second} are sorts of different recordings or streams."
        )
    rates_hz = {side.sampling_rate_hz for side in sides if side.trains}
    if len(rates_hz) > 1:
        raise click.UsageError(
            f"{first} has {ours.sampling_rate_hz!r} samples per second and {second} "
            f"{theirs.sampling_rate_hz!r}: they are not of one recording."
        )
    rate_hz = rates_hz.pop() if rates_hz else 1.0
    first_trains, second_trains = (
        _within(side.trains, [other.timeline for other in sides if other.timeline is not None])
        for side in sides
    )
    found = compare_sortings(first_trains, second_trains, rate_hz, delta_ms=given["delta_ms"])
    matched = sum(unit.agreement >= 0.5 for unit in found.units)
    mean = f", {found.mean_agreement:.3f} on average" if theirs.trains else ""
    word = "accuracy" if theirs.is_truth else "agreement"
    sentence = (
        f"{matched} of {counted(len(theirs.trains), 'unit')} of {second} found in {first} with "
        f"{word} of at least 0.5{mean}."
    )
    document = {"first": first, "second": second, "delta_ms": given["delta_ms"], **found.to_json()}
    out.emit(document, _table(found.units, word, (_shown(second), _shown(first))), sentence)


def _shown(name: str) -> str:
    """What a side is called above its column: a run's id, or the last part of a path."""
    return f"unit of {name if is_run_or_batch(name) else Path(name).name or name}"


def _table(units: Any, word: str, sides: tuple[str, str]) -> Table:
    """A line for each pair; ``sides`` are the heads of the second's and the first's units."""
    shown = table(*sides, word, "precision", "recall", "spikes of each")
    for unit in units:
        numbers = (f"{value:.3f}" for value in (unit.agreement, unit.precision, unit.recall))
        spikes = f"{unit.second_spikes or '-'} / {unit.first_spikes or '-'}"
        shown.add_row(unit.second or "-", unit.first or "-", *numbers, spikes)
    return shown


def _both(
    names: tuple[str, str], stream: str, address: str | None, out: Output, with_failed: bool
) -> tuple[_Side, _Side]:
    """Read both; a truth is of the stream that was asked for, else of the other side's."""
    found: dict[str, _Side] = {}
    for name in names:
        if not is_run_or_batch(name) and not Path(name).exists():
            raise click.UsageError(f"There is no run, folder or file {name}.")
    for name in names:
        if not name.endswith(_TRUTH):
            found[name] = _run(name, address, out, with_failed)
    known = next((side.stream for side in found.values()), "")
    for name in names:
        if name.endswith(_TRUTH):
            found[name] = _truth(name, stream, known)
    return found[names[0]], found[names[1]]


def _run(name: str, address: str | None, out: Output, with_failed: bool) -> _Side:
    folder = Path(name)
    # A folder of the run's own name may be what `spikefleet report` left: its page, no units.
    if not is_run_or_batch(name) or (folder / "curate").exists():
        return _folder(folder, with_failed)
    with tempfile.TemporaryDirectory(prefix="spikefleet-compare-") as scratch:
        with connected(address) as client, transfers(out) as progress:
            client.fetch(name, scratch, progress)
        return _folder(Path(scratch), with_failed)


def _within(
    trains: Mapping[str, NDArray[Any]], timelines: Sequence[Timeline]
) -> dict[str, NDArray[Any]]:
    """Keep the spikes in what every side sorted."""
    kept = dict(trains)
    for timeline in timelines:
        kept = {unit: train[timeline.to_sorted(train) >= 0] for unit, train in kept.items()}
    return kept


def _folder(folder: Path, with_failed: bool) -> _Side:
    from spikefleet.signal.units.fetched_results import load_results  # noqa: PLC0415

    results = load_results(folder)
    if results.status == "success" and not (folder / "curate").exists():
        raise click.UsageError(
            f"{folder} holds the report and no units. Fetch them with: "
            f"spikefleet fetch {results.run_id} {folder}"
        )
    units = results.units if with_failed else results.curated
    run, recording = results.provenance["run"], results.provenance["recording"]
    digest, stream = str(recording.get("digest") or ""), str(run.get("stream") or "")
    return _Side(
        {unit_id: unit.spike_frames for unit_id, unit in units.items()},
        next((unit.sampling_rate_hz for unit in units.values()), 0.0),
        recording=f"{digest} {stream}" if digest else "",
        stream=stream,
        timeline=results.timeline,
    )


def _truth(name: str, asked: str, of_run: str) -> _Side:
    """The truth of the stream asked for, else of the run's; one of a single stream is of any."""
    from spikefleet.signal.simulation.truth import load_truth, truth_streams  # noqa: PLC0415

    streams = truth_streams(Path(name))
    stream = asked or (streams[0] if len(streams) == 1 else of_run)
    truth = load_truth(Path(name), stream)
    return _Side(truth.spike_samples, truth.sampling_rate_hz, is_truth=True)
