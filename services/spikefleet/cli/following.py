"""Following runs until they end: bars for people, JSON lines for programs.

Every run is watched in a thread of its own, and one place prints. A lost connection only pauses a
bar: the client goes on behind the last event it saw. Leaving (Ctrl-C) stops no run.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from spikefleet.cli.options import ExitCode
from spikefleet.cli.printing import Output, bytes_text, console, duration_text
from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import RunUpdate, RunView, event_json
from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.runs import Run, RunState
from spikefleet.infra.rpc.errors import ServiceError, ServiceUnreachable

_POLL_S = 0.2  # how long a Ctrl-C may go unnoticed
_WIDE_TERMINAL = 110  # columns from which on everything has room
# Where each stage lies on the bar of a run; the sort takes nearly all of the time.
_STAGE_SHARES = {
    Stage.PREFLIGHT: (0.0, 0.05),
    Stage.SORT: (0.05, 0.9),
    Stage.CURATE: (0.9, 0.95),
    Stage.REPORT: (0.95, 1.0),
}


def follow(client: SortingClient, run_ids: Sequence[str], output: Output) -> list[RunView]:
    """Show the runs until all have ended; return them in the order given.

    Raises ServiceError and ServiceUnreachable of the first watch that gave up.
    """
    ended: dict[str, RunView] = {}
    try:
        is_met = _meet(client, run_ids)
        with closing(_screen(output)) as screen:
            for update in _updates(client, run_ids, screen.pause, is_met=is_met):
                screen.show(update)
                if update.run.is_settled:
                    ended[update.run.run_id] = update.run
    except KeyboardInterrupt:
        again = " ".join(run_id for run_id in run_ids if run_id not in ended)
        output.say(f"Left; the runs go on. Follow again with: spikefleet watch {again}")
        raise click.exceptions.Exit(ExitCode.LEFT) from None
    return [ended[run_id] for run_id in run_ids]


def _meet(client: SortingClient, run_ids: Sequence[str]) -> bool:
    """Ask for each run once. Raises ServiceError for a mistyped id, before anything is drawn.

    A service that is away may come back, so that is only said: watching is patient. Return whether
    it answered.
    """
    try:
        for run_id in run_ids:
            client.get(run_id)
    except ServiceUnreachable:
        waiting = f"No service answers at {client.address} yet; trying on. Ctrl-C leaves."
        console(stderr=True).print(waiting, style="yellow", soft_wrap=True)
        return False
    return True


def _updates(
    client: SortingClient,
    run_ids: Sequence[str],
    paused: Callable[[ServiceUnreachable], None],
    *,
    is_met: bool,
) -> Iterator[RunUpdate]:
    """Yield the updates of all runs as they come, until every run has ended.

    ``paused`` is called once for every time the service goes away under the watches; not for the
    first time when the service was not met to begin with.
    """
    arrived: queue.SimpleQueue[RunUpdate | ServiceError | _Lost | None] = queue.SimpleQueue()
    is_left = threading.Event()

    def watch(run_id: str) -> None:
        try:
            for update in client.watch(run_id, on_lost=lambda e: arrived.put(_Lost(run_id, e))):
                arrived.put(update)
            arrived.put(None)
        except ServiceError as error:
            arrived.put(error)
        except ValueError:
            # gRPC's word for a connection closed under a watch: another watch gave up first.
            if not is_left.is_set():
                raise

    wanted = list(dict.fromkeys(run_ids))
    for run_id in wanted:
        threading.Thread(target=watch, args=(run_id,), daemon=True, name=run_id).start()
    lost = set[str]() if is_met else set(wanted)
    try:
        for item in _received(arrived, len(wanted)):
            if isinstance(item, _Lost):
                if not lost:
                    paused(item.error)
                lost.add(item.run_id)
            else:
                lost.discard(item.run.run_id)
                yield item
    finally:
        is_left.set()


def _received(
    arrived: queue.SimpleQueue[RunUpdate | ServiceError | _Lost | None], open_watches: int
) -> Iterator[RunUpdate | _Lost]:
    """Yield what the watches put there until each has put its None; raise the first error."""
    while open_watches:
        try:
            item = arrived.get(timeout=_POLL_S)
        except queue.Empty:
            continue
        if item is None:
            open_watches -= 1
        elif isinstance(item, ServiceError):
            raise item
        else:
            yield item


@dataclass(frozen=True)
class _Lost:
    """The watch of one run met no service; it tries on by itself."""

    run_id: str
    error: ServiceUnreachable


def _pause_sentence(error: ServiceUnreachable) -> str:
    what = error.message.partition(" (")[0].rstrip(".")
    return f"{what}; the runs go on. Trying again; Ctrl-C leaves."


class _Screen(Protocol):
    def show(self, update: RunUpdate) -> None: ...

    def pause(self, error: ServiceUnreachable) -> None: ...

    def close(self) -> None: ...


def _screen(output: Output) -> _Screen:
    if output.is_json:
        return _JsonLines(output)
    where = console()
    return Bars(where) if where.is_terminal else _PlainLines(where)


class _JsonLines:
    """One JSON document a line: the run and what happened to it."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def show(self, update: RunUpdate) -> None:
        """Print the update, without the configuration, which does not change."""
        run = {key: value for key, value in update.run.to_json().items() if key != "config"}
        self._output.line({"run": run, "events": [event_json(event) for event in update.events]})

    def pause(self, error: ServiceUnreachable) -> None:
        """Tell whoever reads stderr; the lines on stdout stay updates of runs."""
        console(stderr=True).print(_pause_sentence(error), soft_wrap=True)

    def close(self) -> None:
        """Nothing to put away."""


