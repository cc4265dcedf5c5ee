"""What a pod does, written beforehand: how long it runs, how it ends, what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.kubefake.store import Document


@dataclass(frozen=True)
class Exit:
    """How a container ends. ``reason`` is the runtime's: Completed or Error unless it is said."""

    code: int = 0
    message: str = ""
    reason: str = ""

    @property
    def said_reason(self) -> str:
        """The reason as the status shows it."""
        return self.reason or ("Completed" if self.code == 0 else "Error")


@dataclass(frozen=True)
class OnSigterm:
    """What the container's handler does: end like this, that much later."""

    exit: Exit = field(default_factory=lambda: Exit(113))
    after_s: float = 0.2


@dataclass(frozen=True)
class Waiting:
    """A container that is not started: why, and for how long (None: for ever)."""

    reason: str
    message: str
    until_s: float | None = None


@dataclass(frozen=True)
class Eviction:
    """The kubelet ends the pod: for its own limit, or (``pressure``) for the node's trouble."""

    at_s: float
    message: str
    pressure: bool = False


@dataclass(frozen=True)
class Script:
    """One pod's life. Times are seconds since its container started.

    ``rejected`` is what the kubelet refuses the pod with, ``unschedulable`` the scheduler's words,
    ``start_error`` the runtime's; ``runs_s`` None runs until it is ended.
    """

    runs_s: float | None = 2.0
    exit: Exit = field(default_factory=Exit)
    on_sigterm: OnSigterm | None = field(default_factory=OnSigterm)
    log: bytes = b""
    unschedulable: str = ""
    schedulable_after_s: float | None = None
    rejected: tuple[str, str] | None = None
    waiting: Waiting | None = None
    start_error: str = ""
    eviction: Eviction | None = None
    others: Mapping[str, Exit] = field(default_factory=dict)  # further containers, by name


Scripts = Callable[[Document], Script]
