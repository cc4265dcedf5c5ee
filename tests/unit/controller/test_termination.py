"""The short form of an outcome: written by the runner, believed only where all of it fits."""

import json

import pytest

from spikefleet.controller.termination import read_termination_message
from spikefleet.core.attempts import AttemptOutcome
from spikefleet.core.failures.codes import FAILURES, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.runner.outcome import make_termination_message

GOOD = {"v": 1, "attempt_id": "a", "class": "DiskExhaustionError", "code": 107, "message": "Full."}


def test_what_the_runner_writes_is_read_back():
    for row in filter(lambda row: row.exit_code, FAILURES):
        failure = Failure(row.code, "It went wrong.", stage="sort", evidence={"free_gb": 0.5})
        text = make_termination_message(AttemptOutcome("a", row.exit_code, failure)).decode()
        read = read_termination_message(text, "a")
        assert read is not None, row.code
        assert (read.code, read.message, read.evidence) == (
            row.code,
            "It went wrong.",
            {"free_gb": 0.5},
        )


def test_a_good_message_is_believed():
    found = read_termination_message(json.dumps(GOOD), "a")
    assert found is not None
    assert found.code is FailureCode.DISK_EXHAUSTION


@pytest.mark.parametrize(
    "changed",
    [
        {"v": 2},
        {"attempt_id": "another"},
        {"class": "ModelLoadingError"},
        {"code": 93},
        {"code": 0, "class": ""},
        {"code": True},
        {"code": "107"},
        {"code": None},
    ],
)
def test_a_message_with_one_thing_wrong_is_no_evidence(changed):
    assert read_termination_message(json.dumps({**GOOD, **changed}), "a") is None


@pytest.mark.parametrize("text", ["", "null", "[]", "{", "Killed", "[" * 10_000, "9" * 9_000])
def test_other_text_is_no_evidence(text):
    assert read_termination_message(text, "a") is None


def test_evidence_that_is_no_table_is_left_out():
    found = read_termination_message(json.dumps({**GOOD, "evidence": [1], "stage": None}), "a")
    assert found is not None
    assert (found.evidence, found.stage) == ({}, "sort")
