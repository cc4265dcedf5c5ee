import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikefleet.core.config import preset
from spikefleet.core.config.digests import config_digest, sort_digest
from spikefleet.core.failures.codes import FAILURES, Disposition, FailureCategory, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.policy.decide import (
    DecisionContext,
    PastAttempt,
    Policy,
    apply_changes,
    decide,
    is_mended_by_release,
    possible_actions,
)
from spikefleet.core.policy.lanes import lane_of_hold
from spikefleet.core.sorters.row import LadderStep

F = FailureCode
CONFIG = preset("kilosort4").to_document()
LADDER = (
    LadderStep("gpu_out_of_memory", {"clear_cache": True}, result_neutral=True),
    LadderStep("parameter_sensitive", {"batch_size": 15000}, result_neutral=False),
    LadderStep("parameter_sensitive", {"Th_single_ch": 5}, result_neutral=False),
)
D = Disposition
ENDS = {D.SKIP, D.FAIL}
PARKED = {D.HOLD, D.REQUEUE}


def failure(code, **evidence):
    return Failure(code, "It broke.", evidence=evidence)


def answer(code, *, policy=None, history=(), config=CONFIG, ladder=(), evidence=None, **context):
    return decide(
        failure(code, **(evidence or {})),
        [PastAttempt("sort", past) for past in history],
        policy or Policy(),
        DecisionContext(config=config, ladder=ladder, **context),
    )


def play(codes, policy, ladder=LADDER, **context):
    """Let each attempt fail with the next cause; stop at the first end. Returns decisions."""
    history, params, decisions = [], {}, []
    for code in codes:
        decision = decide(
            failure(code),
            history,
            policy,
            DecisionContext(config=CONFIG, params=params, ladder=ladder, **context),
        )
        decisions.append(decision)
        if decision.action in ENDS:
            break
        history.append(PastAttempt("sort", code, params))
        params = dict(decision.changes)
    return decisions


def batch_sizes(decisions):
    return [decision.changes.get("sorter_params", {}).get("batch_size") for decision in decisions]


def test_every_row_of_the_table_gets_a_decision_with_a_rule_and_a_reason():
    for row in FAILURES:
        decision = answer(row.code, ladder=LADDER)
        assert decision.rule_id, row.code
        assert decision.reason.startswith("It broke."), row.code


def test_biology_is_skipped():
    of_biology = [row.code for row in FAILURES if row.category is FailureCategory.BIOLOGICAL]
    assert {answer(code).action for code in of_biology} == {D.SKIP}


def test_the_environment_never_spends_a_retry_of_another_cause():
    untouched = answer(F.INSUFFICIENT_ACTIVITY).budgets_left
    of_environment = [row.code for row in FAILURES if row.category is FailureCategory.ENVIRONMENT]
    spent = {
        name
        for code in of_environment
        for name, count in answer(code).budgets_left.items()
        if count != untouched[name]
    }
    assert spent == {"storage", "lease"}


@pytest.mark.parametrize(
    ("code", "action"),
    [
        (F.HDF5_PLUGIN_MISSING, D.HOLD),
        (F.MODEL_LOADING, D.HOLD),
        (F.INVALID_CONFIGURATION, D.FAIL),
        (F.CONCURRENT_SORT, D.REQUEUE),
        (F.STORAGE_UNAVAILABLE, D.RETRY_SAME),
        (F.INPUT_MISSING, D.SKIP),
        (F.INPUT_CORRUPT, D.RETRY_SAME),
        (F.GPU_OUT_OF_MEMORY, D.RETRY_SCALED),
        (F.HOST_OUT_OF_MEMORY, D.RETRY_SCALED),
        (F.GPU_THERMAL_WATCHDOG, D.RETRY_ELSEWHERE),
        (F.SORTER_TIMEOUT, D.RETRY_ELSEWHERE),
        (F.IO_STALL, D.RETRY_ELSEWHERE),
        (F.SORTER_CRASH, D.RETRY_SAME),
        (F.UNCLASSIFIED, D.RETRY_SAME),
        (F.DISRUPTED, D.RETRY_SAME),
        (F.DISK_EXHAUSTION, D.RETRY_SAME),
    ],
)
def test_the_first_answer_to_a_cause(code, action):
    assert answer(code).action is action


