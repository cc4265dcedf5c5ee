"""One bar per run for a person who waits: its stage, the sorter's own step, and how far it is.

Terminals and notebooks get a bar, a log gets one line per step. Shared by the demo and the notebook
door; the command line has a richer one of its own.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from spikefleet.client.views import RunUpdate
from spikefleet.core.attempts import Stage

_SHARES = {
    Stage.PREFLIGHT: (0.0, 0.05),
    Stage.SORT: (0.05, 0.9),
    Stage.CURATE: (0.9, 0.95),
    Stage.REPORT: (0.95, 1.0),
}
_LABEL_CHARS = 34


def make_bars(console: Console | None = None) -> Progress:
    """Return the bars everything of one job is shown on."""
    return Progress(
        TextColumn(f"{{task.description:<{_LABEL_CHARS}}}"),
        BarColumn(bar_width=40),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        console=console,
    )


class RunBar:
    """Shows the updates of one run on ``bars``; also a context manager that starts the bars."""

    def __init__(self, bars: Progress, name: str = "") -> None:
        self._bars = bars
        self._name = f"{name} " if name else ""
        self._task: TaskID | None = None
        self._said = ""

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def show(self, update: RunUpdate) -> None:
        """Move the bar to where the run is now."""
        view = update.run
        begin, end = _SHARES[view.run.stage]
        sorting = view.run.stage is Stage.SORT
        share = float(view.progress.get("fraction", 0.0)) if sorting else 0.0
        step = str(view.progress.get("step", "")) if sorting else ""
        label = f"{view.run.stage}: {step}" if step else str(view.run.stage)
        if view.is_settled:
            begin, share, label = end, 1.0, f"run {view.state}"
        self._move(1.0 if view.is_settled else begin + (end - begin) * share, label)

    def _move(self, fraction: float, label: str) -> None:
        if self._task is None:
            self._task = self._bars.add_task("", total=1.0)
        text = f"{self._name}{label}"
        self._bars.update(self._task, completed=fraction, description=text[:_LABEL_CHARS])
        if text != self._said and not self._bars.console.is_terminal:
            self._bars.console.print(f"  {text}")
        self._said = text
