"""Real sorts whose child is forked from a warm process, beside ones that start cold."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from spikeinterface.core import load
from tests.support.attempts import is_running, wait_for, warm_starts

from spikefleet.core.attempts import AttemptSpec, InputFile, RunFolder
from spikefleet.core.config import resolve
from spikefleet.core.files import read_json
from spikefleet.core.recording.file_sets import recording_files
from spikefleet.infra.launchers import processes
from spikefleet.infra.launchers.base import Observation, Phase, Slots
from spikefleet.infra.launchers.process import ProcessLauncher
from spikefleet.infra.launchers.warm import WarmStarts
from spikefleet.signal.simulation import SimulationRequest, simulate

SORTER = "mountainsort5"
KNOWN = ("PATH", "HOME", "LANG", "PYTHONPATH")


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmStarts]:
    starts = warm_starts(SORTER)
    yield starts
    starts.close()


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("recording") / "short"
    return simulate(SimulationRequest("binary", place, 8, 6.0, 4, seed=1)).path


def make_launcher(root: Path, warm: WarmStarts | None = None, **more: str) -> ProcessLauncher:
    environment = {key: os.environ[key] for key in KNOWN if key in os.environ} | more
    return ProcessLauncher(root, Slots(cpu=1, gpu=0), environment=environment, warm=warm)


def make_spec(recording: Path, place: Path, name: str) -> AttemptSpec:
    root, files, entry = recording_files(recording)
    paths = [root / file for file in files]
    return AttemptSpec(
        run_id="run",
        attempt_id=f"run/{name}",
        name=name,
        number=1,
        backend=SORTER,
        recording=entry,
        stream="",
        inputs=tuple(
            InputFile(path.relative_to(root).as_posix(), str(path), path.stat().st_size)
            for path in paths
        ),
        config=resolve(SORTER, {}).to_document(),
        artifacts_url=(place / "artifacts").as_uri(),
        artifacts_prefix=f"runs/{name}/attempts/sort-1",
    )


def ended(launcher: ProcessLauncher, name: str) -> Observation:
    wait_for(lambda: launcher.observe()[name].phase is not Phase.RUNNING, 120)
    return launcher.observe()[name]


def test_every_sorter_that_needs_no_gpu_can_be_forked_from() -> None:
    for sorter in ("kilosort4", "spykingcircus2", "tridesclous2", "lupin"):
        starts = warm_starts(sorter)
        assert starts.pid(sorter)
        starts.close()


def pids_of(root: Path) -> tuple[int, int]:
    """Parent and child, once the child has said that it lives."""
    folder = RunFolder(root)
    wait_for(lambda: folder.child_started.exists() and folder.child_log.read_text())
    parent, child = read_json(folder.started) or {}, read_json(folder.child_started) or {}
    return int(parent["pid"]), int(child["pid"])


def waiting_below(parent: int) -> list[int]:
    """Warm processes below the parent that wait or work."""
    found = []
    for process in psutil.Process(parent).children():
        with suppress(psutil.Error):
            if "spikefleet.deploy.template" in process.cmdline():
                found.append(process.pid)
    return found


def what_was_found(root: Path) -> tuple[Any, dict[str, Any]]:
    """The spikes, and everything the child says of them but how long it took."""
    said = read_json(RunFolder(root).child_result) or {}
    spikes = load(RunFolder(root).result / "sorting").to_spike_vector()
    return spikes, {k: v for k, v in said.items() if k not in ("timings_s", "cpu_s")}


def test_a_warm_sort_is_the_cold_sort_to_the_bit(
    warm: WarmStarts, recording: Path, tmp_path: Path
) -> None:
    found = {}
    for name, starts in (("cold", None), ("warm", warm)):
        launcher = make_launcher(tmp_path / "attempts", starts)
        launcher.start(make_spec(recording, tmp_path, name))
        assert ended(launcher, name).exit_code == 0
        root = tmp_path / "attempts" / name
        assert ("child.warm" in (root / "parent.log").read_text()) == (name == "warm")
        found[name] = what_was_found(root)
    assert len(found["cold"][0]) > 0
    np.testing.assert_array_equal(found["warm"][0], found["cold"][0])
    assert found["warm"][1] == found["cold"][1]


def test_a_warm_child_is_its_parents_own_and_dies_with_it(
    warm: WarmStarts, recording: Path, tmp_path: Path
) -> None:
    launcher = make_launcher(tmp_path / "attempts", warm)
    launcher.start(make_spec(recording, tmp_path, "killed"))
    root = tmp_path / "attempts" / "killed"
    parent, child = pids_of(root)
    assert waiting_below(parent) == [child]
    assert os.getsid(child) == child
    assert child in processes.marked_members(str(root))
    os.kill(parent, signal.SIGKILL)
    wait_for(lambda: not is_running(child))
    assert ended(launcher, "killed").signal == signal.SIGKILL


def test_a_warm_child_is_told_to_stop_like_any_other(
    warm: WarmStarts, recording: Path, tmp_path: Path
) -> None:
    launcher = make_launcher(tmp_path / "attempts", warm)
    launcher.start(make_spec(recording, tmp_path, "stopped"))
    _, child = pids_of(tmp_path / "attempts" / "stopped")
    launcher.stop("stopped", grace_s=30.0)
    seen = ended(launcher, "stopped")
    assert seen.outcome is not None
    assert "attempt_interrupted" in str(seen.outcome["failure"])
    assert not is_running(child)


def test_a_killed_warm_child_is_judged_by_its_signal(
    warm: WarmStarts, recording: Path, tmp_path: Path
) -> None:
    launcher = make_launcher(tmp_path / "attempts", warm)
    launcher.start(make_spec(recording, tmp_path, "child-killed"))
    _, child = pids_of(tmp_path / "attempts" / "child-killed")
    os.kill(child, signal.SIGSEGV)
    seen = ended(launcher, "child-killed")
    assert seen.outcome is not None
    assert "SIGSEGV" in str(seen.outcome["failure"])


def test_where_the_environment_differs_the_child_starts_cold(
    warm: WarmStarts, recording: Path, tmp_path: Path
) -> None:
    launcher = make_launcher(tmp_path / "attempts", warm, OMP_WAIT_POLICY="passive")
    launcher.start(make_spec(recording, tmp_path, "other"))
    root = tmp_path / "attempts" / "other"
    parent, child = pids_of(root)
    assert "other values of OMP_WAIT_POLICY" in (root / "parent.log").read_text()
    assert b"spikefleet.runner.child" in Path(f"/proc/{child}/cmdline").read_bytes()
    assert waiting_below(parent) == []
    launcher.stop("other", grace_s=0.0)
    ended(launcher, "other")
