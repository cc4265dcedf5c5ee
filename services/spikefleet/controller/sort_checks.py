"""Reading a finished sort back before another run takes it over, aside from the reconcile loop.

A sort may be gigabytes, so the loop asks and comes again. Decides nothing about runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from spikefleet.infra.stores.bytes.artifacts import (
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStore,
)
from spikefleet.infra.stores.bytes.verified import VerifiedBytes


@dataclass(frozen=True)
class SortVerdict:
    """What was found: ``problem`` "" means that every byte is as its manifest lists it."""

    problem: str = ""


Aside = Callable[[Callable[[], None]], None]


def in_a_thread(work: Callable[[], None]) -> None:
    """Do ``work`` in a thread that holds up no exit."""
    threading.Thread(target=work, name="sort-check", daemon=True).start()


class SortChecks:
    """Verifies prefixes, each reading ``aside``. Asked from one thread only."""

    def __init__(self, artifacts: ArtifactStore, aside: Aside = in_a_thread) -> None:
        self._verified = VerifiedBytes(artifacts)
        self._aside = aside
        self._lock = threading.Lock()
        self._verdicts: dict[str, SortVerdict | None] = {}

    def verdict(self, prefix: str) -> SortVerdict | None:
        """Return what reading ``prefix`` back has shown, once; None while it is being read.

        The next question reads again what was touched since.
        """
        with self._lock:
            if prefix in self._verdicts:
                found = self._verdicts[prefix]
                if found is not None:
                    del self._verdicts[prefix]
                return found
            self._verdicts[prefix] = None
        self._aside(lambda: self._read(prefix))
        return None

    def _read(self, prefix: str) -> None:
        try:
            self._verified.verify(prefix)
            found = SortVerdict()
        except (ArtifactMissingError, ArtifactDamagedError, OSError) as error:
            found = SortVerdict(str(error))
        with self._lock:
            self._verdicts[prefix] = found
