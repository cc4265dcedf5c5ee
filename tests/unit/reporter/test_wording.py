"""Numbers and events as people read them."""

import pytest

from spikefleet.reporter.wording import (
    describe_event,
    format_fact,
    format_name,
    format_number,
    format_value,
    last_text_lines,
    text_lines,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (4224, "4 224"),
        (12.3456, "12.3"),
        (0.012345, "0.0123"),
        (123456.7, "123 457"),
        (0.00001, "1.0e-05"),
        (0.999896, "0.999896"),
        (float("nan"), "–"),
        (None, "–"),
    ],
)
def test_numbers_have_three_significant_digits(value, text):
    assert format_number(value) == text


def test_names_show_their_unit():
    assert format_name("noise_uv") == "noise (µV)"
    assert format_name("threshold_crossings") == "threshold crossings"
    assert format_fact("free_bytes", 2_000_000_000) == "2 GB"


def test_a_share_is_told_in_percent():
    assert format_name("host_memory.used_ratio") == "host memory used"
    assert format_fact("host_memory.used_ratio", 0.06577) == "6.58 %"
    assert format_fact("rail_fraction", None) == "–"


def test_events_of_attempts_name_the_attempt():
    body = {"stage": "sort", "number": 1, "name": "s-1-sort-1"}
    assert describe_event({"kind": "attempt.running", "body": body}) == "sort attempt running"
    second = {"kind": "attempt.failed", "body": body | {"number": 2}}
    assert describe_event(second) == "sort attempt failed (number 2)"


def test_long_values_are_cut():
    assert len(format_value("x" * 1000)) <= 300


def test_events_name_the_rule_that_decided():
    event = {"kind": "decision.skip", "to_state": "skipped", "body": {"rule_id": "policy.bio"}}
    assert describe_event(event) == "decision skip → skipped: rule policy.bio"


def test_of_a_long_text_the_end_stays():
    lines = [f"line {number}" for number in range(50)]
    assert text_lines(lines) == lines
    assert text_lines("\n".join(lines)) == lines
    assert last_text_lines(lines).splitlines()[0] == "… 40 lines before"
    assert last_text_lines(lines).endswith("line 49")
    assert format_value("a" * 400 + "the end").endswith("the end")
    assert len(format_value("a" * 4000)) <= 300


@pytest.mark.parametrize("short", ["one line", ["a", "b"], [], 3, None, [1, 2, 3, 4], {"a": "b"}])
def test_short_values_are_no_longer_texts(short):
    assert text_lines(short) == []
