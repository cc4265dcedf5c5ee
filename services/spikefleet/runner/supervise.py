"""Runs the child and watches it: guards, deadline, stop requests; and leaves no process behind.

It decides *that* the child must end, never *what* the end means: that is the evidence's matter.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikefleet.core.attempts import RunFolder
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.failures.evidence_rows import SorterTimeoutEvidence
from spikefleet.core.files import write_json
from spikefleet.infra.launchers import processes
from spikefleet.runner.audit import AuditTrail
from spikefleet.runner.child_log import BoundedLog
from spikefleet.runner.guards.loop import GuardLoop
from spikefleet.runner.interruption import STOP_REQUESTED, Interruption
from spikefleet.runner.progress import ProgressParser
from spikefleet.runner.reporting import AttemptProgress, Reporter
from spikefleet.runner.snapshot import take_snapshot, write_snapshot
from spikefleet.runner.warm_child import ChildProcess, WarmChild

_log = logging.getLogger(__name__)

_READ_BYTES = 1 << 18
_SHORTEST_ROUND_S = 0.02
_KILL_PATIENCE_S = 10.0
# What fills up meanwhile must not be given the time to: the kernel would have the last word.
_HURRIED = frozenset({FailureCode.HOST_MEMORY_WATCHDOG, FailureCode.DISK_EXHAUSTION})
_HURRIED_GRACE_S = 1.0


@dataclass(frozen=True)
class Timing:
    """How patient the supervisor is, in seconds. ``deadline_s`` 0 = none."""

    round_s: float = 0.5
    grace_s: float = 10.0
    deadline_s: float = 0.0


@dataclass(frozen=True)
class ChildEnd:
    """How the child ended. Exactly one of ``exit_code`` and ``signal`` is set.

    ``trip`` is why we stopped it; ``interrupted`` names the request to stop the attempt.
    """

    exit_code: int | None
    signal: int | None
    trip: Failure | None
    interrupted: str
    wall_s: float


class LogTail:
    """Reads what was appended to a file since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> str:
        """Return the new text; empty when there is none."""
        try:
            with self._path.open("rb") as handle:
                self._offset = min(self._offset, handle.seek(0, os.SEEK_END))  # it may be cut
                handle.seek(self._offset)
                data = handle.read(_READ_BYTES)
        except OSError:
            return ""
        self._offset += len(data)
        return data.decode("utf-8", errors="replace")


