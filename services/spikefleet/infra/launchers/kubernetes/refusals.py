"""While the cluster lets nothing be started: asks seldom, and tells every attempt why it waits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from spikefleet.core.attempts import WaitsFor
from spikefleet.infra.launchers.base import StartRefusedError
from spikefleet.infra.launchers.kubernetes.api import ClusterRefusedError

FIRST_S, LONGEST_S = 5.0, 60.0  #: between two starts that are tried
_MOST_CHARACTERS = 300


class StartRefusals:
    """What the cluster said against the last start, and until when none is tried."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._standing: StartRefusedError | None = None
        self._until: datetime | None = None
        self._wait_s = FIRST_S

    @property
    def is_waiting(self) -> bool:
        """Whether nothing is to be started now."""
        return self._until is not None and self._clock() < self._until

    def check(self) -> None:
        """Raise what the cluster last said, while it is too early to try again."""
        if self._standing is not None and self.is_waiting:
            raise StartRefusedError(str(self._standing), self._standing.waits_for)

    def note(self, error: ClusterRefusedError) -> StartRefusedError:
        """Return the refusal in words for the attempt's owner; the next try is later each time."""
        said = str(error)
        if error.is_quota:
            told = said.partition("exceeded quota: ")[2] or said
            words, kind = f"waits for room in the namespace's quota: {told}", WaitsFor.QUOTA
        else:
            words, kind = f"the cluster does not let it be started: {said}", WaitsFor.ADMISSION
        self._standing = StartRefusedError(words[:_MOST_CHARACTERS], kind)
        self._until = self._clock() + timedelta(seconds=self._wait_s)
        self._wait_s = min(LONGEST_S, 2 * self._wait_s)
        return self._standing

    def passed(self) -> None:
        """A start went through."""
        self._standing, self._until, self._wait_s = None, None, FIRST_S
