"""Attempts to run in tests: a folder with its spec, a real parent process, a toy child."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spikefleet.core.attempts import AttemptOutcome, AttemptSpec, InputFile, RunFolder
from spikefleet.core.files import read_json, write_json
from spikefleet.infra.launchers import processes
from spikefleet.infra.launchers.process import THREAD_VARIABLES
from spikefleet.infra.launchers.warm import WarmStarts

ROOT = Path(__file__).resolve().parents[2]
TOY_CHILD = Path(__file__).with_name("toy_child.py")
# No thresholds of this machine: a test that wants one sets it.
CALM: dict[str, Any] = {"disk_warn_free_gb": 1e-6, "disk_abort_free_gb": 0.0}
RECORDING = b"samples" * 100


def make_spec(place: Path, name: str = "run-sort-1", **changes: Any) -> AttemptSpec:
    """A spec whose recording lies in ``place``; ``execution`` adds to the configuration."""
    source = place / "recording.bin"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_bytes(RECORDING)
    entry = InputFile(
        "recording.bin", str(source), len(RECORDING), hashlib.sha256(RECORDING).hexdigest()
    )
    execution = CALM | changes.pop("execution", {})
    spec = AttemptSpec(
        run_id="run",
        attempt_id=f"run/{name}",
        name=name,
        number=1,
        backend="lupin",
        recording="recording.bin",
        stream="",
        inputs=(entry,),
        config={"execution": execution},
        artifacts_url=str(place / "artifacts"),
        artifacts_prefix="runs/run/attempts/sort-1",
    )
    return replace(spec, **changes)


def warm_starts(backend: str) -> WarmStarts:
    """A template of the sorter that is ready; to be closed."""
    known = ("PATH", "HOME", "LANG", "PYTHONPATH")
    starts = WarmStarts(600.0, {key: os.environ[key] for key in known if key in os.environ})
    alone = {**dict.fromkeys(THREAD_VARIABLES, "1"), "CUDA_VISIBLE_DEVICES": ""}
    for _ in range(2):  # the first is only noted
        starts.prepare(backend, alone)
    wait_for(lambda: starts.is_ready(backend), 120)
    return starts


@dataclass
class RunningAttempt:
    """A parent under way."""

    process: subprocess.Popen[bytes]
    folder: RunFolder

    def finish(self, timeout_s: float = 30) -> AttemptOutcome:
        """Wait for the end; the process and its outcome must agree on the exit code."""
        code = self.process.wait(timeout=timeout_s)
        document = read_json(self.folder.outcome)
        assert document is not None
        outcome = AttemptOutcome.from_json(document)
        assert outcome.exit_code == code
        return outcome

    def child_pid(self) -> int:
        """The child's pid, once it runs and has said so."""
        wait_for(lambda: self.folder.child_log.is_file() and self.folder.child_log.stat().st_size)
        wait_for(self.folder.child_started.exists)
        return int((read_json(self.folder.child_started) or {})["pid"])


def start_attempt(
    spec: AttemptSpec,
    behaviour: str,
    root: Path,
    *,
    cgroup: Path | None = None,
    gpu: dict[str, Any] | None = None,
    secret: str = "",
) -> RunningAttempt:
    """Start a real parent over ``root`` with a toy child.

    Inside a real ``cgroup`` it counts by that one; ``gpu`` are the readings of its GPU (empty: the
    machine's own driver is asked). ``secret`` is what the controller knows the attempt by.
    """
    folder = RunFolder(root)
    (root / "cgroup").mkdir(parents=True)
    (root / "cgroup" / "memory.events").write_text("oom 0\noom_kill 0\n")
    write_json(folder.spec, spec.to_json())
    asked = {"real_cgroup": cgroup is not None} | ({} if gpu is None else {"gpu": gpu})
    write_json(root / "driver.json", asked)
    command = [sys.executable, "-m", "tests.support.attempt_driver", str(root), behaviour]
    if cgroup is not None:
        enter = f'echo $$ > "{cgroup}/cgroup.procs" && exec "$@"'
        command = ["sh", "-c", enter, "sh", *command]
    with (root / "parent.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(f"{secret}\n".encode())
        process.stdin.close()
    return RunningAttempt(process, folder)


def wait_for(condition: Callable[[], object], timeout_s: float = 20) -> None:
    """Wait until ``condition`` holds; fail loudly when it never does."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Is there such a process, other than as a zombie?"""
    return processes.identify(pid) is not None
