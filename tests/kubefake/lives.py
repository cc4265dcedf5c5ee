"""A pod on its node as its kubelet knows it, and what runs its container."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from tests.kubefake.clock import VirtualClock
from tests.kubefake.script import Exit, Script, Waiting
from tests.kubefake.store import Document


class Runtime(Protocol):
    """What runs containers."""

    def blocked(self, pod: Document) -> Waiting | None:
        """Why the container cannot be started now; None when it can."""
        ...

    def start(self, pod: Document, ended: Callable[[Exit], None]) -> str:
        """Start it; the words of the runtime where it cannot be started, else empty."""
        ...

    def terminate(self, pod: Document) -> None:
        """SIGTERM."""
        ...

    def kill(self, pod: Document) -> None:
        """SIGKILL: it ends with 137."""
        ...

    def log(self, pod: Document) -> bytes:
        """What it has printed."""
        ...


class Life:
    """One pod on its node, as its kubelet knows it."""

    def __init__(self, pod: Document, script: Script) -> None:
        self.pod = pod
        self.script = script
        self.state: Document = {"waiting": {"reason": "ContainerCreating"}}
        self.sandbox = False
        self.phase = "Pending"
        self.started_s: float | None = None
        self.stopping = False
        self.dead = False
        self.why: tuple[str, str] | None = None  # the pod's own reason and message
        self.disrupted = ""


class ScriptedRuntime:
    """Containers that do what their script says, on the fake's clock."""

    def __init__(self, clock: VirtualClock, lives: Mapping[str, Life]) -> None:
        self._clock = clock
        self._lives = lives
        self._since: dict[str, float] = {}
        self._ended: dict[str, Callable[[Exit], None]] = {}

    def blocked(self, pod: Document) -> Waiting | None:
        """As long as the script says."""
        uid = pod["metadata"]["uid"]
        waiting = self._lives[uid].script.waiting
        since_s = self._since.setdefault(uid, self._clock.now_s)
        if waiting is None or (
            waiting.until_s is not None and self._clock.now_s - since_s >= waiting.until_s
        ):
            return None
        # A failed pull and the wait for the next try take turns.
        if waiting.reason == "ImagePullBackOff" and int(self._clock.now_s - since_s) % 10 == 0:
            return Waiting("ErrImagePull", waiting.message)
        return waiting

    def start(self, pod: Document, ended: Callable[[Exit], None]) -> str:
        """Run for as long as the script says."""
        script = self._lives[pod["metadata"]["uid"]].script
        if script.start_error:
            return script.start_error
        self._ended[pod["metadata"]["uid"]] = ended
        if script.runs_s is not None:
            self._clock.after(script.runs_s, lambda: ended(script.exit))
        return ""

    def terminate(self, pod: Document) -> None:
        """What the handler does."""
        handler = self._lives[pod["metadata"]["uid"]].script.on_sigterm
        ended = self._ended.get(pod["metadata"]["uid"])
        if handler is not None and ended is not None:
            self._clock.after(handler.after_s, lambda: ended(handler.exit))

    def kill(self, pod: Document) -> None:
        """137, and no message of its own."""
        ended = self._ended.get(pod["metadata"]["uid"])
        if ended is not None:
            ended(Exit(137))

    def log(self, pod: Document) -> bytes:
        """The script's words."""
        life = self._lives.get(pod["metadata"]["uid"])
        return life.script.log if life is not None else b""
