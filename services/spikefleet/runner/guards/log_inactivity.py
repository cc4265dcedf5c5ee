"""Has the sorter fallen silent? Any change of a watched log is life; long silence is a stall.

A log that vanishes is not life: the clock keeps running, so deleting a log cannot blind the guard.
Clustering may be silent for hours: there the sorter's CPU time is life as well.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.failures.evidence_rows import SorterTimeoutEvidence
from spikefleet.core.guards.base import Reading
from spikefleet.runner.guards.quiet import QuietWork, Surroundings
from spikefleet.runner.guards.samples import SampleWindow

LONGEST_SILENCE = 12
_SEARCH_S = 30.0

_Mark = tuple[int, int, int]


def compute_inactivity_timeout_s(
    base_s: float, per_min_s: float, duration_min: float | None, max_s: float | None
) -> float:
    """Return the silence allowed for a recording of ``duration_min`` minutes, in seconds.

    ``base_s + per_min_s * duration_min``, at most ``max_s`` (None = no cap). An unknown, negative
    or NaN duration counts as 0. Raises ValueError for settings that are not finite numbers.
    """
    settings = [base_s, per_min_s] if max_s is None else [base_s, per_min_s, max_s]
    if not all(math.isfinite(value) and value >= 0 for value in settings):
        raise ValueError(f"inactivity settings must be finite seconds >= 0, not {settings}")
    known = duration_min is not None and math.isfinite(duration_min) and duration_min > 0
    timeout_s = base_s + per_min_s * (duration_min if known and duration_min is not None else 0.0)
    return timeout_s if max_s is None else min(timeout_s, max_s)


class LogInactivityWatchdog:
    """Trips when the sort showed no life for ``timeout_s`` seconds.

    Life is any change of a watched log: ``files`` are watched by name; in ``folder`` every
    ``*.log`` and every name of ``log_names`` counts, wherever it appears. In a step that may be
    silent, work of the ``surroundings`` is life too, but no sort may be silent for more than
    ``LONGEST_SILENCE`` times the timeout. The clock starts at the first reading; a second reading
    confirms the stall, because a machine that was frozen shows silence at the first.
    """

    name = "log_inactivity"

    def __init__(
        self,
        files: Iterable[Path],
        *,
        timeout_s: float,
        folder: Path | None = None,
        log_names: Iterable[str] = (),
        interval_s: float = 5.0,
        surroundings: Surroundings | None = None,
    ) -> None:
        if not math.isfinite(timeout_s) or timeout_s <= 0:
            raise ValueError(f"an inactivity timeout must be a finite time > 0 s, not {timeout_s}")
        self.interval_s = min(interval_s, timeout_s / 4)
        self.thresholds = {
            "timeout_seconds": timeout_s,
            "longest_silence_seconds": LONGEST_SILENCE * timeout_s,
        }
        self._timeout_s = timeout_s
        self._files = tuple(files)
        self._folder = folder
        self._names = frozenset(log_names)
        self._work = QuietWork(surroundings) if surroundings else None
        self._marks: dict[Path, _Mark] = {}
        self._found: tuple[Path, ...] = ()
        self._search_at_s = -math.inf
        self._over = SampleWindow(2, 2)
        self._spoke_at_s: float | None = None
        self._alive_at_s = 0.0

    def read(self, now_s: float) -> Reading:
        """Compare every watched log with the last look."""
        marks = {path: mark for path in self._watched(now_s) if (mark := _mark(path)) is not None}
        has_moved = any(self._marks.get(path) != mark for path, mark in marks.items())
        self._marks.update(marks)
        is_working = self._work is not None and self._work.is_going_on(now_s)
        if self._spoke_at_s is None or has_moved:
            self._spoke_at_s = self._alive_at_s = now_s
        elif is_working:
            self._alive_at_s = now_s
        silent_s, idle_s = now_s - self._spoke_at_s, now_s - self._alive_at_s
        values = {
            "silent_seconds": silent_s,
            "idle_seconds": idle_s,
            "timeout_seconds": self._timeout_s,
        }
        if self._work is not None:
            values["busy_cores"] = self._work.busy_cores
        warning = ""
        if idle_s >= self._timeout_s / 2:
            warning = f"no sign of life for {idle_s:.0f} s (stopped at {self._timeout_s:.0f} s)"
        elif silent_s >= LONGEST_SILENCE / 2 * self._timeout_s:
            longest_s = LONGEST_SILENCE * self._timeout_s
            warning = f"busy, but no log line for {silent_s:.0f} s (stopped at {longest_s:.0f} s)"
        verdict = self._verdict(silent_s, idle_s)
        is_confirmed = self._over.add(verdict is not None)
        return Reading(self.name, values, warning, verdict if is_confirmed else None)

    def _watched(self, now_s: float) -> Iterable[Path]:
        """The logs; new ones in the folder are searched for now and then, as it may be large."""
        if now_s >= self._search_at_s:
            self._search_at_s = now_s + min(_SEARCH_S, self._timeout_s / 4)
            self._found = tuple(self._search())
        return (*self._files, *self._found)

    def _search(self) -> Iterable[Path]:
        if self._folder is None:
            return
        for place, _, names in os.walk(self._folder):  # what vanishes under way is left out
            for name in names:
                if name.endswith(".log") or name in self._names:
                    yield Path(place, name)

    def _verdict(self, silent_s: float, idle_s: float) -> Failure | None:
        if idle_s >= self._timeout_s:
            said = (
                f"The sorter wrote nothing for {silent_s:.0f} s; "
                f"{self._timeout_s:.0f} s are allowed."
            )
        elif silent_s >= LONGEST_SILENCE * self._timeout_s:
            said = (
                f"The sorter computed for {silent_s:.0f} s without a word; "
                f"{LONGEST_SILENCE * self._timeout_s:.0f} s are allowed."
            )
        else:
            return None
        return Failure(
            FailureCode.SORTER_TIMEOUT,
            said,
            rule_id="guard.log_inactivity",
            evidence=SorterTimeoutEvidence(
                inactivity_s=round(silent_s, 1),
                idle_s=round(idle_s, 1),
                timeout_s=self._timeout_s,
                log_path=str(self._files[0]) if self._files else None,
            ),
        )


def _mark(path: Path) -> _Mark | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
