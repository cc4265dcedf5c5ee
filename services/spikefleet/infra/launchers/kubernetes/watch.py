"""A watch that wakes the reconcile loop early, and is never believed.

What a watch tells is only that something has changed; the loop lists everything anyway. So losing
an event, a stream or the whole watch costs time, never truth. It asks seldom when it is refused:
pauses double, with jitter, until a stream has lived for a while.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from spikefleet.infra.launchers.base import LauncherUnreachableError
from spikefleet.infra.launchers.kubernetes.api import ClusterRefusedError, Json

log = logging.getLogger(__name__)

KINDS = ("jobs", "pods")
_GONE = 410


class Changes(Protocol):
    """The part of the cluster's API that watches need (``ClusterApi``)."""

    def version_of(self, kind: str, selector: str) -> str:
        """Where a watch can begin."""
        ...

    def watch(
        self, kind: str, selector: str, version: str, *, lasts_s: int, silent_s: float
    ) -> Iterator[Json]:
        """Raises LauncherUnreachableError and ClusterRefusedError."""
        ...


@dataclass(frozen=True)
class WatchTerms:
    """Seconds: how long a stream lasts, how long it may say nothing (the server sends a bookmark
    every 60), the first and the longest pause after trouble, how long a stream must have lived to
    be called healthy, and how long the loop is left alone after it was woken."""

    lasts_s: int = 240
    silent_s: float = 75.0
    first_pause_s: float = 1.0
    longest_pause_s: float = 30.0
    healthy_s: float = 30.0
    quiet_s: float = 2.0


class ClusterWatch:
    """Watches Jobs and pods with these labels and calls ``ring`` after something has changed.

    ``ring`` is called from a thread, at most once in ``quiet_s``.
    """

    def __init__(
        self,
        changes: Changes,
        selector: str,
        ring: Callable[[], None],
        terms: WatchTerms | None = None,
    ) -> None:
        self._changes, self._selector, self._ring = changes, selector, ring
        self._terms = terms or WatchTerms()
        self._stopped, self._news = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(kind,), name=f"watch-{kind}", daemon=True)
            for kind in KINDS
        ]
        self._threads.append(threading.Thread(target=self._wake, name="watch-rings", daemon=True))

    def start(self) -> None:
        """Begin to watch."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ring no more. A stream that is open ends by itself; its thread holds nothing up."""
        self._stopped.set()
        self._news.set()

    def _wake(self) -> None:
        while not self._stopped.is_set():
            self._news.wait()
            if self._stopped.is_set():
                return
            self._news.clear()
            self._ring()
            self._stopped.wait(self._terms.quiet_s)

    def _follow(self, kind: str) -> None:
        version, pause_s = "", self._terms.first_pause_s
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                if not version:
                    version = self._changes.version_of(kind, self._selector)
                    self._news.set()  # what happened before this version was not told
                version = self._stream(kind, version)
            except (LauncherUnreachableError, ClusterRefusedError) as error:
                log.info("watch.interrupted", extra={"kind": kind, "why": str(error)})
                version = ""
            if time.monotonic() - began >= self._terms.healthy_s:
                pause_s = self._terms.first_pause_s
            self._stopped.wait(pause_s * random.uniform(0.75, 1.25))
            pause_s = min(pause_s * 2, self._terms.longest_pause_s)

    def _stream(self, kind: str, version: str) -> str:
        """One stream to its end. Returns where to go on; empty: from a fresh list."""
        stream = self._changes.watch(
            kind,
            self._selector,
            version,
            lasts_s=self._terms.lasts_s,
            silent_s=self._terms.silent_s,
        )
        for event in stream:
            if self._stopped.is_set():
                return version
            found = event.get("object")
            if event.get("type") == "ERROR" or not isinstance(found, dict):
                code = found.get("code") if isinstance(found, dict) else None
                if code != _GONE:
                    log.info("watch.refused", extra={"kind": kind, "code": code})
                return ""
            version = str((found.get("metadata") or {}).get("resourceVersion") or version)
            if event.get("type") != "BOOKMARK":
                self._news.set()
        return version
