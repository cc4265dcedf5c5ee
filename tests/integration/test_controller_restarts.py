"""The controller forgets everything, again and again, and its records end the same."""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.controlled import Controlled, answering, check_history, willing

from spikefleet.controller.stage_threads import Call, StageResult
from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.runs import Attempt, Run, RunState

DRIVER = Path(__file__).parent.parent / "support" / "controlled_driver.py"
UNREACHABLE = StageResult(failure=Failure(FailureCode.LOST, "No answer.", rule_id="room"))
SCENARIOS: dict[str, tuple[str, Call, RunState]] = {
    "success": ("succeed", willing, RunState.SUCCEEDED),
    "retries": (
        "fail:host_out_of_memory,die,succeed",
        answering({(Stage.CURATE, 1): UNREACHABLE, (Stage.REPORT, 1): UNREACHABLE}),
        RunState.SUCCEEDED,
    ),
    "failure": ("fail:sorter_crash", willing, RunState.FAILED),
}


def ends(controlled: Controlled, run_id: str) -> list[object]:
    """What must not depend on restarts."""
    run = controlled.runs.get_run(run_id)
    result = {k: v for k, v in run.result.items() if not k.endswith("_wall_s")}
    kinds = [event.kind for event in controlled.runs.events(run_id)]
    kinds = [kind for kind in kinds if kind != "attempt.running"]  # told only of who was seen so
    return [run.state, run.status, result, controlled.attempts(run_id), kinds]


def drive_with_restarts(controlled: Controlled, run_id: str, every: int) -> None:
    rounds = 0

    def restart_when_due() -> bool:
        nonlocal rounds
        rounds += 1
        if rounds % every == 0:
            controlled.rebuild()
        return controlled.is_settled(run_id)

    controlled.drive(restart_when_due)


@pytest.mark.parametrize("every", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_restart_between_any_two_rounds_changes_nothing(
    tmp_path: Path, scenario: str, every: int
) -> None:
    plan, call, state = SCENARIOS[scenario]
    found = []
    for folder, is_restarted in ((tmp_path / "calm", False), (tmp_path / "restarted", True)):
        folder.mkdir()
        controlled = Controlled(folder, plan, call)
        run_id = controlled.submit(n_jobs=4)
        if is_restarted:
            drive_with_restarts(controlled, run_id, every)
        else:
            controlled.finish(run_id)
        check_history(controlled, run_id)
        assert controlled.errors == 0
        names = Counter(start["name"] for start in controlled.starts())
        assert set(names.values()) == {1}
        found.append(ends(controlled, run_id))
        controlled.close()
    assert found[0] == found[1]
    assert found[0][0] == state


class StoppedHere(BaseException):
    """Stands for the death of the process: no border catches it."""


def stop_after(controlled: Controlled, writes: int) -> Callable[[], None]:
    """Make the controller die right after its n-th commit, before anything that follows it."""
    made = 0

    def count() -> None:
        nonlocal made
        made += 1
        if made == writes:
            raise StoppedHere

    return controlled.runs.on_change(count)


def drive_dying_at(folder: Path, plan: str, commit: int) -> tuple[list[object], bool]:
    """Drive a run; die once after the given commit. Say how it ended and whether it died."""
    folder.mkdir()
    controlled = Controlled(folder, plan)
    run_id = controlled.submit(n_jobs=4)
    undo = stop_after(controlled, commit)
    died = False
    try:
        controlled.finish(run_id)
    except StoppedHere:
        died = True
        controlled.rebuild()
        controlled.finish(run_id)
    undo()
    check_history(controlled, run_id)
    assert set(Counter(start["name"] for start in controlled.starts()).values()) == {1}
    assert controlled.launcher.observe() == {}
    found = ends(controlled, run_id)
    controlled.close()
    return found, died


@pytest.mark.slow
def test_a_death_after_any_commit_leaves_one_result(tmp_path: Path) -> None:
    calm, _ = drive_dying_at(tmp_path / "calm", "fail:host_out_of_memory,succeed", 0)
    for commit in range(1, 100):
        found, died = drive_dying_at(
            tmp_path / str(commit), "fail:host_out_of_memory,succeed", commit
        )
        assert found == calm, f"differs when it dies after commit {commit}"
        if not died:
            break
    assert commit > 15


@pytest.mark.slow
def test_a_controller_killed_at_random_moments_ends_every_run_once(tmp_path: Path) -> None:
    chance = random.Random(7)
    controlled = Controlled(tmp_path)
    run_ids = [controlled.submit(name, n_jobs=4) for name in "abc"]
    controlled.close()
    for _ in range(8):
        with (tmp_path / "driver.log").open("ab") as log:
            driver = subprocess.Popen(
                [sys.executable, str(DRIVER), str(tmp_path)], stdout=log, stderr=log
            )
        time.sleep(0.9 + chance.random() * 1.2)
        driver.kill()
        driver.wait()
    subprocess.run([sys.executable, str(DRIVER), str(tmp_path)], check=True, timeout=60)
    controlled = Controlled(tmp_path)
    names = Counter(start["name"] for start in controlled.starts())
    assert set(names.values()) == {1}
    for run_id in run_ids:
        assert controlled.runs.get_run(run_id).state is RunState.SUCCEEDED
        attempts = controlled.attempts(run_id)
        assert sum(a.startswith("sort") and a.endswith("succeeded") for a in attempts) == 1
        assert sum(a.startswith("report") for a in attempts) == 1
        check_history(controlled, run_id)
    controlled.close()


def test_a_call_that_was_made_but_not_recorded_is_made_again(tmp_path: Path) -> None:
    calls: list[str] = []

    def counted(run: Run, attempt: Attempt) -> StageResult:
        calls.append(attempt.name)
        time.sleep(0.1)
        return willing(run, attempt)

    controlled = Controlled(tmp_path, call=counted)
    run_id = controlled.submit()
    controlled.drive(lambda: calls)
    controlled.rebuild()
    assert controlled.finish(run_id).state is RunState.SUCCEEDED
    assert calls[0] == calls[1]
    assert len(set(calls)) == 3
    controlled.close()