@pytest.mark.parametrize(
    ("code", "retries", "end"),
    [
        (F.SORTER_CRASH, 1, D.FAIL),
        (F.SORTER_TIMEOUT, 1, D.SKIP),
        (F.INPUT_CORRUPT, 1, D.SKIP),
        (F.INCOMPLETE, 1, D.FAIL),
        (F.NEVER_STARTED, 3, D.FAIL),
        (F.LOST, 5, D.FAIL),
        (F.STORAGE_UNAVAILABLE, 5, D.HOLD),
        (F.CONCURRENT_SORT, 20, D.HOLD),
    ],
)
def test_a_cause_is_retried_as_often_as_its_budget_allows(code, retries, end):
    for done in range(retries):
        assert answer(code, history=[code] * done).action not in ENDS | {D.HOLD}
    last = answer(code, history=[code] * retries)
    assert last.action is end
    assert last.rule_id.endswith(".spent")
    assert f"{retries} of {retries}" in last.reason


def test_crash_and_unknown_failure_share_one_budget():
    assert answer(F.UNCLASSIFIED, history=[F.SORTER_CRASH]).action is D.FAIL


def test_corrupt_input_that_was_verified_is_not_fetched_again():
    decision = answer(F.INPUT_CORRUPT, evidence={"digest_verified": True})
    assert (decision.action, decision.rule_id) == (D.SKIP, "input.verified")


def test_a_file_that_is_still_written_is_waited_for_and_then_given_up():
    still = failure(FailureCode.INPUT_CORRUPT, reason="still_written", digest_verified=True)
    context = DecisionContext(stage="sort", params={}, config=CONFIG, ladder=())
    history, waited_s = [], 0.0
    while (found := decide(still, history, Policy(), context)).action is D.RETRY_SAME:
        assert found.rule_id == "still_written.retry_same"
        waited_s += found.delay_s
        history.append(PastAttempt("sort", still.code, reason="still_written"))
    assert found.action is D.SKIP
    assert found.rule_id == "still_written.spent"
    assert waited_s > 2400
    damaged = failure(FailureCode.INPUT_CORRUPT, reason="truncated")
    assert decide(damaged, history, Policy(), context).action is D.RETRY_SAME


def test_disruptions_between_out_of_memory_failures_neither_reset_nor_spend_anything():
    policy = Policy(oom_retry_max=2, oom_retry_factor=0.5)
    causes = [F.GPU_OUT_OF_MEMORY, F.DISRUPTED, F.GPU_OUT_OF_MEMORY, F.DISRUPTED]
    decisions = play(causes, policy)
    assert batch_sizes(decisions) == [30000, 30000, 15000, 15000]
    assert [d.budgets_left["gpu_memory"] for d in decisions] == [1, 1, 0, 0]
    assert [d.budgets_left["infrastructure"] for d in decisions] == [5, 4, 4, 3]
    assert all(decision.result_affecting for decision in decisions)


def test_the_submitter_can_forbid_retries_with_smaller_batches():
    config = preset("kilosort4").override(oom_retry_max=0).to_document()
    decision = answer(F.GPU_OUT_OF_MEMORY, policy=Policy.from_config(config))
    assert decision.action is D.FAIL


def test_factor_and_starting_batch_come_from_the_configuration():
    config = preset("kilosort4").override(
        oom_retry_factor=0.25, **{"sorter_params.batch_size": 40000}
    )
    document = config.to_document()
    decision = answer(
        F.GPU_OUT_OF_MEMORY, policy=Policy.from_config(document), config=document, ladder=LADDER
    )
    assert decision.changes["sorter_params"] == {"batch_size": 10000, "clear_cache": True}


def test_a_batch_is_not_made_smaller_than_the_sorter_can_use():
    config = preset("kilosort4").override(**{"sorter_params.batch_size": 1500}).to_document()
    decision = answer(F.GPU_OUT_OF_MEMORY, config=config)
    assert (decision.action, decision.rule_id) == (D.FAIL, "gpu_memory.no_step")


def test_a_sorter_without_batches_cannot_be_scaled_for_the_gpu():
    assert answer(F.GPU_OUT_OF_MEMORY, config=preset("lupin").to_document()).action is D.FAIL


def test_memory_grows_by_half_up_to_the_cap_and_then_workers_are_halved():
    policy = Policy(memory_cap_bytes=11_000)
    decisions = play([F.HOST_OUT_OF_MEMORY] * 3, policy, memory_limit_bytes=8_000)
    assert decisions[0].changes == {"memory_limit_bytes": 11_000}
    assert decisions[1].changes == {"memory_limit_bytes": 11_000, "n_jobs": 4}
    assert not decisions[1].result_affecting
    assert decisions[2].action is D.FAIL


