"""How answers look to people."""

from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from tests.support.runs import CREATED, make_run, make_view

from spikefleet.cli.printing import (
    Output,
    age_text,
    attempts_table,
    decisions_table,
    evidence_lines,
    failure_lines,
    findings_lines,
    projection_line,
    runs_table,
    state_text,
    with_next_step,
)
from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.failures.codes import FailureCode, RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.runs import Attempt, RunEvent, RunState

FAILURE = Failure(FailureCode.INSUFFICIENT_ACTIVITY, "Only 3 threshold crossings in 60 s.")


def _seen(renderable: object) -> str:
    screen = Console(width=160, markup=False)
    with screen.capture() as capture:
        screen.print(renderable)
    return capture.get()


def test_an_unsortable_run_shows_its_status_not_a_failure() -> None:
    run = make_run(state=RunState.SKIPPED, status=RunStatus.UNSORTABLE, failure=FAILURE)
    assert state_text(run).plain == "unsortable"


def test_a_status_that_only_repeats_the_state_is_left_out() -> None:
    run = make_run(state=RunState.FAILED, status=RunStatus.FAILED)
    assert state_text(run).plain == "failed"
    run = make_run(state=RunState.FAILED, status=RunStatus.DISK_EXHAUSTED)
    assert state_text(run).plain == "failed (disk_exhausted)"


def test_a_failure_is_a_sentence_and_a_next_step() -> None:
    text = failure_lines(FAILURE).plain
    assert text.startswith("Only 3 threshold crossings in 60 s.\nNext: ")
    assert FAILURE.row.next_step in text


def test_evidence_is_told_a_thing_a_line_and_of_a_log_the_end() -> None:
    evidence = {
        "exception_message": "libfoo.so.1: cannot open",
        "log_tail": [f"line {number}" for number in range(40)],
        "rail_fraction": 0.123456,
        "frame": "",
    }
    told = "\n".join(
        line.plain
        for line in evidence_lines(Failure(FailureCode.SORTER_CRASH, "Died.", evidence=evidence))
    )
    assert "exception message: libfoo.so.1: cannot open" in told
    assert "rail fraction: 0.1235" in told
    assert "line 39" in told
    assert "line 20" not in told
    assert "frame" not in told


def test_without_evidence_nothing_is_told() -> None:
    assert evidence_lines(FAILURE) == []


def test_a_run_shows_how_far_it_is_and_then_what_it_found() -> None:
    seen = _seen(
        runs_table(
            [
                make_view(progress={"fraction": 0.42}),
                make_view(state=RunState.SUCCEEDED, result={"n_units_curated": 7}),
            ]
        )
    )
    assert "sort 42%" in seen
    assert "7 units" in seen


def test_attempts_tell_what_failed_and_what_was_changed() -> None:
    attempt = Attempt(
        "attempt-1",
        "run-1",
        Stage.SORT,
        2,
        "s-1-sort-2",
        AttemptState.FAILED,
        {"batch_size": 30000},
        CREATED,
        CREATED + timedelta(seconds=95),
        FAILURE,
    )
    seen = _seen(attempts_table([attempt]))
    for text in ("sort", "2", "failed", "1 min 35 s", "insufficient_activity", "batch_size=30000"):
        assert text in seen


def test_only_decisions_are_listed_with_rule_and_reason() -> None:
    events = [
        RunEvent(1, "run-1", "run.created", {}, CREATED),
        RunEvent(
            2, "run-1", "decision.skip", {"rule_id": "biology", "reason": "Too quiet."}, CREATED
        ),
    ]
    made = decisions_table(events)
    assert made.row_count == 1
    seen = _seen(made)
    for text in ("skip", "biology", "Too quiet."):
        assert text in seen


def test_brackets_in_a_sentence_are_printed_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output("text").emit({}, "pip install 'spikefleet[kilosort4]'")
    assert "spikefleet[kilosort4]" in capsys.readouterr().out


def test_a_long_path_is_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/data/" + "session/" * 40 + "recording.nwb"
    Output("text").emit({}, path)
    assert capsys.readouterr().out.strip() == path


@pytest.mark.parametrize(
    ("age_s", "text"), [(3, "3 s ago"), (139, "2 min ago"), (7300, "2 h ago"), (200000, "2 d ago")]
)
def test_an_age_is_one_number(age_s: float, text: str) -> None:
    assert age_text(datetime.now(UTC) - timedelta(seconds=age_s)) == text


def test_a_sentence_that_ends_with_the_next_step_does_not_get_it_twice() -> None:
    step = "Check the path and the mount, then submit again."
    told = f"Nothing was found.\nNext: {step}"
    for message in (f"Nothing was found. {step}", "Nothing was found."):
        assert with_next_step(message, step).plain == told


def test_what_a_check_advises_counts_over_the_failures_general_advice() -> None:
    message = "Every sample is digital zero: nothing was recorded on this stream."
    failure = Failure(
        FailureCode.INSUFFICIENT_ACTIVITY, message, stage="preflight", rule_id="preflight.silent"
    )
    told = failure_lines(failure).plain
    assert "amplifier" in told
    assert "threshold" not in told


@pytest.mark.parametrize("width", [80, 120, 160])
def test_no_word_of_a_state_is_broken_on_any_terminal(width: int) -> None:
    run = make_view(
        recording_name="default/plate/a-long-name-of-a-culture.raw.h5",
        backend="spykingcircus2",
        state=RunState.SKIPPED,
        status=RunStatus.UNSORTABLE,
    )
    screen = Console(width=width, markup=False)
    with screen.capture() as capture:
        screen.print(runs_table([run], width))
    assert "unsortable" in capture.get()
    assert "well000" in capture.get()
    assert max(len(line.rstrip()) for line in capture.get().splitlines()) <= width


def test_what_preflight_noticed_is_told_with_its_remedy() -> None:
    finding = {"level": "warn", "message": "Short.", "remediation": "Record longer."}
    run = make_run(result={"preflight": {"findings": [finding]}})
    assert [line.plain for line in findings_lines(run)] == ["Noticed: Short. Record longer."]


def test_what_was_used_is_told_beside_what_was_projected() -> None:
    projection = {
        "memory_bytes": {"projected": 2e9, "used": 1.5e9, "ratio": 1.333},
        "duration_s": {"projected": 95.0, "used": 42.0, "ratio": 2.26},
    }
    (line,) = projection_line(make_run(result={"projection": projection}))
    assert str(line) == "Used of projected: memory 1.5 GB of 2 GB, duration 42 s of 1 min 35 s"
    assert projection_line(make_run(result={})) == []


def test_the_sorter_shows_on_a_narrow_terminal_where_the_runs_differ_in_it() -> None:
    def columns(*sorters: str) -> list[object]:
        return [c.header for c in runs_table([make_view(backend=s) for s in sorters], 80).columns]

    assert "sorter" in columns("lupin", "kilosort4")
    assert "sorter" not in columns("lupin", "lupin")


def test_what_filled_a_disk_is_told_in_words_and_whole() -> None:
    top = [{"path": f"sorter/{n}.dat", "size_bytes": (20 - n) << 30} for n in range(12)]
    evidence = {"top_consumers": top, "limit_bytes": 100 << 30, "report": {"folder": "/scratch"}}
    full = Failure(FailureCode.DISK_EXHAUSTION, "Full.", evidence=evidence)
    told = "\n".join(str(line) for line in evidence_lines(full))
    assert "sorter/0.dat 20.0 GiB" in told
    assert "sorter/11.dat 9.0 GiB" in told
    assert "limit bytes: 100.0 GiB" in told
    assert "report" not in told
