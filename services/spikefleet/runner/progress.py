"""Where a sort is, read from what the child and its sorter print. Pure text work.

It follows stage lines and progress bars as they come, in pieces, with carriage returns. It never
goes back: a sorter that repeats a stage keeps the fraction it had. Lines it does not know say
nothing. The runner's parent runs it, so it imports no science.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spikefleet.core.sorters.row import BackendInfo, ProgressRule

_BAR = re.compile(r"^(?P<label>.*?)\s*\d+%\|.*\|\s*(?P<done>\d+)/(?P<total>\d+)\s*\[")
_CHILD = re.compile(r"^\[spikefleet\] (?:step=(?P<step>\w+)|fraction=(?P<fraction>[\d.]+))$")
_LINE_END = re.compile(r"[\r\n]+")
MAX_PENDING_CHARS = 65536
# Shares of the child's own steps in the whole; a sorter's fractions live inside "sort".
CHILD_STEPS = {"load": (0.0, 0.05), "sort": (0.05, 0.93), "analyze": (0.93, 1.0)}


@dataclass(frozen=True)
class ProgressUpdate:
    """How far it is: stage, fraction of the whole (0 to 1), spikes where the sorter printed them.

    The stage is the child's step, or inside ``sort`` the sorter's own stage.
    """

    step: str
    fraction: float
    spikes: int | None = None


class ProgressParser:
    """Turns a sorter's output into updates, one for each change."""

    def __init__(self, info: BackendInfo) -> None:
        self._rules = info.progress
        self._starts = sorted({rule.fraction for rule in info.progress if rule.step} | {1.0})
        self._pending = ""
        self._child_step = ""
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
        said = _CHILD.match(line)
        if said is not None:
            return self._read_child(said)
        if self._child_step not in ("", "sort"):
            return None
        rule, match = self._match(line)
        bar = _BAR.match(line)
        if rule is None and (bar is None or bar["label"]):
            return None
        spikes = self._last.spikes if self._last else None
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
        return self._forward(self._current.step, fraction, spikes)

    def _read_child(self, said: re.Match[str]) -> ProgressUpdate:
        share = 0.0
        if said["step"]:
            self._child_step = said["step"]
        else:
            share = float(said["fraction"])
        spikes = self._last.spikes if self._last else None
        return self._forward(self._child_step, share, spikes)

    def _forward(self, step: str, share: float, spikes: int | None) -> ProgressUpdate:
        """Return the update for a share of the present child step; never behind the last one."""
        start, end = CHILD_STEPS.get(self._child_step, (0.0, 1.0))
        fraction = round(start + share * (end - start), 4)
        if self._last is not None and fraction < self._last.fraction:
            return ProgressUpdate(self._last.step, self._last.fraction, spikes)
        return ProgressUpdate(step, fraction, spikes)

    def _match(self, line: str) -> tuple[ProgressRule | None, re.Match[str] | None]:
        for rule in self._rules:
            match = rule.pattern.search(line)
            if match:
                return rule, match
        return None, None

    def _end_of(self, rule: ProgressRule) -> float:
        return next(start for start in self._starts if start > rule.fraction)
