"""The folder of one run as ``fetch`` leaves it: a window of a recording, five units, curated."""

from __future__ import annotations

import json
from pathlib import Path

import spikeinterface.core as si

from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.curation.curate import curate_into
from spikefleet.signal.units.analyzer import build_analyzer
from spikefleet.signal.units.library_measuring import measure_in_library

RATE_HZ = 20_000.0
FIRST_FRAME = 40_000  # of the window that was sorted
SORTED_FRAMES = 200_000
SETTINGS = (CurationConfig(), WaveformConfig())


def write_fetched_run(
    root: Path, *, snr_min: float = 5.0, units: int = 5, channels: int = 8, numbered: bool = False
) -> Path:
    """Write the folder and return it; frames 40 000 to 240 000 of 300 000 were sorted.

    ``numbered``: ids of units are numbers, as Kilosort's are.
    """
    recording, sorting = si.generate_ground_truth_recording(
        durations=[SORTED_FRAMES / RATE_HZ],
        sampling_frequency=RATE_HZ,
        num_channels=channels,
        num_units=max(units, 1),
        generate_sorting_kwargs={"firing_rates": 8.0, "refractory_period_ms": 4.0},
        seed=7,
    )
    sorting = sorting.select_units(sorting.unit_ids[:units])
    if numbered:
        sorting = sorting.rename_units(list(range(units)))
    sort, curate = root / "sort", root / "curate"
    curate.mkdir(parents=True)
    analyzer = build_analyzer(recording, sorting, sort / "analyzer", WaveformConfig(), seed=1)
    if numbered:
        measure_in_library(analyzer, 1)
    si.NumpySorting.from_sorting(sorting).save(folder=sort / "sorting")
    timeline = {
        "version": 1,
        "sampling_rate_hz": RATE_HZ,
        "files": [{"name": "a", "n_samples": 300_000}],
        "kept": [[FIRST_FRAME, FIRST_FRAME + SORTED_FRAMES]],
    }
    _write(sort / "timeline.json", timeline)
    curation = CurationConfig(snr_min=snr_min, spikes_min_second=None)
    curate_into(curate, sort / "analyzer", timeline, curation, WaveformConfig())
    record = {
        "run": {
            "run_id": "run-0123456789abcdef",
            "recording_name": "lab/day/slice4",
            "backend": "mountainsort5",
        },
        "status": "success",
        "config": {"waveform": WaveformConfig().model_dump(mode="json")},
        "versions": {"spikefleet": "0.1.0"},
    }
    _write(root / "report" / "recording_report.json", record)
    return root


def _write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
