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
from spikefleet.core.runs import Run, RunState

# Where each stage is on the bar of a run; the sort takes nearly all of the time.
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
        TextColumn(f"{{task.description:<{_LABEL_CHARS}}}", markup=False),
        BarColumn(bar_width=40),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        console=console,
    )


class RunBar:
    """Shows the updates of one run on ``bars``; also a context manager that starts the bars."""

    def __init__(self, bars: Progress, name: str = "") -> None:
        self._bars = bars
        self._name = name
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
        sorting = view.run.stage is Stage.SORT
        step = str(view.progress.get("step", "")) if sorting else ""
        label = str(view.run.stage)
        if step and step != label:
            label = f"{label}: {step}"
        self._move(run_fraction(view.run), view.outcome if view.is_settled else label)

    def _move(self, fraction: float | None, label: str) -> None:
        if self._task is None:
            self._task = self._bars.add_task("", total=1.0)
        text = f"{self._name} {label}".strip()
        shown = shortened(self._name, _LABEL_CHARS - len(label) - 1)
        described = f"{shown} {label}".strip()[:_LABEL_CHARS]
        self._bars.update(self._task, completed=fraction, description=described)
        if text != self._said and not self._bars.console.is_terminal:
            self._bars.console.print(f"  {text}", markup=False)
        self._said = text


def run_fraction(run: Run) -> float | None:
    """Share of the whole run that is behind, from its stage and what the sorter says.

    None for a run that stopped before its end: nothing tells how much was left.
    """
    if run.state is RunState.SUCCEEDED:
        return 1.0
    if run.is_terminal:
        return None
    begin, end = _SHARES[run.stage]
    # Between two attempts the last one's progress means nothing.
    said = run.progress if run.state is RunState.RUNNING else {}
    return begin + (end - begin) * max(0.0, min(1.0, float(said.get("fraction") or 0.0)))


def shortened(name: str, width: int) -> str:
    """The name in at most ``width`` characters. Its end tells siblings apart, so that stays."""
    if len(name) <= width:
        return name
    head = max(0, (width - 1) // 2)
    tail = max(0, width - 1 - head)
    return f"{name[:head]}…{name[len(name) - tail :]}"
