"""Whose failure it is when a confined process ends without an answer."""

import pytest

from spikefleet.core.failures.codes import FailureCategory
from spikefleet.infra.system.opening_failures import blame_recording, own_failure
from spikefleet.infra.system.openings import (
    Limits,
    NotConfinedError,
    OpeningCrashedError,
    OpeningFailedError,
    OpeningTooLargeError,
    OpeningTooLongError,
)

TRACE = "Traceback (most recent call last):\n  …\nKeyError: 'ours'"
ENDS = [
    (OpeningCrashedError("examine", "died of SIGSEGV"), "input", "reader_crashed"),
    (OpeningTooLargeError("examine", "needed too much"), "input", "reader_memory"),
    (OpeningTooLongError("examine", "worked on", used_cpu=True), "input", "reader_time"),
    (OpeningTooLongError("examine", "waited", used_cpu=False), "input", None),
    (OpeningFailedError("examine", "raised", TRACE), "internal", None),
    (NotConfinedError("examine", "could not be confined"), "environment", "not_confined"),
]


@pytest.mark.parametrize(("end", "category", "reason"), ENDS)
def test_only_what_a_foreign_reader_did_is_put_down_to_the_recording(end, category, reason):
    failure = blame_recording(end, Limits())
    assert failure.category == FailureCategory(category)
    if reason:
        assert failure.evidence["reason"] == reason


def test_our_own_bug_names_its_place():
    trace = (
        "Traceback (most recent call last):\n"
        '  File "/a/services/spikefleet/signal/units/curate.py", line 9, in list_criteria\n'
        "    float(bound)\n"
        "ValueError: could not convert string to float: 'many'\n"
    )
    failure = own_failure(OpeningFailedError("curate", "raised", trace))
    assert failure.evidence["frame"] == "spikefleet/signal/units/curate.py:list_criteria"
    assert failure.evidence["exception_type"] == "ValueError"
    assert failure.evidence["fingerprint"]
    assert "ValueError in spikefleet/signal/units/curate.py:list_criteria" in failure.message


def test_our_own_bug_keeps_its_trace():
    assert own_failure(OpeningFailedError("curate", "raised", TRACE)).evidence["trace_tail"] == (
        TRACE.splitlines()
    )


@pytest.mark.parametrize("end", [end for end, _, _ in ENDS])
def test_a_step_on_our_own_files_never_blames_the_recording(end):
    assert own_failure(end).category is not FailureCategory.INPUT