class Supervisor:
    """One child, from start to the last process of its group."""

    def __init__(
        self,
        folder: RunFolder,
        guards: GuardLoop,
        reporter: Reporter,
        parser: ProgressParser,
        timing: Timing,
        audit: AuditTrail,
    ) -> None:
        self._folder, self._guards, self._reporter = folder, guards, reporter
        self._parser, self._timing, self._audit = parser, timing, audit
        self._tail, self._bounded = LogTail(folder.child_log), BoundedLog(folder.child_log)
        self._progress = AttemptProgress(step="start")
        self._started_s = time.monotonic()

    def run(
        self,
        command: list[str],
        interruption: Interruption,
        environment: Mapping[str, str] | None = None,
        warm: WarmChild | None = None,
    ) -> ChildEnd:
        """Start the child and stay until nothing of it is left. Raises OSError if it cannot start.

        ``environment`` is all the child sees of ours; None: everything. ``warm`` becomes the child
        instead of a new process where it can. The child's group dies whatever ends this method.
        """
        processes.adopt_orphans()
        self._started_s = time.monotonic()
        with self._folder.child_log.open("ab") as log:
            root = self._folder.root
            forked = warm.start(root, environment, root, log.fileno()) if warm else None
            child: ChildProcess = forked or subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=root,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )
        trip: Failure | None = None
        snapshot: dict[str, Any] = {}
        grace_s = self._timing.grace_s
        try:
            self._write_started(child.pid)
            trip = self._watch(child, interruption)
            if trip is not None:
                snapshot = take_snapshot(trip, self._guards, self._members(child.pid))
                grace_s = min(grace_s, _HURRIED_GRACE_S) if trip.code in _HURRIED else grace_s
        finally:
            self._end(child, grace_s)
        if trip is not None:
            write_snapshot(self._folder, trip, snapshot)
        self._follow_log()
        code = -signal.SIGKILL if child.returncode is None else child.returncode
        return ChildEnd(
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            trip=trip,
            interrupted=interruption.name,
            wall_s=round(time.monotonic() - self._started_s, 3),
        )

    def _write_started(self, pid: int) -> None:
        identity = processes.identify(pid)
        known = identity.to_json() if identity else {"pid": pid}
        write_json(self._folder.child_started, {**known, "pgid": pid})

    def _watch(self, child: ChildProcess, interruption: Interruption) -> Failure | None:
        """Look every round until the child ended or has to. Returns why it has to."""
        while True:
            try:
                due_s = self._guards.next_due_s(time.monotonic())
                child.wait(timeout=max(_SHORTEST_ROUND_S, min(self._timing.round_s, due_s)))
                return None
            except subprocess.TimeoutExpired:
                pass
            now_s = time.monotonic()
            self._guards.poll(now_s)
            self._follow_log()
            if self._reporter.tell(self._progress, self._guards):
                interruption.note(STOP_REQUESTED)
            if interruption.name:
                return None
            trip = self._guards.trip or self._overdue(now_s)
            if trip is not None:
                return None if child.poll() == 0 else trip  # it may be done after all

    def _overdue(self, now_s: float) -> Failure | None:
        deadline_s = self._timing.deadline_s
        if deadline_s <= 0 or now_s - self._started_s < deadline_s:
            return None
        return Failure(
            FailureCode.SORTER_TIMEOUT,
            f"The sort was not done after {deadline_s:.0f} s, the deadline of an attempt.",
            rule_id="parent.deadline",
            evidence=SorterTimeoutEvidence(reason="deadline", deadline_s=deadline_s),
        )

    def _follow_log(self) -> None:
        updates = self._parser.feed(self._tail.read())
        if self._bounded.keep():
            self._audit.note("supervisor", "log_cut", left_out_bytes=self._bounded.left_out)
        last = updates[-1] if updates else None
        self._progress = AttemptProgress(
            step=last.step if last else self._progress.step,
            fraction=last.fraction if last else self._progress.fraction,
            spikes=last.spikes if last and last.spikes is not None else self._progress.spikes,
            elapsed_s=round(time.monotonic() - self._started_s, 3),
        )

    def _end(self, child: ChildProcess, grace_s: float) -> None:
        """End the child if it lives, and with it everything it started.

        First politely to the whole group (a stopped process is woken to hear it), then by force,
        wherever the processes have moved since.
        """
        if child.poll() is None:
            members = self._members(child.pid)
            self._audit.note("supervisor", "sigterm", pids=members)
            processes.signal_all(members, signal.SIGTERM)
            processes.signal_all(members, signal.SIGCONT)
            try:
                child.wait(timeout=grace_s)
            except subprocess.TimeoutExpired:
                _log.warning("child.ignored_sigterm", extra={"grace_s": grace_s})
        killed: set[int] = set()
        deadline_s = time.monotonic() + _KILL_PATIENCE_S
        while members := self._members(child.pid):
            if fresh := sorted({*members} - killed):
                killed.update(fresh)
                self._audit.note("supervisor", "sigkill", pids=fresh)
            processes.signal_all(members, signal.SIGKILL)
            processes.reap(pid for pid in members if pid != child.pid)
            if time.monotonic() > deadline_s:  # uninterruptible sleep: a dead mount
                _log.error("child.unkillable", extra={"pids": members})
                self._audit.note("supervisor", "unkillable", pids=members)
                break
            child.poll()
            time.sleep(0.02)
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=1.0)

    def _members(self, child_pid: int) -> list[int]:
        """Every live process of the child: its session, and what fell to us as orphans."""
        found = {*processes.session_members(child_pid)}
        found.update(processes.descendants(os.getpid()))
        return sorted(found)
