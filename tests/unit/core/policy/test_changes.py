"""What a cluster's retries get more of: memory, scratch and GPU, up to what a profile allows."""

from dataclasses import replace

from spikefleet.core.config import preset
from spikefleet.core.failures.codes import Disposition, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.policy.decide import (
    DecisionContext,
    PastAttempt,
    Policy,
    decide,
    is_mended_by_release,
)
from spikefleet.core.policy.lanes import lane_of_hold
from spikefleet.core.policy.sizes import SizeRange, attempt_size
from spikefleet.core.sorters.catalogue import BACKENDS

F, D = FailureCode, Disposition
CONFIG = preset("kilosort4").to_document()
LADDER = BACKENDS["kilosort4"].ladder
OVER = {D.SKIP, D.FAIL, D.HOLD, D.REQUEUE}


def failure(code):
    return Failure(code, "It broke.")


GIB = 1 << 30
ALLOWED = SizeRange(16 * GIB, 40 * GIB, 100 * GIB, 300 * GIB, ("24g", "80g"))


def escalate(code, *, config=CONFIG, policy=None, start=None, allowed=ALLOWED):
    """Let every attempt fail of the same until there is no retry; sizes as they were given."""
    history, params, found = [], dict(start or {}), []
    while True:
        size = attempt_size(allowed, {}, params)
        context = DecisionContext(
            config=config,
            params=params,
            ladder=LADDER,
            allowed=allowed,
            node="node-a",
            memory_limit_bytes=size.memory_bytes,
            scratch_bytes=size.scratch_bytes,
        )
        decision = decide(failure(code), history, policy or Policy(), context)
        found.append((size, decision))
        if decision.action in OVER:
            return found
        history.append(PastAttempt("sort", code, params))
        params = dict(decision.changes)


def single_worker():
    config = preset("kilosort4").override(n_jobs=1).to_document()
    policy = Policy(limits={**Policy().limits, "host_memory": 9})
    return {"config": config, "policy": policy}


def test_memory_grows_in_a_cluster_up_to_what_the_profile_allows_and_then_a_person_is_asked():
    found = escalate(F.HOST_OUT_OF_MEMORY, **single_worker())
    assert [size.memory_bytes // GIB for size, _ in found] == [16, 24, 36, 40]
    last = found[-1][1]
    assert (last.action, last.rule_id) == (D.HOLD, "host_memory.at_largest")
    assert "largest memory" in last.reason
    assert "40 GiB" in last.reason
    assert is_mended_by_release(F.HOST_OUT_OF_MEMORY)


def test_a_run_that_needs_more_holds_itself_and_nobody_else():
    last = escalate(F.HOST_OUT_OF_MEMORY, **single_worker())[-1][1]
    lane = lane_of_hold("kilosort4", failure(F.HOST_OUT_OF_MEMORY), CONFIG, last.rule_id)
    assert lane == "kilosort4/needs-more"


def test_once_a_person_has_allowed_more_the_released_run_gets_more_at_once():
    last = escalate(F.HOST_OUT_OF_MEMORY, **single_worker())[-1][1]
    more = SizeRange(16 * GIB, 100 * GIB)
    assert attempt_size(more, {}, last.changes).memory_bytes == 60 * GIB
    assert attempt_size(ALLOWED, {}, last.changes).memory_bytes == 40 * GIB


def test_scratch_doubles_up_to_what_the_profile_allows_without_waiting_for_room():
    found = escalate(F.DISK_EXHAUSTION)
    assert [size.scratch_bytes // GIB for size, _ in found] == [100, 200, 300]
    assert [decision.delay_s for _, decision in found[:2]] == [2.0, 4.0]
    assert (found[-1][1].action, found[-1][1].rule_id) == (D.HOLD, "disk.at_largest")


def test_a_larger_gpu_is_taken_when_batches_may_not_become_smaller():
    found = escalate(F.GPU_OUT_OF_MEMORY, policy=Policy(oom_retry_max=1))
    assert [size.gpu_class for size, _ in found] == ["24g", "24g", "80g"]
    assert found[1][1].changes["sorter_params"] == found[0][1].changes["sorter_params"]
    assert found[-1][1].action is D.FAIL
    none = escalate(F.GPU_OUT_OF_MEMORY, policy=Policy(oom_retry_max=0))
    assert [size.gpu_class for size, _ in none] == ["24g", "80g"]
    assert "sorter_params" not in none[0][1].changes


def test_a_gpu_that_others_share_is_left_for_a_larger_one_at_once_and_batches_come_last():
    shared = replace(ALLOWED, is_gpu_shared=True)
    found = escalate(F.GPU_OUT_OF_MEMORY, policy=Policy(oom_retry_max=2), allowed=shared)
    assert [size.gpu_class for size, _ in found] == ["24g", "80g", "80g"]
    assert "sorter_params" not in found[0][1].changes
    assert "batch_size" in found[1][1].changes["sorter_params"]
    assert all(decision.changes["exclude_nodes"] == ["node-a"] for _, decision in found[:2])
    assert found[-1][1].action is D.FAIL
    only = escalate(
        F.GPU_OUT_OF_MEMORY,
        policy=Policy(oom_retry_max=1),
        allowed=replace(shared, gpu_classes=()),
    )
    assert len(only) == 2
    assert "batch_size" in only[0][1].changes["sorter_params"]
