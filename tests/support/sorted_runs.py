"""A finished sort in a local store, and the record of its run, for curation and reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import spikeinterface.core as si

from spikefleet.core.attempts import Stage
from spikefleet.core.config.units import WaveformConfig
from spikefleet.core.runs import AttemptPlace
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore, publish_folder
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.signal.units.analyzer import build_analyzer

RUN_ID = "run-0123456789abcdef"
SORT, CURATION, REPORT = (
    AttemptPlace(RUN_ID, stage, 1) for stage in (Stage.SORT, Stage.CURATE, Stage.REPORT)
)
SORT_PREFIX, CURATION_PREFIX, REPORT_PREFIX = SORT.prefix, CURATION.prefix, REPORT.prefix


def write_sort(folder: Path, names: Sequence[str] = ()) -> None:
    """Write what a sort leaves: an analyzer of five units on eight channels, ten seconds.

    ``names`` are what the units are called instead.
    """
    recording, sorting = si.generate_ground_truth_recording(
        durations=[10.0],
        sampling_frequency=20_000.0,
        num_channels=8,
        num_units=5,
        generate_sorting_kwargs={"firing_rates": 8.0, "refractory_period_ms": 4.0},
        seed=7,
    )
    if names:
        sorting = sorting.rename_units(list(names))
    build_analyzer(recording, sorting, folder / "analyzer", WaveformConfig(), seed=1)
    (folder / "result.json").write_text('{"versions": {"spikeinterface": "0.105"}}')


def publish_sort(store: ArtifactStore, folder: Path) -> None:
    """Store a sort's folder as the first sort attempt of RUN_ID."""
    publish_folder(store, SORT_PREFIX, folder)


def flip_byte(store: LocalArtifacts, key: str) -> None:
    """Change one byte in the middle of a stored file; its size stays."""
    path = store.local_path(key)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def make_attempt(stage: str, start_s: int, end_s: int, **changes: Any) -> dict[str, Any]:
    """An attempt between two seconds of one minute."""
    return {
        "attempt_id": f"{stage}-1",
        "stage": stage,
        "number": 1,
        "state": "succeeded",
        "created_at": f"2026-11-20T18:00:{start_s:02d}+00:00",
        "ended_at": f"2026-11-20T18:00:{end_s:02d}+00:00",
        **changes,
    }


def make_run_record(**changes: Any) -> dict[str, Any]:
    """What the controller tells the reporter of a run that succeeded."""
    return {
        "run": {
            "run_id": RUN_ID,
            "recording_name": "lab/2026-11-20/slice4",
            "stream": "well000",
            "backend": "kilosort4",
            "status": "success",
            "state": "succeeded",
            "submitter": "ada",
            "created_at": "2026-11-20T18:00:00+00:00",
            "config_digest": "ab" * 32,
        },
        "attempts": [
            make_attempt("preflight", 0, 2),
            make_attempt(
                "sort",
                2,
                32,
                outcome={
                    "timings_s": {"load": 1.0, "sort": 20.0, "analyze": 4.0},
                    "versions": {"kilosort": "4.1.7"},
                    "peaks": {"host_memory.used_ratio": 0.4, "host_memory.limit_bytes": 8e9},
                },
            ),
        ],
        "events": [
            {
                "seq": 1,
                "kind": "run.created",
                "to_state": "queued",
                "created_at": "2026-11-20T18:00:00+00:00",
                "body": {},
            }
        ],
        "preflight": {
            "stream": {"channel_count": 8, "sampling_rate_hz": 20_000.0, "duration_s": 10.0},
            "findings": [
                {
                    "level": "warn",
                    "code": "low_disk_inter",
                    "message": "Only 14 GiB are free.",
                    "remediation": "Free some space.",
                    "category": "resource",
                }
            ],
        },
        "config": {"sorter": {"sorter_name": "kilosort4"}, "curation": {"snr_min": 4.0}},
        "recording": {
            "location": "/data/rig/slice4.raw.h5",
            "digest": "cd" * 32,
            "files": [{"path": "slice4.raw.h5", "size_bytes": 3_200_000, "sha256": "ef" * 32}],
        },
        **changes,
    }


def make_unsortable_record() -> dict[str, Any]:
    """What the controller tells the reporter of a silent recording."""
    record = make_run_record()
    record["run"] |= {
        "status": "unsortable",
        "state": "skipped",
        "failure": {
            "code": "insufficient_activity",
            "category": "biological",
            "message": "The signal is silent: 3 threshold crossings in 10 s.",
            "next_step": "Check the culture <and> the reference.",
            "stage": "preflight",
            "rule_id": "preflight.silent",
            "evidence": {"threshold_crossings": 3, "noise_uv": 4.1},
        },
    }
    record["attempts"] = [make_attempt("preflight", 0, 2, state="failed")]
    return record
