"""Where a sorter is, read from what it prints. Pure text work: the runner's parent runs it.

It follows stage lines and progress bars as they come, in pieces, with carriage returns. It never
goes back: a sorter that repeats a stage keeps the fraction it had. Lines it does not know say
nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spikefleet.core.backends.catalogue import BackendInfo, ProgressRule

_BAR = re.compile(r"^(?P<label>.*?)\s*\d+%\|.*\|\s*(?P<done>\d+)/(?P<total>\d+)\s*\[")
_LINE_END = re.compile(r"[\r\n]+")
MAX_PENDING_CHARS = 65536


@dataclass(frozen=True)
class ProgressUpdate:
    """How far the sort is: stage, fraction of the whole sort (0 to 1), spikes where printed."""

    step: str
    fraction: float
    spikes: int | None = None


class ProgressParser:
    """Turns a sorter's output into updates, one for each change."""

    def __init__(self, info: BackendInfo) -> None:
        self._rules = info.progress
        self._starts = sorted({rule.fraction for rule in info.progress if rule.step} | {1.0})
        self._pending = ""
        self._current: ProgressRule | None = None
        self._last: ProgressUpdate | None = None

    def feed(self, text: str) -> list[ProgressUpdate]:
        """Read the next piece of output; return what changed. A last unfinished line is kept."""
        *lines, rest = _LINE_END.split(self._pending + text)
        self._pending = rest[-MAX_PENDING_CHARS:]
        updates = []
        for line in lines:
            update = self._read(line)
            if update is not None and update != self._last:
                self._last = update
                updates.append(update)
        return updates

    def _read(self, line: str) -> ProgressUpdate | None:
        rule, match = self._match(line)
        bar = _BAR.match(line)
        spikes = self._last.spikes if self._last else None
        if rule is None and (bar is None or bar["label"] or self._current is None):
            return None
        if rule is not None and match is not None and rule.spikes_group:
            spikes = int(match["spikes"])
        if rule is not None and rule.step:
            self._current = rule
        if self._current is None:
            return None
        fraction = self._current.fraction
        counter = bar or (match if rule is not None and "done" in rule.pattern.groupindex else None)
        if counter is not None:
            done, total = int(counter["done"]), int(counter["total"])
            share = min(1.0, done / total) if total else 0.0
            fraction += share * (self._end_of(self._current) - fraction)
        behind = self._last.fraction if self._last else 0.0
        if self._last and fraction < behind:
            return ProgressUpdate(self._last.step, behind, spikes)
        return ProgressUpdate(self._current.step, round(fraction, 4), spikes)

    def _match(self, line: str) -> tuple[ProgressRule | None, re.Match[str] | None]:
        for rule in self._rules:
            match = rule.pattern.search(line)
            if match:
                return rule, match
        return None, None

    def _end_of(self, rule: ProgressRule) -> float:
        return next(start for start in self._starts if start > rule.fraction)
