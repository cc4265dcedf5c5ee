"""Whatever an attempt left or a cluster said: a verdict, and no hold that nothing proves."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikefleet.controller.judge import judge
from spikefleet.core.attempts import AttemptOutcome
from spikefleet.core.failures.codes import FAILURES, FailureCategory, row_for_exit
from spikefleet.core.failures.errors import Failure
from spikefleet.core.failures.reading.cluster_reasons import from_reason
from spikefleet.infra.launchers.base import Observation, Phase
from spikefleet.infra.stores.bytes.artifacts import ArtifactMissingError
from spikefleet.runner.outcome import exit_code_of, make_termination_message

ATTEMPT = "attempt-1"
QUICK = settings(
    max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=10,
)
# Hypothesis takes words out of our own code: what a cluster really says is no noise.
NOISE = st.text(max_size=20).filter(lambda text: from_reason(text) is None)
CODES = st.none() | st.integers(-70, 300)
OUTCOME_KEYS = tuple(AttemptOutcome(ATTEMPT, 0).to_json())
FAILURE_KEYS = tuple(Failure(FAILURES[0].code, "").to_json())


def absent():
    raise ArtifactMissingError("no manifest")


def look(**seen):
    observation = Observation("s-1-sort-1", Phase.EXITED, **seen)
    verdict = judge(observation, attempt_id=ATTEMPT, verify=absent)
    if verdict.failure is not None:
        json.dumps(verdict.failure.to_json(), default=str)
    if verdict.outcome is not None:
        json.dumps(verdict.outcome.to_json(), default=str)
    return verdict


def whole(row):
    failure = Failure(row.code, "It went wrong.", evidence={"n": 1})
    return AttemptOutcome(ATTEMPT, exit_code_of(failure), failure)


@QUICK
@given(outcome=ANY_JSON, message=st.text(max_size=80), reason=NOISE, code=CODES)
def test_noise_alone_holds_nothing(outcome, message, reason, code):
    table = outcome if isinstance(outcome, dict) else {"x": outcome}
    verdict = look(exit_code=code, outcome=table, termination_message=message, reason=reason)
    assert verdict.failure is not None
    if verdict.failure.category is FailureCategory.ENVIRONMENT:
        row = row_for_exit(code)
        assert row is not None
        assert row.category is FailureCategory.ENVIRONMENT


@QUICK
@given(
    row=st.sampled_from(FAILURES),
    broken=st.dictionaries(st.sampled_from(OUTCOME_KEYS), ANY_JSON, max_size=2),
    inner=st.dictionaries(st.sampled_from(FAILURE_KEYS), ANY_JSON, max_size=2),
    code=CODES,
)
def test_an_outcome_with_fields_of_another_kind_gives_a_verdict(row, broken, inner, code):
    document = whole(row).to_json()
    document["failure"] |= inner
    assert look(exit_code=code, outcome={**document, **broken}).failure is not None


@QUICK
@given(
    row=st.sampled_from([row for row in FAILURES if row.exit_code]),
    at=st.integers(0, 400),
    byte=st.integers(0, 255),
    cut=st.integers(0, 400),
)
def test_a_message_with_a_broken_byte_is_believed_or_not_but_never_another_class(
    row, at, byte, cut
):
    data = bytearray(make_termination_message(whole(row)))
    data[at % len(data)] = byte
    text = bytes(data[: max(1, len(data) - cut)] if cut < 50 else data).decode(errors="replace")
    found = look(exit_code=1, termination_message=text).failure
    assert found is not None
    assert found.code in (row.code, "unclassified")
