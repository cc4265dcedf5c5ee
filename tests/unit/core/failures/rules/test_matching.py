"""Which rule speaks: the log's last explaining line, and only when nothing better is known."""

import re

import pytest

from spikefleet.core.failures.classify import RULES, Evidence, classify
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.rules.base import Source

F = FailureCode
DISK = "OSError: [Errno 28] No space left on device"
CUDA = "RuntimeError: CUDA error: out of memory"


def by_log(*lines, **more):
    more = {"exit_code": 1, **more}
    return classify(Evidence("kilosort4", log_tail="".join(f"{e}\n" for e in lines), **more)).code


@pytest.mark.parametrize(
    "rule", [r for r in RULES if r.source is Source.LOG], ids=lambda r: r.rule_id
)
def test_every_rule_for_logs_names_the_marks_that_make_it_cheap(rule):
    assert rule.marks
    assert any(mark in rule.example for mark in rule.marks)


def test_every_rule_is_complete():
    for rule in RULES:
        assert re.fullmatch(r"[a-z0-9_]+(\.[A-Za-z0-9_]+)+", rule.rule_id), rule.rule_id
        assert rule.message.endswith((".", "!")), rule.rule_id
        assert rule.pattern or rule.exception or rule.errno, rule.rule_id
        assert rule.example or rule.example_type, rule.rule_id


def test_the_last_line_that_explains_wins_whatever_its_priority():
    assert by_log(DISK, CUDA) is F.GPU_OUT_OF_MEMORY
    assert by_log(CUDA, DISK) is F.DISK_EXHAUSTION


def test_a_line_far_from_the_end_explains_only_an_end_that_nothing_else_explains():
    far = [DISK, *(f"step {number}" for number in range(70))]
    assert by_log(*far) is F.DISK_EXHAUSTION
    assert by_log(*far, CUDA) is F.GPU_OUT_OF_MEMORY
    child = {"exception_type": "KeyError", "module": "builtins", "message": "'x'"}
    assert by_log(*far, child_failure=child) is F.UNCLASSIFIED
    assert by_log(*far, signal=11, exit_code=None) is F.SORTER_CRASH


def test_a_known_exception_outranks_every_line():
    child = {"exception_type": "KeyError", "module": "builtins", "message": "'x'"}
    assert by_log(DISK, child_failure=child) is F.UNCLASSIFIED
    opaque = {**child, "exception_type": "BrokenProcessPool"}
    assert by_log(DISK, child_failure=opaque) is F.DISK_EXHAUSTION


@pytest.mark.parametrize(
    "line",
    [
        f"WARNING {DISK}",
        f"INFO plot was skipped: {DISK}",
        f"{CUDA}, retrying with smaller batches",
        f"{DISK}; falling back to memory",
        f"use less if you see {CUDA}",
    ],
)
def test_a_trouble_the_program_got_over_is_not_the_cause(line):
    assert by_log(line) is F.UNCLASSIFIED


@pytest.mark.parametrize("code", [127, 1])
def test_a_missing_library_is_named_whoever_started_the_program(code):
    line = "x: error while loading shared libraries: libz.so.9: cannot open shared object file"
    assert by_log(line, exit_code=code) is F.ENVIRONMENT_OTHER
