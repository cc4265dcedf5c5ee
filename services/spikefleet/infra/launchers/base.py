"""Where an attempt executes: the ``Launcher`` Protocol and what an observer may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol

from spikefleet.core.attempts import AttemptSpec, WaitsFor
from spikefleet.core.runs import LogPart


class Phase(StrEnum):
    """What the outside can tell of an attempt."""

    PENDING = "pending"
    RUNNING = "running"
    EXITED = "exited"  # ended, exit evidence below
    GONE = "gone"  # no longer there and no exit evidence: LOST unless its outcome says otherwise


@dataclass(frozen=True)
class Slots:
    """How many attempts may run at once, by kind."""

    cpu: int
    gpu: int


@dataclass(frozen=True)
class Observation:
    """One attempt as the launcher sees it. ``outcome`` is the parsed outcome.json, when readable.

    ``exit_code`` is None when nobody could collect it; ``signal`` is set when a signal killed the
    runner's parent (a cluster never tells one); ``oom_killed`` when the kernel or kubelet says so.
    ``log_tail`` is the end of the sorter's log where nothing else was left. ``may_live``: nobody
    saw the attempt end (its node is unreachable, or it was forgotten), so its processes may
    continue.
    """

    name: str  #: of the attempt
    phase: Phase  #: what the outside can tell
    exit_code: int | None = None
    signal: int | None = None
    oom_killed: bool = False
    reason: str = ""  #: why it ended, as its machine or cluster says: ``Reason: message``
    disruption: str = ""  #: who took it away, as a cluster says; "" for nobody
    waiting: str = ""  #: what it waits for before it can run, in words for its owner
    waits_for: WaitsFor | None = None  #: the same, as one of few
    node: str = ""  #: machine of the cluster on which it is or was; "" is this one
    termination_message: str = ""  #: what the runner left last
    log_tail: str = ""
    outcome: Mapping[str, object] | None = None
    heartbeat: Mapping[str, object] | None = None  #: its last readings
    may_live: bool = False


class NoSlotError(RuntimeError):
    """Every slot of the wanted kind is taken; nothing was started. Ask again later."""


class StartRefusedError(NoSlotError):
    """The cluster does not let attempts be started now; the message says why, for their owners.

    A quota that is used up, or a right that is missing: it says nothing of the attempt, so nothing
    is spent. ``waits_for`` is what has to change.
    """

    def __init__(self, message: str, waits_for: WaitsFor) -> None:
        super().__init__(message)
        self.waits_for = waits_for


class LauncherUnreachableError(RuntimeError):
    """The launcher's machine or cluster gives no answer, so nothing is known. Ask again later.

    A start that ends so may have happened: the next one with the same name finds it.
    """

    refusal: ClassVar[str] = "LAUNCHER_UNREACHABLE"


class NameConflictError(OSError):
    """Something that is not this attempt has its name; nothing was started or taken over."""


class Launcher(Protocol):
    """Starts, lists and stops attempts. Every call is idempotent by attempt name.

    ``start`` twice with one name runs one attempt. ``observe`` lists every attempt that was started
    and not yet forgotten, those that survived a restart of the service included. ``stop`` returns
    at once; the end shows in a later ``observe``. ``forget`` removes what an ended attempt left
    behind; it is called only after its outcome is on record.
    """

    def start(self, spec: AttemptSpec, *, secret: str = "") -> None:
        """Start the attempt and give its process ``secret``, and nobody else.

        It is in no file and no environment, which the sorter could read. Raises NoSlotError;
        LauncherUnreachableError, after which it may have started; NameConflictError; OSError when
        the machine refuses.
        """
        ...

    def observe(self) -> dict[str, Observation]:
        """Return every known attempt by name. Raises LauncherUnreachableError."""
        ...

    def stop(self, name: str, *, grace_s: float) -> None:
        """Ask the attempt to end (SIGTERM), and make it end after ``grace_s``. Unknown: no-op."""
        ...

    def forget(self, name: str) -> None:
        """Drop an ended attempt's leftovers. A live attempt is left alone. Unknown: no-op."""
        ...

    def mark_unknown(self, name: str, since: datetime) -> datetime:
        """Mark an attempt that no record knows, where people see it; return since when it is so.

        The first mark stands, as far as the launcher can keep one.
        """
        ...

    def read_log(self, name: str, offset: int, most_bytes: int) -> LogPart | None:
        """Return a part of what an attempt's sorter has written; None when nothing is there.

        A negative ``offset`` counts from the end.
        """
        ...

    def free_slots(self) -> Slots:
        """Slots not taken right now."""
        ...
