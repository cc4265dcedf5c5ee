"""The sides of ``bench.units``: each opens the recording, measures its units and stores them.

Everything is imported before the clock starts, as in a process that has sorted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas  # noqa: F401 -- SpikeInterface imports it when it first writes
from spikeinterface.core import BinaryFolderRecording, create_sorting_analyzer
from spikeinterface.preprocessing import bandpass_filter

from bench.units_recording import open_recording, open_sorting
from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.curation.curate import curate_into
from spikefleet.infra.system.allocator import keep_freed_memory
from spikefleet.signal.preparing.prepare import PrepareOptions, prepare_recording
from spikefleet.signal.units.analyzer import build_analyzer
from spikefleet.signal.units.library_measuring import measure_in_library

SEED = 1
MANY_UNITS = 400
_WINDOW = {"ms_before": 2.0, "ms_after": 2.0}
MOST = 300
_NEEDED: dict[str, dict[str, Any]] = {
    "noise_levels": {"random_slices_kwargs": {"seed": SEED}},
    "random_spikes": {"max_spikes_per_unit": MOST, "margin_size": 60, "seed": SEED},
    "waveforms": _WINDOW,
    "templates": {"operators": ["average", "std"]},
}
_ALL: dict[str, dict[str, Any]] = {
    **_NEEDED,
    "unit_locations": {"method": "center_of_mass"},
    "spike_amplitudes": {},
    "spike_locations": {"method": "center_of_mass"},
    "correlograms": {"window_ms": 100.0, "bin_ms": 1.0, "method": "numpy"},
    "template_similarity": {},
}


def _held_mb(which: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{which}:")[1].split()[0]) / 1024


def measured(work: Callable[[], object]) -> dict[str, float]:
    """CPU seconds of ``work``, and the most MB held meanwhile above what was held before."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far, of imports, is forgotten
    before_mb, started_s = _held_mb("VmRSS"), time.process_time()
    work()
    return {"cpu_s": time.process_time() - started_s, "peak_mb": _held_mb("VmHWM") - before_mb}


def _analyze(recording: Any, source: Path, out: Path, **waveform: Any) -> None:
    keep_freed_memory()
    config = WaveformConfig(**waveform)
    build_analyzer(recording, open_sorting(source), out / "analyzer", config, SEED)


def copy_of(source: Path) -> Any:
    return BinaryFolderRecording(next((source.parent / "copy").glob("prepared-*")))


def _prepared(source: Path, out: Path) -> Any:
    options = PrepareOptions(implementation="compiled")
    keep_freed_memory()  # as the process does that sorts
    return prepare_recording(open_recording(source), RecordingConfig(), out, options).recording


def write_copy(source: Path, out: Path) -> dict[str, float]:
    """The copy that the others' rows without a filter read."""
    return measured(lambda: _prepared(source, out))


def ours_from_copy(source: Path, out: Path) -> dict[str, float]:
    """From the filtered copy, everything kept."""
    return measured(lambda: _analyze(copy_of(source), source, out))


def ours_from_copy_unkept(source: Path, out: Path) -> dict[str, float]:
    """The same without the sampled waveforms in the result."""
    return measured(lambda: _analyze(copy_of(source), source, out, save_waveform_files=False))


def ours_prepared(source: Path, out: Path) -> dict[str, float]:
    """From the recording as it came: filter, write the copy, measure on it."""
    return measured(lambda: _analyze(_prepared(source, out), source, out))


def filtered(source: Path) -> Any:
    return bandpass_filter(open_recording(source), freq_min=300.0, freq_max=6000.0)


def spikeinterface(
    opened: Callable[[Path], Any], sparse: bool, extensions: dict[str, Any]
) -> Callable[[Path, Path], dict[str, float]]:
    """SpikeInterface's analyzer of a recording, with some or all of what ours holds."""

    def side(source: Path, out: Path) -> dict[str, float]:
        recording, sorting = opened(source), open_sorting(source)
        jobs = {"n_jobs": 1, "progress_bar": False}

        def work() -> None:
            analyzer = create_sorting_analyzer(
                sorting,
                recording,
                format="binary_folder",
                folder=out / "analyzer",
                sparse=sparse,
                seed=SEED,
                job_kwargs=jobs,
            )
            analyzer.compute(extensions, **jobs)

        return measured(work)

    return side


def analyzer_of_many(source: Path, out: Path) -> dict[str, float]:
    """An analyzer of 400 units as a sort leaves it, for the curation; from the copy."""
    sorting = open_sorting(source, MANY_UNITS)

    def work() -> None:
        analyzer = build_analyzer(copy_of(source), sorting, out, WaveformConfig(), SEED)
        measure_in_library(analyzer, SEED)

    return measured(work)


def curation(source: Path, out: Path) -> dict[str, float]:
    """Curating 400 units again, in a process that has imported what it needs."""
    groups = (CurationConfig(), WaveformConfig())
    return measured(lambda: curate_into(out, source.parent / "many", {}, *groups))


# Written once, for sides that read them.
BEFORE: dict[str, Callable[[Path, Path], dict[str, float]]] = {
    "copy": write_copy,
    "many": analyzer_of_many,
}
SIDES: dict[str, Callable[[Path, Path], dict[str, float]]] = {
    "ours, prepared and measured": ours_prepared,
    "ours, from the copy": ours_from_copy,
    "ours, from the copy, waveforms not kept": ours_from_copy_unkept,
    "ours, prepared and measured, 8x": ours_prepared,
    "spikeinterface dense, filtered": spikeinterface(filtered, False, _NEEDED),
    "spikeinterface sparse, filtered": spikeinterface(filtered, True, _NEEDED),
    "spikeinterface sparse, filtered, all of ours": spikeinterface(filtered, True, _ALL),
    "spikeinterface dense, copy": spikeinterface(copy_of, False, _NEEDED),
    "spikeinterface sparse, copy": spikeinterface(copy_of, True, _NEEDED),
    "spikeinterface dense, copy, all of ours": spikeinterface(copy_of, False, _ALL),
    "curation of 400 units": curation,
}