def test_a_step_that_can_change_spikes_is_refused_without_leave_and_named():
    decision = answer(F.PARAMETER_SENSITIVE, ladder=LADDER)
    assert decision.action is D.FAIL
    assert "batch_size=15000" in decision.reason


def test_a_step_that_can_change_spikes_is_stamped_when_allowed():
    policy = Policy(allow_result_affecting=True)
    decisions = play([F.PARAMETER_SENSITIVE] * 3, policy)
    assert [d.action for d in decisions] == [
        D.RETRY_SCALED,
        D.RETRY_SCALED,
        D.FAIL,
    ]
    assert decisions[1].changes["sorter_params"] == {"batch_size": 15000, "Th_single_ch": 5}
    assert decisions[0].result_affecting


def test_a_step_never_makes_a_users_smaller_batch_larger():
    config = preset("kilosort4").override(sorter_params={"batch_size": 10_000}).to_document()
    policy = Policy(allow_result_affecting=True)
    first = answer(F.PARAMETER_SENSITIVE, policy=policy, config=config, ladder=LADDER)
    assert first.changes["sorter_params"] == {"Th_single_ch": 5}
    over = answer(
        F.PARAMETER_SENSITIVE,
        policy=policy,
        config=config,
        ladder=LADDER,
        history=[F.PARAMETER_SENSITIVE],
        params=first.changes,
    )
    assert over.action is D.FAIL


def test_a_step_keeps_the_batch_that_memory_allowed():
    policy = Policy(allow_result_affecting=True, oom_retry_max=3)
    decisions = play([*[F.GPU_OUT_OF_MEMORY] * 3, F.PARAMETER_SENSITIVE], policy)
    smallest = decisions[-2].changes["sorter_params"]["batch_size"]
    assert decisions[-1].changes["sorter_params"]["batch_size"] <= smallest


def test_retry_elsewhere_avoids_every_node_it_failed_on():
    first = answer(F.IO_STALL, node="b")
    again = answer(F.SORTER_TIMEOUT, node="a", params=first.changes)
    assert again.changes["exclude_nodes"] == ["a", "b"]


def test_a_second_gpu_fault_is_answered_with_smaller_batches():
    assert "sorter_params" not in answer(F.GPU_FAULT).changes
    assert (
        answer(F.GPU_FAULT, history=[F.GPU_FAULT]).changes["sorter_params"]["batch_size"] == 30000
    )


def test_waiting_grows_and_a_hot_gpu_is_given_time():
    waits = [answer(F.LOST, history=[F.LOST] * done).delay_s for done in range(5)]
    assert waits == sorted(waits)
    assert waits[0] < waits[-1]
    assert answer(F.GPU_THERMAL_WATCHDOG).delay_s == 300


def test_changes_are_laid_over_a_configuration_document_without_touching_it():
    changes = {"sorter_params": {"batch_size": 1}, "n_jobs": 2, "memory_limit_bytes": 5}
    changed = apply_changes(CONFIG, changes)
    assert changed["sorter"]["sorter_params"] == {"batch_size": 1}
    assert changed["execution"]["n_jobs"] == 2
    assert CONFIG["sorter"]["sorter_params"] is None


codes = st.lists(st.sampled_from(list(F)), min_size=60, max_size=80)
policies = st.builds(
    Policy,
    oom_retry_max=st.integers(0, 4),
    oom_retry_factor=st.floats(0.1, 0.9),
    allow_result_affecting=st.booleans(),
    memory_cap_bytes=st.integers(0, 10**10),
)


@settings(max_examples=200, deadline=None)
@given(codes, policies)
def test_budgets_are_never_negative_and_never_grow(causes, policy):
    before = None
    decisions = play(causes, policy, memory_limit_bytes=10**9)
    assert decisions
    for decision in decisions:
        assert all(count >= 0 for count in decision.budgets_left.values())
        if before is not None:
            assert all(decision.budgets_left[name] <= before[name] for name in before)
        before = decision.budgets_left


@settings(max_examples=200, deadline=None)
@given(codes, policies)
def test_unless_a_person_must_act_an_end_always_comes(causes, policy):
    retrying = [code for code in causes if answer(code).action is not D.HOLD]
    decisions = play(retrying * 3, policy)
    ended = decisions[-1].action in ENDS or decisions[-1].action in PARKED
    assert ended or len(retrying) == 0
    assert len([d for d in decisions if d.action not in PARKED]) <= 60


