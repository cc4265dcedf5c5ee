"""What the policy is told of a failed attempt: what it was, and what a cluster lets it have."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.runner_profiles import attempt as make_spec
from tests.support.runs import make_run

from spikefleet.controller.attempt_documents import StoredDocuments
from spikefleet.controller.sizing import decision_context, size_had, within
from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.policy.sizes import AttemptSize, SizeRange
from spikefleet.core.runs import Attempt
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts

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


SHORT = Failure(FailureCode.HOST_OUT_OF_MEMORY, "Too little.", rule_id="r")


@pytest.fixture
def documents(tmp_path: Path) -> StoredDocuments:
    return StoredDocuments(LocalArtifacts(tmp_path))


def order(documents: StoredDocuments, memory: int, gpu_class: str) -> None:
    spec = replace(
        make_spec(),
        artifacts_prefix=attempt().place.prefix,
        memory_limit_bytes=memory,
        scratch_limit_bytes=8,
        gpu_class=gpu_class,
    )
    documents.write_spec(spec)


def test_what_an_attempt_had_is_what_its_order_gave(documents: StoredDocuments) -> None:
    order(documents, 16, "24g")
    assert size_had(documents, attempt(), SHORT) == AttemptSize(16, 8, "24g")


def test_of_several_orders_the_smallest_counts(documents: StoredDocuments) -> None:
    order(documents, 16, "24g")
    order(documents, 12, "80g")
    assert size_had(documents, attempt(), SHORT) == AttemptSize(12, 8, "")


@pytest.mark.parametrize(
    ("code", "had"),
    [
        (FailureCode.HOST_MEMORY_WATCHDOG, AttemptSize(memory_bytes=7)),
        (FailureCode.DISK_EXHAUSTION, AttemptSize(scratch_bytes=7)),
        (FailureCode.SORTER_CRASH, AttemptSize()),
    ],
)
def test_without_an_order_the_limit_that_the_failure_met_tells(
    documents: StoredDocuments, code: FailureCode, had: AttemptSize
) -> None:
    failure = Failure(code, "It broke.", rule_id="r", evidence={"limit_bytes": 7})
    assert size_had(documents, attempt(), failure) == had


def test_what_it_had_outranks_the_profile_of_now() -> None:
    now = SizeRange(40, 64, 50, 100, ("48g", "80g"))
    context = decision_context(RUN, attempt(), "", 0)
    told = within(now, RUN, attempt(), context, AttemptSize(16, 8, "24g"))
    assert (told.memory_limit_bytes, told.scratch_bytes, told.gpu_class) == (16, 8, "24g")
    partly = within(now, RUN, attempt(), context, AttemptSize(memory_bytes=16))
    assert (partly.memory_limit_bytes, partly.scratch_bytes) == (16, 50)
