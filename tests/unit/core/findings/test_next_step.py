"""What to do next is told once, and by whoever knows best."""

import pytest

from spikefleet.core.failures.codes import FAILURES
from spikefleet.core.findings.next_step import next_step_of, part_advice

STEP = "Check the path and the mount, then submit again."


def test_a_check_that_decided_knows_better_than_the_failure() -> None:
    zeros = next_step_of("insufficient_activity", "preflight.silent")
    assert "amplifier" in zeros
    assert "threshold" not in zeros


def test_without_a_check_the_failure_says_what_to_do() -> None:
    for row in FAILURES:
        assert next_step_of(str(row.code), "kilosort4.no_spikes") == row.next_step
        assert next_step_of(str(row.code), "preflight.no_such_check") == row.next_step


@pytest.mark.parametrize(
    ("message", "parted"),
    [
        (f"Nothing was found. {STEP}", ("Nothing was found.", STEP)),
        ("Nothing was found. Check the path and the mount.", ("Nothing was found.", STEP)),
        ("Nothing was found.", ("Nothing was found.", STEP)),
        ("Nothing was found at 3.5 s", ("Nothing was found at 3.5 s", STEP)),
        (STEP, (STEP, "")),
    ],
)
def test_advice_that_the_message_gives_already_is_not_given_twice(
    message: str, parted: tuple[str, str]
) -> None:
    assert part_advice(message, STEP) == parted


def test_a_message_without_a_next_step_stays_as_it_is() -> None:
    assert part_advice("Stopped. Check the path and the mount.", "") == (
        "Stopped. Check the path and the mount.",
        "",
    )
