"""Attempts as processes of this machine: each in its own session, so that it outlives the service.

Everything needed to find an attempt again is in its folder; a new launcher over the same root
adopts what still runs. When a runner's parent is dead, whatever it started is killed: an attempt
has either a parent or nothing. The launcher judges no outcome and retries nothing.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import RLock

from spikefleet.core.attempts import AttemptSpec
from spikefleet.core.failures.classify import read_log_tail
from spikefleet.core.files import read_json, write_json
from spikefleet.core.runs import LogPart
from spikefleet.infra.launchers import processes
from spikefleet.infra.launchers.attempt_folders import (
    AttemptFolder,
    Launch,
    folder_of,
    list_folders,
    sweep,
)
from spikefleet.infra.launchers.base import NoSlotError, Observation, Phase, Slots
from spikefleet.infra.launchers.warm import ForkedAttempt, Start, WarmStarts
from spikefleet.infra.system.memory_reader import MemoryReader

_log = logging.getLogger(__name__)

_LOG_TAIL_BYTES = 4096
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def attempt_command(root: Path) -> list[str]:
    """The command line of a runner's parent."""
    return [sys.executable, "-P", "-m", "spikefleet.deploy.attempt", str(root)]


class ProcessLauncher:
    """Starts attempts as processes under ``root``, at most ``slots`` at once.

    ``environment`` is what attempts inherit; ``gpu_ids`` are the devices handed out to GPU slots,
    one each (0, 1, … when not given). ``warm`` starts attempts without a GPU from a process that
    has imported what their children need. Safe to call from several threads.
    """

    def __init__(
        self,
        root: Path,
        slots: Slots,
        *,
        environment: Mapping[str, str],
        command: Callable[[Path], Sequence[str]] = attempt_command,
        gpu_ids: Sequence[str] = (),
        warm: WarmStarts | None = None,
    ) -> None:
        self._root = root.resolve()
        self._slots = slots
        self._environment = dict(environment)
        self._command = command
        self._gpu_ids = tuple(gpu_ids) or tuple(str(number) for number in range(slots.gpu))
        self._warm = warm
        self._own: dict[str, subprocess.Popen[bytes] | ForkedAttempt] = {}
        self._clean: set[str] = set()
        self._lock = RLock()
        self._memory = MemoryReader()
        self._root.mkdir(parents=True, exist_ok=True)
        sweep(self._root)

    def start(self, spec: AttemptSpec, *, secret: str = "") -> None:
        """Start the attempt; a second time with one name does nothing. Raises NoSlotError, OSError.

        The intention is on disk before the process exists, so that a start cut short by our own
        death is found again by its command line instead of being repeated. ``secret`` is a line on
        the process's standard input.
        """
        with self._lock:
            folder = folder_of(self._root, spec.name)
            if self._find_launch(folder) is not None:
                return
            gpu_id = self._take_slot(spec.gpu)
            write_json(folder.run.spec, spec.to_json())
            command = tuple(self._command(folder.root))
            launch = Launch(None, command, spec.gpu, gpu_id, self._memory.oom_kills())
            folder.write_launch(launch)
            process = self._spawn(folder, spec, launch)
            self._own[spec.name] = process
            _tell_secret(process, secret)
            folder.write_launch(replace(launch, process=processes.identify_child(process.pid)))
            _log.info("attempt.started", extra={"attempt": spec.name, "pid": process.pid})

    def observe(self) -> dict[str, Observation]:
        """Look at every attempt; end what is past its grace or has lost its parent."""
        with self._lock:
            found = {}
            for folder in list_folders(self._root):
                launch = self._find_launch(folder)
                if launch is not None:
                    found[folder.name] = self._look_at(folder, launch)
            return found

    def stop(self, name: str, *, grace_s: float) -> None:
        """Send SIGTERM now; ``observe`` kills after ``grace_s``, across restarts of the service."""
        with self._lock:
            folder = folder_of(self._root, name)
            launch = self._find_launch(folder)
            if launch is None or not self._is_running(folder, launch):
                return
            folder.write_stop(time.time() + grace_s)
            if launch.process is not None:
                processes.signal_all([launch.process.pid], signal.SIGTERM)
                processes.signal_all([launch.process.pid], signal.SIGCONT)

    def forget(self, name: str) -> None:
        """Remove an ended attempt's folder; a live attempt is left alone."""
        with self._lock:
            folder = folder_of(self._root, name)
            launch = self._find_launch(folder)
            if launch is not None and self._is_running(folder, launch):
                return
            self._kill_leftovers(folder)
            self._own.pop(name, None)
            self._clean.discard(name)
            folder.remove()

    def mark_unknown(self, name: str, since: datetime) -> datetime:
        """Return ``since``: a folder of this machine bears no mark."""
        return since

    def read_log(self, name: str, offset: int, most_bytes: int) -> LogPart | None:
        """Return a part of what the attempt's sorter has written, while its folder is there."""
        return folder_of(self._root, name).read_log(offset, most_bytes)

    def free_slots(self) -> Slots:
        """Slots no live attempt holds."""
        with self._lock:
            held = self._held()
            n_gpu = sum(launch.is_gpu for launch in held)
            return Slots(
                cpu=max(0, self._slots.cpu - (len(held) - n_gpu)),
                gpu=max(0, self._slots.gpu - n_gpu),
            )

    def _held(self) -> list[Launch]:
        launches = [(f, self._find_launch(f)) for f in list_folders(self._root)]
        return [launch for f, launch in launches if launch and self._is_running(f, launch)]

    def _take_slot(self, is_gpu: bool) -> str:
        """Return the device of a free slot ("" for a CPU slot). Raises NoSlotError."""
        free = self.free_slots()
        if (free.gpu if is_gpu else free.cpu) <= 0:
            kind = "GPU" if is_gpu else "CPU"
            raise NoSlotError(f"every {kind} slot is taken; the attempt waits for one")
        if not is_gpu:
            return ""
        taken = {launch.gpu_id for launch in self._held()}
        free_ids = [gpu_id for gpu_id in self._gpu_ids if gpu_id not in taken]
        if not free_ids:
            raise NoSlotError("every GPU is taken; the attempt waits for one")
        return free_ids[0]

    def _spawn(
        self, folder: AttemptFolder, spec: AttemptSpec, launch: Launch
    ) -> subprocess.Popen[bytes] | ForkedAttempt:
        own = {
            **dict.fromkeys(THREAD_VARIABLES, str(spec.cpus)),
            "CUDA_VISIBLE_DEVICES": launch.gpu_id,
        }
        environment = {**self._environment, **own, processes.MARK: str(folder.root)}
        with folder.log.open("ab") as log:
            if self._warm is not None and not spec.gpu:
                start = Start(launch.command, environment, folder.root, log.fileno())
                forked = self._warm.start(spec.backend, start)
                if forked is not None:
                    return forked
                self._warm.prepare(spec.backend, own)  # for the next one
            return subprocess.Popen(
                launch.command,
                env=environment,
                cwd=folder.root,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _find_launch(self, folder: AttemptFolder) -> Launch | None:
        """What was started in this folder; None when nothing was.

        After a start cut short the process is looked for by its own word, then by command line.
        """
        launch = folder.read_launch()
        if launch is None or launch.process is not None:
            return launch
        process = folder.started() or processes.find_command(launch.command)
        if process is None and not folder.run.outcome.exists():
            return None
        launch = replace(launch, process=process)
        if process is not None:
            folder.write_launch(launch)
        return launch

    def _is_running(self, folder: AttemptFolder, launch: Launch) -> bool:
        self._collect(folder, launch)
        return processes.is_alive(launch.process)

    def _collect(self, folder: AttemptFolder, launch: Launch) -> None:
        """Take the exit status of a process of our own, once, and keep it."""
        process = self._own.get(folder.name)
        if process is None:
            return
        code = process.poll()
        if code is None:
            if isinstance(process, ForkedAttempt) and process.is_lost:
                del self._own[folder.name]  # like one that another service started
            return
        number = -code if code < 0 else None
        folder.write_exit(
            code if code >= 0 else None,
            number,
            oom_killed=number == signal.SIGKILL and self._has_oom_killed(launch),
        )
        del self._own[folder.name]

    def _has_oom_killed(self, launch: Launch) -> bool:
        now = self._memory.oom_kills()
        return now is not None and launch.oom_kills is not None and now > launch.oom_kills

    def _look_at(self, folder: AttemptFolder, launch: Launch) -> Observation:
        if self._is_running(folder, launch):
            self._kill_when_overdue(folder, launch)
        if processes.is_alive(launch.process):
            return Observation(
                folder.name, Phase.RUNNING, heartbeat=read_json(folder.run.heartbeat)
            )
        self._await_end(folder)
        self._collect(folder, launch)
        self._kill_leftovers(folder)
        return _ended(folder)

    def _kill_when_overdue(self, folder: AttemptFolder, launch: Launch) -> None:
        kill_at = folder.kill_at()
        if kill_at is None or time.time() < kill_at or launch.process is None:
            return
        _log.warning("attempt.killed", extra={"attempt": folder.name})
        processes.signal_all([launch.process.pid], signal.SIGKILL)
        self._await_end(folder)

    def _await_end(self, folder: AttemptFolder) -> None:
        """Wait for a dying process of our own: its threads may end a little after it."""
        own = self._own.get(folder.name)
        if own is not None:
            with suppress(subprocess.TimeoutExpired):
                own.wait(timeout=1.0)

    def _kill_leftovers(self, folder: AttemptFolder) -> None:
        """Kill what a dead parent left: its child's session and everything that bears the mark."""
        if folder.name in self._clean:
            return
        leftovers = set(processes.marked_members(str(folder.root)))
        child = folder.child()
        if child is not None:
            leader = processes.identify(child.pid)
            if leader is None or leader == child:  # else the pid now names a stranger's session
                leftovers.update(processes.session_members(child.pid))
        if not leftovers:
            self._clean.add(folder.name)
            return
        _log.warning("attempt.leftovers", extra={"attempt": folder.name, "n": len(leftovers)})
        processes.signal_all(leftovers, signal.SIGKILL)


def _tell_secret(process: subprocess.Popen[bytes] | ForkedAttempt, secret: str) -> None:
    """Write the secret and close the pipe, which holds a line whether or not it is read."""
    if process.stdin is not None:
        with suppress(OSError), process.stdin:
            process.stdin.write(f"{secret}\n".encode())


def _ended(folder: AttemptFolder) -> Observation:
    """What an ended attempt left to see."""
    collected = folder.read_exit() or {}
    outcome = read_json(folder.run.outcome)
    exit_code = collected.get("exit_code")
    if exit_code is None and "signal" not in collected and outcome is not None:
        exit_code = outcome.get("exit_code")
    is_known = bool(collected) or outcome is not None
    return Observation(
        name=folder.name,
        phase=Phase.EXITED if is_known else Phase.GONE,
        exit_code=exit_code,
        signal=collected.get("signal"),
        oom_killed=bool(collected.get("oom_killed")),
        reason="" if is_known else "the runner's parent is gone and left no outcome",
        termination_message=folder.termination_message(),
        log_tail="" if outcome else read_log_tail(folder.run.child_log, _LOG_TAIL_BYTES),
        outcome=outcome,
        heartbeat=read_json(folder.run.heartbeat),
    )
