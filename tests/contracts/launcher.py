"""What every launcher must do. An adapter's test subclasses this and gives a ``launcher``.

The toy attempt does what the spec's backend says (``tests/support/toy_attempt.py``).
"""

from pathlib import Path

import pytest
from tests.support.attempts import make_spec, wait_for

from spikefleet.core.attempts import AttemptSpec
from spikefleet.infra.launchers.base import Launcher, NoSlotError, Observation, Phase, Slots


class LauncherContract:
    """Subclasses give ``launcher``: two CPU slots, one GPU slot, nothing started."""

    @pytest.fixture
    def launcher(self, tmp_path: Path) -> Launcher:
        raise NotImplementedError

    def spec(
        self, place: Path, behaviour: str, name: str = "r-sort-1", *, gpu: bool = False
    ) -> AttemptSpec:
        return make_spec(place, name, backend=behaviour, gpu=gpu)

    def ended(self, launcher: Launcher, name: str = "r-sort-1") -> Observation:
        wait_for(lambda: launcher.observe()[name].phase in (Phase.EXITED, Phase.GONE))
        return launcher.observe()[name]

    def await_running(self, launcher: Launcher, name: str = "r-sort-1") -> Observation:
        wait_for(lambda: launcher.observe()[name].heartbeat)
        found = launcher.observe()[name]
        assert found.phase is Phase.RUNNING
        return found

    def was_killed(self, seen: Observation) -> bool:
        """Whether an end shows that the attempt's first process was killed."""
        return (seen.exit_code, seen.signal, seen.outcome) == (None, 9, None)

    def was_told_to_end(self, seen: Observation) -> bool:
        """Whether an end shows that the attempt followed a SIGTERM."""
        return seen.signal == 15

    def test_nothing_started_nothing_seen(self, launcher: Launcher) -> None:
        assert launcher.observe() == {}
        assert launcher.free_slots() == Slots(cpu=2, gpu=1)

    def test_an_attempt_that_succeeds_is_seen_with_its_outcome(
        self, launcher: Launcher, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "succeed"))
        seen = self.ended(launcher)
        assert (seen.phase, seen.exit_code, seen.signal) == (Phase.EXITED, 0, None)
        assert seen.outcome is not None
        assert seen.outcome["exit_code"] == 0
        assert launcher.free_slots() == Slots(cpu=2, gpu=1)

    def test_an_attempt_that_fails_shows_code_and_message(
        self, launcher: Launcher, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "fail"))
        seen = self.ended(launcher)
        assert seen.exit_code == 110
        assert '"code": 110' in seen.termination_message

    def test_an_attempt_killed_from_outside_shows_the_signal(
        self, launcher: Launcher, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "die"))
        assert self.was_killed(self.ended(launcher))

    def test_starting_twice_runs_once(self, launcher: Launcher, tmp_path: Path) -> None:
        spec = self.spec(tmp_path, "wait")
        launcher.start(spec)
        launcher.start(spec)
        self.await_running(launcher)
        assert launcher.free_slots() == Slots(cpu=1, gpu=1)
        launcher.stop(spec.name, grace_s=0)
        self.ended(launcher)
        launcher.start(spec)
        assert launcher.observe()[spec.name].phase is not Phase.RUNNING

    def test_a_running_attempt_shows_its_heartbeat(
        self, launcher: Launcher, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "wait"))
        assert self.await_running(launcher).heartbeat == {"progress": {"step": "sort"}}

    def test_slots_are_counted_by_kind(self, launcher: Launcher, tmp_path: Path) -> None:
        for number in (1, 2):
            launcher.start(self.spec(tmp_path, "wait", f"cpu-{number}"))
        launcher.start(self.spec(tmp_path, "wait", "gpu-1", gpu=True))
        assert launcher.free_slots() == Slots(cpu=0, gpu=0)
        with pytest.raises(NoSlotError):
            launcher.start(self.spec(tmp_path, "wait", "cpu-3"))
        with pytest.raises(NoSlotError):
            launcher.start(self.spec(tmp_path, "wait", "gpu-2", gpu=True))
        assert set(launcher.observe()) == {"cpu-1", "cpu-2", "gpu-1"}

    def test_a_stop_ends_an_attempt_that_listens(self, launcher: Launcher, tmp_path: Path) -> None:
        launcher.start(self.spec(tmp_path, "wait"))
        self.await_running(launcher)
        launcher.stop("r-sort-1", grace_s=30)
        assert self.was_told_to_end(self.ended(launcher))

    def test_a_stop_ends_an_attempt_that_does_not_listen(
        self, launcher: Launcher, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "cling"))
        self.await_running(launcher)
        launcher.stop("r-sort-1", grace_s=0.2)
        assert launcher.observe()["r-sort-1"].phase is Phase.RUNNING
        assert self.was_killed(self.ended(launcher))

    def test_an_ended_attempt_is_forgotten_and_its_name_is_free(
        self, launcher: Launcher, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "succeed"))
        self.ended(launcher)
        launcher.forget("r-sort-1")
        assert launcher.observe() == {}
        launcher.start(self.spec(tmp_path, "fail"))
        assert self.ended(launcher).exit_code == 110

    def test_a_live_attempt_is_not_forgotten(self, launcher: Launcher, tmp_path: Path) -> None:
        launcher.start(self.spec(tmp_path, "wait"))
        launcher.forget("r-sort-1")
        self.await_running(launcher)
        assert "r-sort-1" in launcher.observe()

    def test_unknown_names_are_no_matter(self, launcher: Launcher) -> None:
        launcher.stop("nobody", grace_s=1)
        launcher.forget("nobody")
        assert launcher.observe() == {}
