"""Everything the domain knows survives the way to a message and back."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefleet.api.v1 import failure_pb2, preflight_pb2, run_pb2
from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.failures.codes import FAILURES, FailureCategory, FailureCode, RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.findings.finding import Finding, FindingLevel
from spikefleet.core.runs import Attempt, Run, RunEvent, RunState
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName
from spikefleet.infra.rpc import convert

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

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.floats(allow_nan=False, allow_infinity=False)
)
DOCUMENTS = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        SCALARS,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=5,
)


def _as_told(value):
    """Integers a double cannot hold travel as text; everything else is as it was."""
    if isinstance(value, dict):
        return {key: _as_told(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_told(item) for item in value]
    too_large = isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53
    return str(value) if too_large else value


@given(DOCUMENTS)
def test_a_document_survives_a_struct(document) -> None:
    assert convert.from_struct(convert.to_struct(document)) == _as_told(document)


def test_integral_numbers_come_back_as_integers() -> None:
    back = convert.from_struct(convert.to_struct({"n": 3, "x": 2.5, "y": 4.0, "flag": True}))
    assert [type(back[key]) for key in ("n", "x", "y", "flag")] == [int, float, int, bool]


def test_what_json_has_no_word_for_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        convert.to_struct({"x": object()})


@pytest.mark.parametrize("row", FAILURES, ids=lambda row: row.code)
def test_every_failure_of_the_table_survives(row) -> None:
    failure = replace(FAILURE, code=row.code)
    message = convert.to_failure(failure)
    assert message is not None
    assert convert.from_failure(message) == failure
    assert message.class_name == row.class_name
    assert convert.enum_word(failure_pb2.FailureCategory, message.category) == row.category


def test_the_wire_knows_every_failure_code_and_category_and_no_other() -> None:
    named = {f"FAILURE_CODE_{row.code.name}": row.number for row in FAILURES}
    assert dict(failure_pb2.FailureCode.items()) == {"FAILURE_CODE_UNSPECIFIED": 0, **named}
    categories = {name.split("_", 2)[2] for name, _ in failure_pb2.FailureCategory.items()}
    assert categories == {"UNSPECIFIED", *FailureCategory.__members__}


def test_a_code_newer_than_this_client_is_unclassified() -> None:
    message = failure_pb2.Failure(message="new", code=failure_pb2.FailureCode.ValueType(999))
    assert convert.from_failure(message).code is FailureCode.UNCLASSIFIED


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
    assert convert.from_run(convert.to_run(run)) == run


def test_a_state_newer_than_this_client_is_named_not_guessed() -> None:
    with pytest.raises(ValueError, match="update the client"):
        convert.from_run(run_pb2.Run(state=run_pb2.RunState.ValueType(99)))


@pytest.mark.parametrize("attempt", [ATTEMPT, replace(ATTEMPT, ended_at=None, failure=None)])
def test_an_attempt_survives(attempt: Attempt) -> None:
    assert convert.from_attempt(convert.to_attempt(attempt)) == attempt
    assert convert.from_attempt(convert.to_run(RUN, [attempt]).attempts[0]) == attempt


def test_an_event_survives() -> None:
    event = RunEvent(7, "run-1", "decision.retry", {"rule": "oom", "budget": 2}, NOW, "a", "b")
    assert convert.from_event(convert.to_event(event)) == event


@pytest.mark.parametrize("missing", [True, False])
def test_a_recording_survives(missing: bool) -> None:
    recording = Recording(
        "rec-1",
        RecordingName("p", "s", "n"),
        (ManifestFile("a/b.bin", 10, "f" * 64), ManifestFile("empty", 0, "e" * 64)),
        "d" * 64,
        "/data/rig",
        in_place=True,
        entry="a",
        missing=missing,
    )
    assert convert.from_recording(convert.to_recording(recording)) == recording
    parts = (recording, replace(recording, entry=""))
    joined = replace(recording, recording_id="rec-2", parts=parts)
    assert convert.from_recording(convert.to_recording(joined)) == joined


def test_unknown_progress_is_left_out() -> None:
    assert convert.from_progress(convert.to_progress({"step": "load"})) == {"step": "load"}
    assert convert.from_progress(convert.to_progress({})) == {}
    full = {"step": "s", "fraction": 0.5, "spike_count": 0, "memory_bytes": 10, "eta_s": 1.5}
    assert convert.from_progress(convert.to_progress(full)) == full


def test_an_enum_word_is_lower_case_and_empty_when_unknown() -> None:
    level = preflight_pb2.FindingLevel
    assert convert.enum_word(level, level.Value("FINDING_LEVEL_WARN")) == "warn"
    assert convert.enum_word(level, 0) == ""
    assert convert.enum_word(level, 77) == ""


@pytest.mark.parametrize("level", FindingLevel)
def test_a_finding_survives_the_way_with_its_level_and_its_numbers(level):
    made = Finding(
        "frame_gaps", level, "5 are missing.", "Align.", FailureCategory.INPUT, {"n_gaps": 2}
    )
    assert convert.from_finding(convert.to_finding(made)) == made
