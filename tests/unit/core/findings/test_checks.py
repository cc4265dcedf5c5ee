"""The registry: order, strictness, one code once, and the failure that decides."""

import pytest

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import InputCorruptError, SaturatedSignalError
from spikefleet.core.findings.checks import Checks, decide
from spikefleet.core.findings.finding import fail, warn


def made() -> Checks[int]:
    checks: Checks[int] = Checks()

    @checks.check("low_ram")
    def check_memory(facts: int):
        return warn("low_ram", f"Only {facts}.") if facts < 4 else None

    @checks.check("readable")
    def check_readable(facts: int):
        return fail("readable", InputCorruptError("Cut.")) if facts < 2 else None

    @checks.check("gpu_ecc")
    def check_two_gpus(facts: int):
        return (warn("gpu_ecc", "First."), warn("gpu_ecc", "Second.")) if facts == 3 else None

    return checks


def test_nothing_wrong_finds_nothing():
    assert made().run(5) == ()
    assert decide(()) is None


def test_failures_come_first_and_the_rest_in_order_of_registration():
    assert [finding.code for finding in made().run(1)] == ["readable", "low_ram"]


def test_a_check_may_find_several_things():
    assert [finding.message for finding in made().run(3)] == ["Only 3.", "First.", "Second."]


def test_the_first_failure_decides_and_names_its_finding():
    second = fail("saturated", SaturatedSignalError("Rail."))
    failure = decide([*made().run(1), second])
    assert failure is not None
    assert failure.code is FailureCode.INPUT_CORRUPT
    assert (failure.stage, failure.rule_id) == ("preflight", "preflight.readable")


def test_warnings_decide_only_in_strict_mode():
    assert decide(made().run(2)) is None
    assert decide(made().run(2, strict=True)).code is FailureCode.RESOURCE_OTHER


def test_a_code_is_registered_once_and_only_from_the_catalogue():
    checks = made()
    assert checks.codes == ("low_ram", "readable", "gpu_ecc")
    with pytest.raises(ValueError, match="low_ram"):
        checks.check("low_ram")(lambda _facts: None)
    with pytest.raises(ValueError, match="made_up"):
        checks.check("made_up")
