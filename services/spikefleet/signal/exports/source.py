"""What an export is made of: a fetched run's units with spikes, templates and metrics.

Reads the folder that ``spikefleet fetch`` left and nothing else; no sample of the recording.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from spikefleet.core.config.products import CompilationConfig
from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.core.failures.errors import InputCorruptError, InputMissingError
from spikefleet.signal.units.edited_units import edits_of, units_of_curation
from spikefleet.signal.units.fetched_results import (
    CURATION,
    REPORT_RECORD,
    FetchedResults,
    FetchedUnit,
    load_results,
    read_document,
    unreadable,
)
from spikefleet.signal.units.quality import UnitQuality, measure_units
from spikefleet.signal.units.unit_data import IntArray, UnitData, read_units
from spikefleet.signal.units.unit_edits import UnitEdits

ANALYZER = "sort/analyzer"
_TIMELINE = "sort/timeline.json"


@dataclass(frozen=True)
class ExportedUnit:
    """One unit: ``index`` is its row in ``UnitData``, ``quality`` what was measured of it.

    ``frames`` are its spikes as original frames, ascending, and ``samples`` the same as samples of
    what was sorted.
    """

    index: int
    quality: UnitQuality
    fetched: FetchedUnit
    frames: IntArray
    samples: IntArray


@dataclass(frozen=True)
class ExportSource:
    """A run to export. ``units`` come negative peaks first, each by falling amplitude."""

    results: FetchedResults
    data: UnitData
    units: tuple[ExportedUnit, ...]
    edits: UnitEdits = field(default_factory=UnitEdits)  #: what made units of those of the sort
    waveform: WaveformConfig = field(default_factory=WaveformConfig)  #: of the run, as the next
    curation: CurationConfig = field(default_factory=CurationConfig)
    compilation: CompilationConfig = field(default_factory=CompilationConfig)
    first_sample: int = 0  #: sample of what was sorted that ``data`` begins at

    def observed_s(self) -> list[tuple[float, float]]:
        """Return the unbroken stretches that were sorted, in original seconds; none spans files."""
        timeline, rate_hz = self.data.timeline, self.data.sampling_rate_hz
        if timeline is None:
            return [(0.0, self.data.duration_s)]
        return [(start / rate_hz, end / rate_hz) for _, (start, end) in timeline.pieces()]


def read_source(folder: Path, *, with_failed: bool = False) -> ExportSource:
    """Read a fetched run; ``with_failed`` takes the units that curation rejected too.

    Raises InputMissingError where it has no sorted units to export (the run ended before), and
    InputCorruptError where a file in it is not what a run leaves.
    """
    results = load_results(folder)
    if not (folder / ANALYZER).is_dir():
        raise InputMissingError(
            f"{results.run_id or folder} has no sorted units to export: it ended as "
            f"{results.status or 'unknown'}. See why with: spikefleet status {results.run_id}",
            path=str(folder / ANALYZER),
        )
    try:
        data = read_units(folder / ANALYZER, read_document(folder, _TIMELINE))
        curation = read_document(folder, CURATION)
        data = units_of_curation(data, curation)
    except InputCorruptError as error:
        told = error.message.removesuffix("; sort the run again.")
        raise unreadable(folder / ANALYZER, f"{told}: {error.reason}") from error
    waveform, curating, compilation = _settings(folder)
    quality = measure_units(data, waveform, curating)
    units = sorted(
        _units(results, data, quality, with_failed=with_failed),
        key=lambda unit: (unit.quality.has_positive_peak, -unit.quality.amplitude_uv),
    )
    edits = edits_of(curation)
    return ExportSource(results, data, tuple(units), edits, waveform, curating, compilation)


def _settings(folder: Path) -> tuple[WaveformConfig, CurationConfig, CompilationConfig]:
    """The run's settings of units and exports, those not in its record at their defaults."""
    config = read_document(folder, REPORT_RECORD).get("config") or {}
    try:
        waveform = WaveformConfig.model_validate(config.get("waveform") or {})
        curation = CurationConfig.model_validate(config.get("curation") or {})
        compilation = CompilationConfig.model_validate(config.get("compilation") or {})
    except (ValueError, AttributeError) as error:
        raise unreadable(folder / REPORT_RECORD, "its settings of units are none") from error
    return waveform, curation, compilation


def _units(
    results: FetchedResults,
    data: UnitData,
    quality: tuple[UnitQuality, ...],
    *,
    with_failed: bool,
) -> Iterator[ExportedUnit]:
    trains = zip(data.original_trains(), data.trains(), strict=True)
    for index, (measured, (frames, samples)) in enumerate(zip(quality, trains, strict=True)):
        fetched = results.units.get(measured.unit_id)
        if fetched is not None and (fetched.passed or with_failed):
            yield ExportedUnit(index, measured, fetched, frames, samples)
