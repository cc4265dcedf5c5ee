"""Every launcher there is, held to the one contract; and what only processes can show."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contracts.launcher import LauncherContract
from tests.support.attempts import is_running, make_spec, wait_for, warm_starts

from spikefleet.core.attempts import AttemptSpec
from spikefleet.core.files import read_json
from spikefleet.infra.launchers import processes
from spikefleet.infra.launchers.base import Launcher, Phase, Slots
from spikefleet.infra.launchers.process import ProcessLauncher
from spikefleet.infra.launchers.warm import WarmStarts

TOY = Path(__file__).parents[1] / "support" / "toy_attempt.py"


def make_launcher(root: Path, warm: WarmStarts | None = None) -> ProcessLauncher:
    return ProcessLauncher(
        root,
        Slots(cpu=2, gpu=1),
        environment={**os.environ, "GIVEN": "yes"},
        command=lambda folder: [sys.executable, str(TOY), str(folder)],
        gpu_ids=("GPU-7",),
        warm=warm,
    )


class TestProcessLauncher(LauncherContract):
    @pytest.fixture
    def root(self, tmp_path: Path) -> Iterator[Path]:
        root = tmp_path / "attempts"
        yield root
        marked = [str(path) for path in root.glob("*")]
        for mark in marked:
            processes.signal_all(processes.marked_members(mark), signal.SIGKILL)

    @pytest.fixture
    def launcher(self, root: Path) -> ProcessLauncher:
        return make_launcher(root)

    def test_a_secret_is_told_to_the_process_and_lies_nowhere(
        self, launcher: Launcher, root: Path, tmp_path: Path
    ) -> None:
        secret = "5ec2e7" * 8
        launcher.start(self.spec(tmp_path, "wait"), secret=secret)
        self.await_running(launcher)
        folder = root / "r-sort-1"
        wait_for(lambda: read_json(folder / "told.json"))
        assert read_json(folder / "told.json") == {"length": len(secret), "is_end": True}
        pid = (read_json(folder / "started.json") or {})["pid"]
        seen = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
        seen += [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline")]
        assert len(seen) > 4
        assert not any(secret.encode() in data for data in seen)

    def test_a_new_launcher_adopts_what_still_runs(
        self, launcher: Launcher, root: Path, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "wait"))
        self.await_running(launcher)
        heir = make_launcher(root)
        assert heir.observe()["r-sort-1"].phase is Phase.RUNNING
        assert heir.free_slots() == Slots(cpu=1, gpu=1)
        heir.start(self.spec(tmp_path, "wait"))
        assert len((root / "r-sort-1" / "starts.txt").read_text().split()) == 1
        heir.stop("r-sort-1", grace_s=30)
        self.ended(launcher)

    def test_a_new_launcher_reads_the_end_it_did_not_see(
        self, launcher: Launcher, root: Path, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "fail"))
        wait_for(lambda: (root / "r-sort-1" / "outcome.json").exists())
        self.ended(launcher)
        (root / "r-sort-1" / "exit.json").unlink()
        seen = make_launcher(root).observe()["r-sort-1"]
        assert (seen.phase, seen.exit_code) == (Phase.EXITED, 110)

    def test_a_parent_that_died_unseen_without_an_outcome_is_gone(
        self, launcher: Launcher, root: Path, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "die"))
        self.ended(launcher)
        (root / "r-sort-1" / "exit.json").unlink()
        assert make_launcher(root).observe()["r-sort-1"].phase is Phase.GONE

    def test_children_of_a_killed_parent_are_killed(
        self, launcher: Launcher, root: Path, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "orphan"))
        self.await_running(launcher)
        family = json.loads((root / "r-sort-1" / "family.json").read_text())["pids"]
        assert [pid for pid in family if is_running(pid)] == family
        started = read_json(root / "r-sort-1" / "started.json") or {}
        os.kill(started["pid"], signal.SIGKILL)
        self.ended(launcher)
        wait_for(lambda: not any(is_running(pid) for pid in family))

    def test_a_reused_pid_is_not_taken_for_the_attempt(
        self, launcher: Launcher, root: Path, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "succeed"))
        self.ended(launcher)
        path = root / "r-sort-1" / "launch.json"
        launch = json.loads(path.read_text())
        launch["process"]["pid"] = os.getpid()
        path.write_text(json.dumps(launch))
        heir = make_launcher(root)
        assert heir.observe()["r-sort-1"].phase is Phase.EXITED
        heir.stop("r-sort-1", grace_s=0)

    def test_a_start_cut_short_after_the_spawn_is_found_by_its_command(
        self, launcher: Launcher, root: Path, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "wait"))
        self.await_running(launcher)
        folder = root / "r-sort-1"
        launch = json.loads((folder / "launch.json").read_text())
        launch["process"] = None
        (folder / "launch.json").write_text(json.dumps(launch))
        (folder / "started.json").unlink()
        heir = make_launcher(root)
        heir.start(self.spec(tmp_path, "wait"))
        assert heir.observe()["r-sort-1"].phase is Phase.RUNNING
        assert len((folder / "starts.txt").read_text().split()) == 1

    def test_a_start_cut_short_before_the_spawn_can_be_repeated(
        self, launcher: Launcher, root: Path, tmp_path: Path
    ) -> None:
        folder = root / "r-sort-1"
        folder.mkdir()
        intention = {"process": None, "command": ["never", "started"]}
        (folder / "launch.json").write_text(json.dumps(intention))
        assert launcher.observe() == {}
        launcher.start(self.spec(tmp_path, "succeed"))
        assert self.ended(launcher).exit_code == 0

    def test_a_stop_is_kept_by_the_next_launcher(
        self, launcher: Launcher, root: Path, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "cling"))
        self.await_running(launcher)
        launcher.stop("r-sort-1", grace_s=0.3)
        heir = make_launcher(root)
        wait_for(lambda: heir.observe()["r-sort-1"].phase is not Phase.RUNNING)
        assert heir.observe()["r-sort-1"].phase is Phase.GONE

    def test_only_gpu_attempts_see_a_gpu(
        self, launcher: Launcher, root: Path, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "succeed", "cpu"))
        launcher.start(self.spec(tmp_path, "succeed", "gpu", gpu=True))
        seen = {}
        for name in ("cpu", "gpu"):
            self.ended(launcher, name)
            seen[name] = read_json(root / name / "environment.json") or {}
        assert seen["cpu"] == {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "GIVEN": "yes"}
        assert seen["gpu"]["CUDA_VISIBLE_DEVICES"] == "GPU-7"

    def test_a_command_the_machine_refuses_is_an_error_and_no_attempt(
        self, root: Path, tmp_path: Path
    ) -> None:
        launcher = ProcessLauncher(
            root, Slots(cpu=1, gpu=0), environment={}, command=lambda _: ["/nowhere/python"]
        )
        with pytest.raises(OSError, match="nowhere"):
            launcher.start(self.spec(tmp_path, "succeed"))
        assert launcher.observe() == {}
        assert launcher.free_slots() == Slots(cpu=1, gpu=0)

    def test_a_name_that_leaves_the_root_is_refused(
        self, launcher: Launcher, tmp_path: Path
    ) -> None:
        with pytest.raises(ValueError, match="cannot name an attempt"):
            launcher.start(self.spec(tmp_path, "succeed", "../away"))


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmStarts]:
    starts = warm_starts("mountainsort5")
    yield starts
    starts.close()


class TestProcessLauncherFromATemplate(TestProcessLauncher):
    """Everything above, with attempts that are forked from a warm process."""

    @pytest.fixture
    def launcher(self, root: Path, warm: WarmStarts) -> ProcessLauncher:
        return make_launcher(root, warm)

    def spec(
        self, place: Path, behaviour: str, name: str = "r-sort-1", *, gpu: bool = False
    ) -> AttemptSpec:
        return make_spec(place, name, backend="mountainsort5", stream=behaviour, gpu=gpu)

    def test_the_attempt_has_a_waiting_child_that_ends_with_it(
        self, launcher: Launcher, root: Path, tmp_path: Path, warm: WarmStarts
    ) -> None:
        launcher.start(self.spec(tmp_path, "wait"))
        self.await_running(launcher)
        pid = (read_json(root / "r-sort-1" / "started.json") or {})["pid"]
        assert processes.descendants(warm.pid("mountainsort5"))[0] == pid
        (waiting,) = processes.descendants(pid)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not is_running(waiting))
        assert self.ended(launcher).signal == signal.SIGKILL

    def test_an_attempt_outlives_its_template_and_its_outcome_tells_the_end(
        self, root: Path, tmp_path: Path
    ) -> None:
        starts = warm_starts("mountainsort5")
        launcher = make_launcher(root, starts)
        launcher.start(self.spec(tmp_path, "wait"))
        self.await_running(launcher)
        starts.close()
        assert launcher.observe()["r-sort-1"].phase is Phase.RUNNING
        launcher.start(self.spec(tmp_path, "fail", "cold"))
        assert self.ended(launcher, "cold").exit_code == 110
        pid = (read_json(root / "r-sort-1" / "started.json") or {})["pid"]
        os.kill(pid, signal.SIGKILL)
        assert self.ended(launcher).phase is Phase.GONE