@settings(max_examples=200, deadline=None)
@given(codes, policies)
def test_every_decision_is_one_of_those_that_its_code_may_get(causes, policy):
    for memory_limit_bytes in (0, 10**9):
        decisions = play(causes, policy, memory_limit_bytes=memory_limit_bytes)
        told = [(code, decision.action) for code, decision in zip(causes, decisions, strict=False)]
        assert told
        assert [(c, a) for c, a in told if a not in possible_actions(c)] == []


@settings(max_examples=100, deadline=None)
@given(codes, policies)
def test_the_same_history_always_gives_the_same_decisions(causes, policy):
    assert play(causes, policy) == play(causes, policy)


@settings(max_examples=100, deadline=None)
@given(codes, st.integers(0, 3))
def test_spikes_are_never_changed_without_leave(causes, oom_retry_max):
    policy = Policy(oom_retry_max=oom_retry_max)
    decisions = play(causes, policy)
    assert decisions
    for decision in decisions:
        names = set(decision.changes.get("sorter_params", {}))
        assert names <= {"clear_cache", "batch_size"}
        if oom_retry_max == 0:
            assert not decision.result_affecting


def test_the_submitter_allows_steps_that_can_change_spikes():
    allowed = preset("kilosort4").override(allow_result_affecting=True).to_document()
    policy = Policy.from_config(allowed)
    decision = answer(F.PARAMETER_SENSITIVE, policy=policy, config=allowed, ladder=LADDER)
    assert decision.action is D.RETRY_SCALED
    assert decision.result_affecting
    refused = answer(F.PARAMETER_SENSITIVE, policy=Policy.from_config(CONFIG), ladder=LADDER)
    assert "execution.allow_result_affecting=true" in refused.reason


def test_leave_for_retries_is_no_reason_to_sort_again():
    given = preset("kilosort4")
    assert sort_digest(given) == sort_digest(given.override(allow_result_affecting=True))
    assert config_digest(given) != config_digest(given.override(allow_result_affecting=True))


def test_a_full_disk_is_waited_for_and_then_held():
    decisions = [answer(F.DISK_EXHAUSTION, history=[F.DISK_EXHAUSTION] * n) for n in range(6)]
    assert [d.action for d in decisions] == [D.RETRY_SAME] * 5 + [D.HOLD]
    assert [d.delay_s for d in decisions[:4]] == [60.0, 120.0, 240.0, 300.0]
    assert "waiting for room" in decisions[0].reason
    assert is_mended_by_release(F.DISK_EXHAUSTION)


def test_a_scratch_claim_that_was_too_small_is_made_larger():
    decision = answer(F.DISK_EXHAUSTION, scratch_bytes=10)
    assert (decision.action, decision.changes) == (D.RETRY_SCALED, {"scratch_bytes": 20})


def test_a_full_disk_holds_the_sorters_lane_whatever_the_parameters():
    full = failure(F.DISK_EXHAUSTION)
    assert lane_of_hold("lupin", full, {"sorter": {"sorter_params": {"a": 1}}}) == "lupin"


def test_a_queue_that_takes_a_place_back_spends_nothing_of_other_causes():
    taken = {"reason": "preempted_by_queue"}
    history = [PastAttempt("sort", F.DISRUPTED, reason="preempted_by_queue")] * 50
    decision = decide(failure(F.DISRUPTED, **taken), history, Policy(), DecisionContext())
    assert decision.action is D.RETRY_SAME
    assert decision.budgets_left["infrastructure"] == Policy().limit("infrastructure")


def test_disruptions_are_bounded_by_a_budget_of_their_own():
    history = [PastAttempt("sort", F.DISRUPTED, reason="disruption")] * 5
    decision = decide(failure(F.DISRUPTED), history, Policy(), DecisionContext())
    assert (decision.action, decision.rule_id) == (D.FAIL, "infrastructure.spent")


def test_after_a_lost_node_the_next_attempt_stays_away_from_it():
    lost = answer(F.DISRUPTED, evidence={"reason": "node_lost"}, node="node-a")
    assert (lost.action, lost.changes["exclude_nodes"]) == (D.RETRY_ELSEWHERE, ["node-a"])
    drained = answer(F.DISRUPTED, evidence={"reason": "disruption"}, node="node-a")
    assert (drained.action, drained.changes) == (D.RETRY_SAME, {})