class Bars:
    """A bar for every run, on a terminal."""

    def __init__(self, where: Console) -> None:
        is_wide = where.width >= _WIDE_TERMINAL
        self._title_width = 36 if is_wide else 24
        # Only the last column gives way on a narrow terminal; bar, percent and time always show.
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=24 if is_wide else 10),
            TextColumn("{task.percentage:>3.0f} %", table_column=Column(no_wrap=True)),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TextColumn(
                "{task.fields[said]}",
                style="cyan",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
            ),
            console=where,
            expand=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._progress.start()

    def show(self, update: RunUpdate) -> None:
        """Move the run's bar."""
        run = update.run.run
        if run.run_id not in self._tasks:
            task = self._progress.add_task(title_of(run, self._title_width), total=1.0, said="")
            self._tasks[run.run_id] = task
        self._progress.update(
            self._tasks[run.run_id], completed=run_fraction(run), said=what_it_says(run)
        )
        for event in update.events:
            if event.kind.startswith("decision."):
                self._progress.console.print(
                    f"{title_of(run)}: {event.kind.removeprefix('decision.')} – "
                    f"{event.body.get('reason', '')}"
                )

    def pause(self, error: ServiceUnreachable) -> None:
        """Say above the bars why they stand still."""
        self._progress.console.print(_pause_sentence(error), style="yellow", soft_wrap=True)

    def close(self) -> None:
        """Leave the bars as they stand."""
        self._progress.stop()


class _PlainLines:
    """A line whenever something changed, where there is no terminal: logs stay readable."""

    def __init__(self, where: Console) -> None:
        self._where = where
        self._said: dict[str, tuple[Any, ...]] = {}

    def show(self, update: RunUpdate) -> None:
        """Print when state, stage, step or the tenth of the way changed."""
        run = update.run.run
        now = (run.state, run.stage, run.progress.get("step"), int(run_fraction(run) * 10))
        if self._said.get(run.run_id) != now:
            self._said[run.run_id] = now
            self._where.print(f"{title_of(run)}: {what_it_says(run)}", soft_wrap=True)

    def pause(self, error: ServiceUnreachable) -> None:
        """Print why nothing comes."""
        self._where.print(_pause_sentence(error), soft_wrap=True)

    def close(self) -> None:
        """Nothing to put away."""


def title_of(run: Run, width: int | None = None) -> str:
    """Recording and stream in at most ``width`` characters; the stream tells siblings apart."""
    name = run.recording_name.rpartition("/")[2] or run.run_id
    title = f"{name} {run.stream}".strip()
    if width is None or len(title) <= width:
        return title
    name_width = max(6, width - len(run.stream) - 1) if run.stream else width
    short = name if len(name) <= name_width else f"{name[: name_width - 1]}…"
    return f"{short} {run.stream}".strip()


def run_fraction(run: Run) -> float:
    """Share of the whole run that lies behind, from its stage and what the sorter says."""
    if run.is_terminal:
        return 1.0
    begin, end = _STAGE_SHARES[run.stage]
    within = max(0.0, min(1.0, float(_progress(run).get("fraction") or 0.0)))
    return begin + (end - begin) * within


def what_it_says(run: Run) -> str:
    """Stage, step, time left, spikes and memory, as far as they are known; vital things first."""
    if run.is_terminal:
        return _ending(run)
    if run.state is RunState.HELD:
        why = "its lane waits for an operator." if run.failure is None else run.failure.message
        return f"held: {why} See `spikefleet holds`."
    told = _progress(run)
    parts = [str(run.stage) if run.state is RunState.RUNNING else f"{run.state} for {run.stage}"]
    if told.get("step") and str(told["step"]) != str(run.stage):
        parts.append(str(told["step"]))
    if told.get("fraction") is not None:
        parts.append(f"{float(told['fraction']):.0%}")
    if float(told.get("eta_s") or 0.0) >= 1.0:
        parts.append(f"{duration_text(float(told['eta_s']))} left")
    if told.get("spike_count"):
        parts.append(f"{int(told['spike_count']):,} spikes")
    if told.get("memory_bytes"):
        parts.append(bytes_text(told["memory_bytes"]))
    return ", ".join(parts)


def _progress(run: Run) -> Mapping[str, Any]:
    """What the running attempt says; between two attempts the last one's words mean nothing."""
    return run.progress if run.state is RunState.RUNNING else {}


def _ending(run: Run) -> str:
    if run.failure is not None:
        return f"{run.status or run.state}: {run.failure.message}"
    curated, found = run.result.get("n_units_curated"), run.result.get("n_units_sorted")
    if curated is None or found is None:
        return str(run.state)
    return f"{run.state}: {int(curated)} of {int(found)} units kept"


def exit_code(runs: Sequence[RunView]) -> ExitCode:
    """Done when every run succeeded or is unsortable: that is a scientific outcome, no error.

    A run that is held waits for an operator: a script must not take it for done.
    """
    fine = all(run.has_succeeded or run.status == RunStatus.UNSORTABLE for run in runs)
    return ExitCode.DONE if fine else ExitCode.RUN_FAILED
