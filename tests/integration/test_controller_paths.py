"""Where a run goes: every end of every stage, on real records and real processes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.attempts import wait_for
from tests.support.controlled import Controlled, answering, check_history, willing

from spikefleet.controller.stage_threads import StageResult
from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode, RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.policy.lanes import PLUGIN_LANE
from spikefleet.core.runs import LeaseRefusal, RunState
from spikefleet.infra.launchers.base import Phase

Make = Callable[..., Controlled]
UNSORTABLE = StageResult(
    {"preflight": {"findings": [{"code": "flat"}]}},
    failure=Failure(FailureCode.NO_GOOD_CHANNELS, "All flat.", rule_id="preflight.flat"),
)
PLUGIN_MISSING = StageResult(failure=Failure(FailureCode.HDF5_PLUGIN_MISSING, "No plugin."))
BROKEN = StageResult(failure=Failure(FailureCode.UNCLASSIFIED, "It broke."))


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Controlled] = []

    def start(plan: str = "succeed", **more: object) -> Controlled:
        made.append(Controlled(tmp_path, plan, **more))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for controlled in made:
        controlled.close()


def batch_sizes(controlled: Controlled) -> list[int | None]:
    """The batch size that every start was given."""
    configs = [start["config"]["sorter"]["sorter_params"] or {} for start in controlled.starts()]
    return [config.get("batch_size") for config in configs]


def test_a_run_passes_every_stage_and_points_at_what_it_made(make: Make) -> None:
    controlled = make()
    run_id = controlled.submit()
    run = controlled.finish(run_id)
    assert (run.state, run.status, run.failure) == (RunState.SUCCEEDED, RunStatus.SUCCESS, None)
    stages = ["preflight-1", "sort-1", "curate-1", "report-1"]
    assert controlled.attempts(run_id) == [f"{stage} succeeded" for stage in stages]
    assert (run.result["n_units_curated"], run.result["n_spikes"]) == (2, 900)
    prefix = f"runs/{run_id}/attempts"
    assert controlled.current(run_id) == {
        "sort": f"{prefix}/sort-1",
        "curate": f"{prefix}/curate-1",
        "report": f"{prefix}/report-1",
    }
    check_history(controlled, run_id)
    assert controlled.launcher.observe() == {}


def test_an_unsortable_recording_gets_a_report_and_is_skipped(make: Make) -> None:
    controlled = make(call=answering({(Stage.PREFLIGHT, 1): UNSORTABLE}))
    run = controlled.finish(controlled.submit())
    assert (run.state, run.status) == (RunState.SKIPPED, RunStatus.UNSORTABLE)
    assert controlled.attempts(run.run_id) == ["preflight-1 failed", "report-1 succeeded"]
    assert run.failure is not None
    assert run.failure.code is FailureCode.NO_GOOD_CHANNELS
    assert run.result["preflight"]["findings"] == [{"code": "flat"}]
    assert controlled.starts() == []


def test_a_sort_out_of_memory_is_tried_again_with_less(make: Make) -> None:
    controlled = make("fail:host_out_of_memory,succeed")
    run = controlled.finish(controlled.submit(n_jobs=4))
    assert run.state is RunState.SUCCEEDED
    assert [start["config"]["execution"]["n_jobs"] for start in controlled.starts()] == [4, 2]
    assert run.failure is None
    assert run.status is RunStatus.SUCCESS


def test_an_allowed_retry_that_can_change_spikes_is_stamped(make: Make) -> None:
    controlled = make("fail:gpu_out_of_memory,succeed")
    run = controlled.finish(controlled.submit())
    assert batch_sizes(controlled) == [None, 30000]
    assert run.result["result_affecting"] is True
    assert run.result["params"]["sorter_params"]["batch_size"] == 30000


def test_a_cause_keeps_its_budget_across_other_causes(make: Make) -> None:
    controlled = make("fail:gpu_out_of_memory,die,fail:gpu_out_of_memory,die,succeed")
    run = controlled.finish(controlled.submit(oom_retry_max=2))
    assert batch_sizes(controlled) == [None, 30000, 30000, 15000, 15000]
    assert run.state is RunState.SUCCEEDED


def test_a_step_that_an_attempt_took_by_itself_is_not_taken_again(make: Make) -> None:
    controlled = make("stepped:gpu_out_of_memory,succeed")
    run = controlled.finish(controlled.submit())
    assert batch_sizes(controlled) == [None, 15000]
    assert run.result["result_affecting"] is True


def test_a_sort_that_began_smaller_is_stamped_with_what_it_ran_with(make: Make) -> None:
    run = (controlled := make("stepped:")).finish(controlled.submit())
    assert run.state is RunState.SUCCEEDED
    assert run.result["result_affecting"] is True
    assert run.result["params"]["sorter_params"]["batch_size"] == 30000


def test_an_own_fault_is_tried_once_more_and_then_fails(make: Make) -> None:
    controlled = make("fail:sorter_crash")
    run = controlled.finish(controlled.submit())
    assert (run.state, run.status) == (RunState.FAILED, RunStatus.FAILED)
    ends = ["preflight-1 succeeded", "sort-1 failed", "sort-2 failed", "report-1 succeeded"]
    assert controlled.attempts(run.run_id) == ends
    assert controlled.current(run.run_id) == {"report": f"runs/{run.run_id}/attempts/report-1"}


def test_every_decision_explains_itself(make: Make) -> None:
    controlled = make("fail:sorter_crash")
    run = controlled.finish(controlled.submit())
    bodies = [event.body for event in controlled.decisions(run.run_id)]
    assert [body["rule_id"] for body in bodies] == ["internal.retry_same", "internal.spent"]
    for body in bodies:
        assert body["code"] == "sorter_crash"
        assert body["budgets_left"]["internal"] == 0
        assert {"params", "changes", "reason", "attempt", "stage"} <= set(body)


@pytest.mark.parametrize("stage", [Stage.PREFLIGHT, Stage.CURATE])
def test_a_missing_plugin_holds_those_who_need_it_until_it_is_released(
    make: Make, stage: Stage
) -> None:
    controlled = make(call=answering({(stage, 1): PLUGIN_MISSING}))
    run = controlled.finish(controlled.submit())
    assert (run.state, run.status, run.stage) == (RunState.HELD, RunStatus.ENVIRONMENT, stage)
    (hold,) = controlled.runs.holds()
    assert (hold.lane, hold.run_id, hold.held_run_count) == (PLUGIN_LANE, run.run_id, 1)
    assert "No plugin." in hold.reason
    assert controlled.runs.release_hold(PLUGIN_LANE) == 1
    run = controlled.finish(run.run_id)
    assert (run.state, run.status) == (RunState.SUCCEEDED, RunStatus.SUCCESS)
    check_history(controlled, run.run_id)


def test_a_held_lane_stops_its_other_sorts_and_no_one_elses(make: Make) -> None:
    controlled = make("fail:model_loading,succeed")
    first = controlled.finish(controlled.submit("a"))
    assert first.state is RunState.HELD
    other, else_where = controlled.submit("b"), controlled.submit("c", preset="lupin")
    controlled.finish(other)
    second = controlled.runs.get_run(other)
    assert (second.state, second.stage) == (RunState.HELD, Stage.SORT)
    told = next(e for e in controlled.runs.events(other) if e.kind == "run.held")
    assert told.body["since_run"] == first.run_id
    assert told.body["reason"]
    # The other backend's lane is its own; its first attempt also meets the plan's model_loading.
    controlled.finish(else_where)
    assert {hold.lane for hold in controlled.runs.holds()} == {"kilosort4", "lupin"}
    controlled.plan = "succeed"
    assert controlled.runs.release_hold("kilosort4") == 2
    assert controlled.finish(first.run_id, other).state is RunState.SUCCEEDED
    assert controlled.runs.get_run(other).state is RunState.SUCCEEDED
    assert controlled.runs.get_run(else_where).state is RunState.HELD


def test_refused_parameters_fail_the_run_and_hold_nothing(make: Make) -> None:
    controlled = make("fail:invalid_configuration")
    run = controlled.finish(controlled.submit())
    assert run.state is RunState.FAILED
    assert len(controlled.starts()) == 1
    assert controlled.runs.holds() == []


def test_a_killed_attempt_is_lost_and_tried_again_unchanged(make: Make) -> None:
    controlled = make("die,die,succeed")
    run = controlled.finish(controlled.submit())
    assert run.state is RunState.SUCCEEDED
    codes = [event.body["code"] for event in controlled.decisions(run.run_id)]
    assert codes == ["lost", "lost"]


def test_a_killed_attempt_whose_result_was_complete_has_sorted(make: Make) -> None:
    controlled = make("vanish")
    run = controlled.finish(controlled.submit())
    assert run.state is RunState.SUCCEEDED
    assert run.result["n_units_sorted"] == 3
    assert len(controlled.starts()) == 1


def test_exit_zero_without_a_result_is_tried_once_more_and_then_fails(make: Make) -> None:
    controlled = make("hollow")
    run = controlled.finish(controlled.submit())
    assert run.state is RunState.FAILED
    codes = [event.body["code"] for event in controlled.decisions(run.run_id)]
    assert codes == ["incomplete", "incomplete"]


def test_a_curation_that_breaks_twice_fails_the_run_but_keeps_the_sort(make: Make) -> None:
    controlled = make(call=answering({(Stage.CURATE, n): BROKEN for n in (1, 2)}))
    run = controlled.finish(controlled.submit())
    assert run.state is RunState.FAILED
    assert set(controlled.current(run.run_id)) == {"sort", "report"}


def test_a_room_that_raises_is_a_failure_and_not_an_endless_loop(make: Make) -> None:
    def broken(run, attempt):  # type: ignore[no-untyped-def]
        if attempt.stage is Stage.CURATE:
            raise KeyError("bug")
        return willing(run, attempt)

    controlled = make(call=broken)
    run = controlled.finish(controlled.submit())
    assert run.state is RunState.FAILED
    assert run.failure is not None
    assert run.failure.rule_id == "stage.call_broke"
    assert run.failure.evidence["exception_type"] == "KeyError"
    assert controlled.errors == 0


@pytest.mark.parametrize("plan", ["succeed", "fail:invalid_configuration"])
def test_a_report_that_fails_changes_no_end(make: Make, plan: str) -> None:
    controlled = make(plan, call=answering({(Stage.REPORT, n): BROKEN for n in (1, 2)}))
    run = controlled.finish(controlled.submit())
    assert run.state is (RunState.SUCCEEDED if plan == "succeed" else RunState.FAILED)
    assert controlled.attempts(run.run_id)[-2:] == ["report-1 failed", "report-2 failed"]


def test_a_machine_that_cannot_start_attempts_spends_its_own_budget(make: Make) -> None:
    controlled = make()
    controlled.launcher._command = lambda root: ["/nonexistent/program", str(root)]
    run = controlled.finish(controlled.submit())
    assert run.state is RunState.FAILED
    rules = [event.body["rule_id"] for event in controlled.decisions(run.run_id)]
    assert rules == ["never_started.retry_same"] * 3 + ["never_started.spent"]
    assert list((controlled.folder / "attempts").iterdir()) == []


def test_an_attempt_whose_folder_is_taken_away_is_lost_after_two_looks(make: Make) -> None:
    controlled = make("wait,succeed")
    run_id = controlled.submit()
    controlled.await_sort(run_id)
    (name,) = controlled.launcher.observe()
    controlled.launcher.stop(name, grace_s=0)
    wait_for(lambda: controlled.launcher.observe()[name].phase is not Phase.RUNNING)
    controlled.launcher.forget(name)
    run = controlled.finish(run_id)
    assert run.state is RunState.SUCCEEDED
    assert [start["name"][-6:] for start in controlled.starts()] == ["sort-1", "sort-2"]


def test_more_sorts_than_slots_wait_their_turn(make: Make) -> None:
    controlled = make("slow", cpu_slots=1)
    run_ids = [controlled.submit(name) for name in "abc"]
    controlled.finish(*run_ids)
    assert [start["name"] for start in controlled.starts()] == [
        f"s-{run_id.removeprefix('run-')}-sort-1" for run_id in run_ids
    ]


def test_a_run_the_controller_trips_over_is_looked_at_ever_less_and_harms_no_other(
    make: Make,
) -> None:
    controlled = make()
    troubled, calm = controlled.submit("a"), controlled.submit("b")
    blocked = controlled.folder / "artifacts" / "runs" / troubled
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where a folder must be")
    controlled.drive(lambda: controlled.runs.get_run(calm).is_terminal)
    rounds, errors = controlled.rounds, controlled.errors
    for _ in range(50):
        controlled.step()
    assert controlled.runs.get_run(calm).state is RunState.SUCCEEDED
    assert controlled.errors - errors <= 2
    assert controlled.rounds == rounds + 50
    blocked.unlink()
    controlled.clock.skip(60)
    assert controlled.finish(troubled).is_terminal


def test_an_attempt_out_of_sight_keeps_its_lease_and_the_next_one_waits_for_it(
    make: Make, tmp_path: Path
) -> None:
    controlled = make("wait")
    run_id = controlled.submit()
    controlled.await_sort(run_id)
    (attempt,) = controlled.runs.live_attempts()
    controlled.runs.take_lease(attempt.attempt_id, "node-7/31/a")
    folder, hidden = tmp_path / "attempts" / attempt.name, tmp_path / "hidden"
    folder.rename(hidden)  # the launcher cannot see it; its process goes on
    controlled.drive_rounds(4)
    run = controlled.runs.get_run(run_id)
    assert run.state is RunState.WAITING
    (decision,) = controlled.decisions(run_id)
    assert decision.kind == "decision.retry_same"
    assert 50 < decision.body["lease_wait_s"] <= 61
    lease = controlled.runs.lease_of(run_id)
    assert lease is not None
    assert run.not_before is not None
    assert run.not_before > lease.expires_at
    refused = controlled.runs.take_lease(attempt.attempt_id, "node-7/31/a")
    assert refused.refusal is LeaseRefusal.ENDED
    hidden.rename(folder)
    controlled.drive_rounds(1)  # seen again, and stopped, for the records have ended it
    wait_for(lambda: controlled.launcher.observe()[attempt.name].phase is not Phase.RUNNING)


def test_an_attempt_that_was_seen_to_end_gives_its_lease_back(make: Make) -> None:
    controlled = make("wait")
    run_id = controlled.submit()
    controlled.await_sort(run_id)
    (attempt,) = controlled.runs.live_attempts()
    controlled.runs.take_lease(attempt.attempt_id, "node-7/31/a")
    controlled.runs.request_cancel(run_id)
    controlled.finish(run_id)
    lease = controlled.runs.lease_of(run_id)
    assert lease is not None
    assert (lease.released, lease.left_s) == (True, 0.0)
