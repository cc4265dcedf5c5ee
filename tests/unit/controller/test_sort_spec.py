"""What an attempt is given: its inputs, its resolved configuration, its limits."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.controlled import Controlled

from spikefleet.controller.sort_spec import SortLimits, SortSpecs, input_files, input_parts
from spikefleet.core.attempts import AttemptSpec, AttemptState, Stage
from spikefleet.core.policy.sizes import SizeRange, SorterMachine
from spikefleet.core.recording.description import KeptDescription, RecordingDescription
from spikefleet.core.runs import Attempt, Run
from spikefleet.core.submissions import join_recordings


@pytest.fixture
def controlled(tmp_path: Path) -> Iterator[Controlled]:
    made = Controlled(tmp_path)
    yield made
    made.close()


def spec_of(controlled: Controlled, limits: SortLimits, **params: object) -> AttemptSpec:
    run = controlled.runs.get_run(controlled.submit(n_jobs=4))
    return spec_of_run(controlled, run, limits, **params)


def spec_of_run(
    controlled: Controlled, run: Run, limits: SortLimits, **params: object
) -> AttemptSpec:
    now = datetime.now(UTC)
    state = AttemptState.INTENDED
    attempt = Attempt("attempt-1", run.run_id, Stage.SORT, 2, "s-1-sort-2", state, params, now)
    specs = SortSpecs(controlled.recordings, "file:///store", "127.0.0.1:1", limits)
    return specs.spec(run, attempt)


def test_the_spec_says_who_it_is_and_where_its_result_goes(controlled: Controlled) -> None:
    spec = spec_of(controlled, SortLimits())
    assert (spec.name, spec.attempt_id, spec.number) == ("s-1-sort-2", "attempt-1", 2)
    assert spec.artifacts_prefix == f"runs/{spec.run_id}/attempts/sort-2"
    assert AttemptSpec.from_json(spec.to_json()) == spec


def test_parameters_changed_by_retries_are_laid_over_the_runs_own(controlled: Controlled) -> None:
    changed = {"sorter_params": {"batch_size": 30000}, "n_jobs": 2, "memory_limit_bytes": 5}
    spec = spec_of(controlled, SortLimits(memory_limit_bytes=3), **changed)
    assert spec.config["sorter"]["sorter_params"]["batch_size"] == 30000
    assert spec.config["execution"]["n_jobs"] == 2
    assert spec.memory_limit_bytes == 5
    assert spec_of(controlled, SortLimits(memory_limit_bytes=3)).memory_limit_bytes == 3
    assert spec_of(controlled, SortLimits(scratch_limit_bytes=7)).scratch_limit_bytes == 7


def test_a_gpu_is_given_only_where_there_is_one(controlled: Controlled) -> None:
    assert spec_of(controlled, SortLimits(gpus=0)).gpu is False
    assert spec_of(controlled, SortLimits(gpus=1)).gpu is True


def test_the_length_is_the_one_preflight_measured(controlled: Controlled) -> None:
    run = controlled.runs.get_run(controlled.submit())
    assert spec_of_run(controlled, run, SortLimits()).duration_s == 0.0
    for stream, expected in (({"duration_s": 60.0}, 60.0), (None, 0.0)):
        known = replace(run, result={"preflight": {"stream": stream}})
        assert spec_of_run(controlled, known, SortLimits()).duration_s == expected


def test_inputs_lie_beside_the_rigs_copy_or_in_the_store(controlled: Controlled) -> None:
    recording = controlled.recordings.get(controlled.recording("a"))
    (in_place,) = input_files(recording)
    stored = replace(recording, in_place=False, location="recordings/rec-a")
    (uploaded,) = input_files(stored)
    assert (in_place.source, in_place.in_place) == (f"{recording.location}/recording.bin", True)
    assert uploaded.source == "recordings/rec-a/files/recording.bin"
    assert uploaded.sha256 == recording.files[0].sha256


def test_parts_are_staged_apart_in_order_and_named(controlled: Controlled) -> None:
    parts = [controlled.recordings.get(controlled.recording(name)) for name in ("b", "a")]
    joined = controlled.recordings.add(join_recordings(parts))
    assert [file.path for file in input_files(joined)] == [
        "part-001/recording.bin",
        "part-002/recording.bin",
    ]
    assert [Path(file.source) for file in input_files(joined)] == [
        Path(part.location) / "recording.bin" for part in parts
    ]
    staged = input_parts(joined)
    assert [part.name for part in staged] == [part.name.name for part in parts]
    entries = [f"/{part.entry}".rstrip("/") for part in parts]
    assert [part.path for part in staged] == [
        f"part-{number:03d}{entry}" for number, entry in enumerate(entries, start=1)
    ]
    assert input_parts(parts[0]) == ()


def test_what_preflight_knows_travels_with_the_attempt_without_its_lists_per_channel(
    controlled: Controlled,
) -> None:
    run = controlled.runs.get_run(controlled.submit())
    known = {
        "stream": {"sampling_rate_hz": 20_000.0, "duration_s": 90.0},
        "estimate": {"scratch_bytes": 7},
        "measurements": {
            "noise_uv": [5.0] * 384,
            "flat_channels": ["3", "7"],
            "n_crossings": 900,
            "activity_over_time": [{"at_s": 3.0, "n_moments": 4, "seconds": 1.0}],
        },
        "findings": [],
    }
    spec = spec_of_run(controlled, replace(run, result={"preflight": known}), SortLimits())
    assert spec.duration_s == 90.0
    assert spec.preflight == {
        "stream": known["stream"],
        "estimate": {"scratch_bytes": 7},
        "measurements": {
            "flat_channels": 2,
            "n_crossings": 900,
            "activity_over_time": known["measurements"]["activity_over_time"],
        },
    }
    assert AttemptSpec.from_json(spec.to_json()) == spec


def test_the_reader_chosen_for_the_recording_travels_with_the_attempt(
    controlled: Controlled,
) -> None:
    run = controlled.runs.get_run(controlled.submit())
    assert spec_of_run(controlled, run, SortLimits()).format == ""
    kept = KeptDescription("neo 0.1", RecordingDescription("spikeglx", ()))
    controlled.recordings.keep_description(run.recording_id, kept)
    spec = spec_of_run(controlled, run, SortLimits())
    assert (spec.format, spec.reader) == ("spikeglx", "neo 0.1")


def test_a_spec_of_an_earlier_release_is_still_read(controlled: Controlled) -> None:
    spec = spec_of(controlled, SortLimits())
    older = {name: v for name, v in spec.to_json().items() if name not in ("format", "reader")}
    assert AttemptSpec.from_json(older) == spec


def test_in_a_cluster_sizes_gpu_and_nodes_come_from_profile_and_retries(
    controlled: Controlled,
) -> None:
    sizes = SizeRange(16, 64, 10, 100, ("24g", "80g"))
    run = controlled.runs.get_run(controlled.submit(n_jobs=4))
    params = {"memory_limit_bytes": 30, "gpu_class": "80g", "exclude_nodes": ["node-a"]}
    now = datetime.now(UTC)
    attempt = Attempt("a", run.run_id, Stage.SORT, 2, "s", AttemptState.INTENDED, params, now)
    for has_gpu in (True, False):
        machine = SorterMachine(sizes, has_gpu, cpus=6)
        specs = SortSpecs(
            controlled.recordings, "s3://b", "", SortLimits(), machine_of=lambda _, m=machine: m
        )
        spec = specs.spec(run, attempt)
        assert (spec.memory_limit_bytes, spec.scratch_limit_bytes, spec.cpus) == (30, 10, 6)
        assert (spec.gpu_class, spec.exclude_nodes) == ("80g", ("node-a",))
        assert spec.gpu is has_gpu
        assert AttemptSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
