"""Everything known of a run survives the way to a message and back."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from spikefleet.api.v1 import run_pb2
from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.failures.codes import FailureCode, RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.runs import Attempt, Run, RunEvent, RunState
from spikefleet.infra.rpc.convert.runs import (
    from_attempt,
    from_event,
    from_progress,
    from_run,
    to_attempt,
    to_event,
    to_progress,
    to_run,
)

NOW = datetime(2026, 11, 20, 10, 11, 12, 345678, tzinfo=UTC)
FAILURE = Failure(
    FailureCode.GPU_OUT_OF_MEMORY,
    "Out of memory.",
    "sort",
    "kilosort4.cuda_oom",
    {"peak_bytes": 123456789012, "share": 0.5, "steps": ["load", None, True]},
    {"batch_size": 30000},
)
RUN = Run(
    run_id="run-1",
    batch_id="batch-1",
    recording_id="rec-1",
    stream="well000",
    backend="kilosort4",
    config={"sorter": {"sorter_name": "kilosort4", "sorter_params": {"Th_universal": 9}}},
    config_digest="c" * 64,
    sort_digest="s" * 64,
    identity="i" * 64,
    state=RunState.WAITING,
    stage=Stage.SORT,
    created_at=NOW,
    updated_at=NOW,
    recording_name="p/s/n",
    submitter="anna",
    status=RunStatus.OOM_GPU,
    failure=FAILURE,
    result={"n_units_sorted": 12, "prefixes": {"sort": "runs/run-1/attempts/sort-1"}},
    progress={"step": "sort", "fraction": 0.25, "spike_count": 7, "updated_at": NOW.isoformat()},
    not_before=NOW,
    cancel_requested=True,
    version=4,
)
ATTEMPT = Attempt(
    attempt_id="a-1",
    run_id="run-1",
    stage=Stage.SORT,
    number=2,
    name="s-1-sort-2",
    state=AttemptState.FAILED,
    params={"batch_size": 30000},
    created_at=NOW,
    ended_at=NOW,
    failure=FAILURE,
    outcome={"exit_code": 101, "wall_s": 1.5},
)


@pytest.mark.parametrize(
    "run",
    [
        RUN,
        replace(RUN, failure=None, status=None, not_before=None, progress={}, result={}, version=0),
        *(replace(RUN, state=state) for state in RunState),
        *(replace(RUN, stage=stage) for stage in Stage),
        *(replace(RUN, status=status) for status in RunStatus),
    ],
)
def test_a_run_survives(run: Run) -> None:
    assert from_run(to_run(run)) == run


def test_a_state_newer_than_this_client_is_named_not_guessed() -> None:
    with pytest.raises(ValueError, match="update the client"):
        from_run(run_pb2.Run(state=run_pb2.RunState.ValueType(99)))


@pytest.mark.parametrize("attempt", [ATTEMPT, replace(ATTEMPT, ended_at=None, failure=None)])
def test_an_attempt_survives(attempt: Attempt) -> None:
    assert from_attempt(to_attempt(attempt)) == attempt
    assert from_attempt(to_run(RUN, [attempt]).attempts[0]) == attempt


def test_an_event_survives() -> None:
    event = RunEvent(7, "run-1", "decision.retry", {"rule": "oom", "budget": 2}, NOW, "a", "b")
    assert from_event(to_event(event)) == event


def test_unknown_progress_is_left_out() -> None:
    assert from_progress(to_progress({"step": "load"})) == {"step": "load"}
    assert from_progress(to_progress({})) == {}
    full = {"step": "s", "fraction": 0.5, "spike_count": 0, "memory_bytes": 10, "eta_s": 1.5}
    assert from_progress(to_progress(full)) == full
