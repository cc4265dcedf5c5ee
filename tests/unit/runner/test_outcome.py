"""The last word of an attempt."""

import json
from pathlib import Path

import pytest

from spikefleet.core.attempts import AttemptOutcome, RunFolder
from spikefleet.core.failures.codes import FAILURES, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.files import read_json
from spikefleet.runner.outcome import (
    MESSAGE_BYTES,
    exit_code_of,
    make_termination_message,
    write_outcome,
    write_unreadable_spec,
)


def outcome(**evidence: object) -> AttemptOutcome:
    failure = Failure(FailureCode.SORTER_CRASH, "It broke.", stage="sort", evidence=evidence)  # type: ignore[arg-type]
    return AttemptOutcome("r/sort-1", 110, failure, peaks={"host_memory.used_ratio": 0.5})


def test_success_is_zero_and_no_failure_is() -> None:
    assert exit_code_of(None) == 0
    codes = [exit_code_of(Failure(row.code, "x")) for row in FAILURES]
    assert all(80 <= code <= 113 for code in codes)


def test_a_cause_only_outsiders_can_name_exits_as_unclassified() -> None:
    assert exit_code_of(Failure(FailureCode.LOST, "x")) == 112


def test_the_message_says_what_broke_where_and_how_much_it_used() -> None:
    message = json.loads(make_termination_message(outcome(signal=11)))
    assert message == {
        "v": 1,
        "attempt_id": "r/sort-1",
        "class": "SorterCrashError",
        "code": 110,
        "category": "internal",
        "stage": "sort",
        "message": "It broke.",
        "evidence": {"signal": 11},
        "peaks": {"host_memory.used_ratio": 0.5},
    }


@pytest.mark.parametrize("text", ["x" * 100_000, "µ" * 5_000, '"\\' * 9_000])
def test_the_message_fits_whatever_the_evidence(text: str) -> None:
    evidence = {f"key{number}": text for number in range(50)} | {"lines": [text] * 9, "signal": 11}
    data = make_termination_message(outcome(**evidence))
    assert len(data) <= MESSAGE_BYTES
    assert json.loads(data)["evidence"]["signal"] == 11


def test_an_order_that_cannot_be_read_has_an_outcome_too(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "r-sort-1")
    assert write_unreadable_spec(folder, ValueError("no version")) == 112
    assert (read_json(folder.outcome) or {})["failure"]["rule_id"] == "parent_error"


def test_a_disk_that_takes_nothing_does_not_hide_the_exit_code(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    write_outcome(RunFolder(tmp_path / "file"), outcome())
    said = [record.message for record in caplog.records]
    assert said == ["termination_message.not_written", "outcome.not_written"]


@pytest.mark.parametrize("text", ["\U0001f9e0" * 4000, "\x00" * 4000, '"\\' * 4000, "µV " * 4000])
def test_text_that_json_makes_longer_still_fits(text: str) -> None:
    failure = Failure(FailureCode.SORTER_CRASH, text, stage=text, evidence={"log": text, "n": 1})
    message = make_termination_message(AttemptOutcome("run/" + text, 110, failure, peaks={text: 1}))
    assert len(message) <= MESSAGE_BYTES
    told = json.loads(message)
    assert (told["code"], told["class"]) == (110, "SorterCrashError")
    assert told["evidence"]["n"] == 1
