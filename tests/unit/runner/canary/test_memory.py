"""What is remembered of a trial, and what makes it due again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.attempts import make_spec

from spikefleet.core.attempts import AttemptSpec
from spikefleet.infra.stores.bytes.artifacts_open import open_artifacts
from spikefleet.runner.canary.memory import CanaryMemory, TrialMachine, canary_key

IMAGE = TrialMachine("sha256:aaa", "NVIDIA H200", "570.1")


@pytest.fixture
def spec(tmp_path: Path) -> AttemptSpec:
    return make_spec(
        tmp_path,
        gpu=True,
        config={
            "sorter": {"sorter_name": "kilosort4", "sorter_params": {"Th_universal": 9}},
            "recording": {"freq_min": 300.0, "start_time_s": None},
            "execution": {"random_seed": 1},
        },
    )


def with_group(spec: AttemptSpec, group: str, **changes: Any) -> AttemptSpec:
    return replace(spec, config={**spec.config, group: {**spec.config[group], **changes}})


def test_image_parameters_gpu_and_kind_of_file_each_make_the_trial_due_again(spec) -> None:
    known = canary_key(spec, IMAGE)
    others = {
        canary_key(spec, replace(IMAGE, image_digest="sha256:bbb")),
        canary_key(spec, replace(IMAGE, gpu_model="NVIDIA A10")),
        canary_key(spec, replace(IMAGE, driver_version="580.2")),
        canary_key(with_group(spec, "sorter", sorter_params={"Th_universal": 8}), IMAGE),
        canary_key(with_group(spec, "recording", freq_min=400.0), IMAGE),
        canary_key(replace(spec, recording="other.raw.h5"), IMAGE),
        canary_key(replace(spec, gpu=False), IMAGE),
        canary_key(spec, replace(IMAGE, image_digest="")),
    }
    assert known not in others
    assert len(others) == 8


def test_another_recording_window_or_attempt_is_the_same_trial(spec) -> None:
    known = canary_key(spec, IMAGE)
    assert (
        canary_key(replace(spec, recording="other.bin", attempt_id="x", number=2), IMAGE) == known
    )
    assert canary_key(with_group(spec, "recording", start_time_s=60.0), IMAGE) == known
    assert canary_key(with_group(spec, "execution", random_seed=7), IMAGE) == known


def test_a_pass_is_recalled_by_the_next_run_until_it_is_forgotten(tmp_path: Path) -> None:
    store = open_artifacts(str(tmp_path / "artifacts"))
    memory = CanaryMemory(store, "key")
    assert memory.recall() == ""
    memory.keep("run-a/sort-1")
    assert CanaryMemory(store, "key").recall() == "run-a/sort-1"
    assert CanaryMemory(store, "other").recall() == ""
    memory.forget("run-b/sort-1")
    assert memory.recall() == ""


def test_a_damaged_memory_remembers_nothing(tmp_path: Path) -> None:
    store = open_artifacts(str(tmp_path / "artifacts"))
    memory = CanaryMemory(store, "key")
    memory.keep("run-a/sort-1")
    (tmp_path / "artifacts" / memory.pointer).write_text("{not json")
    assert memory.recall() == ""
