"""What the policy is told of a failed attempt: what it was, and what a cluster lets it have."""

from datetime import UTC, datetime

from tests.support.runs import make_run

from spikefleet.controller.sizing import decision_context, within
from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.policy.sizes import SizeRange
from spikefleet.core.runs import Attempt

NOW = datetime(2026, 11, 28, tzinfo=UTC)
RUN = make_run(
    result={"preflight": {"estimate": {"memory_bytes": 20, "scratch_bytes": 5}, "input_bytes": 40}}
)


def attempt(**params: object) -> Attempt:
    state = AttemptState.RUNNING
    return Attempt("attempt-1", RUN.run_id, Stage.SORT, 1, "s", state, params, NOW)


def test_on_one_machine_the_limit_is_the_machines() -> None:
    context = decision_context(RUN, attempt(n_jobs=2), "", 99)
    assert (context.memory_limit_bytes, context.node, context.params) == (99, "", {"n_jobs": 2})
    assert context.allowed == SizeRange()


def test_in_a_cluster_it_had_what_the_profile_the_projection_and_the_retries_gave() -> None:
    allowed = SizeRange(16, 64, 10, 100)
    first = within(allowed, RUN, attempt(), decision_context(RUN, attempt(), "node-a", 0))
    # The volume holds the recording, too, which the pod brings there.
    assert (first.memory_limit_bytes, first.scratch_bytes, first.node) == (20, 45, "node-a")
    again = attempt(memory_limit_bytes=30)
    assert within(allowed, RUN, again, first).memory_limit_bytes == 30
    assert first.allowed == allowed
