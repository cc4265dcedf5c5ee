"""Following runs until they end: bars for people, JSON lines for programs.

Every run is watched in a thread of its own, and one place prints. A lost connection only pauses a
bar: the client resumes after the last event it saw. Ctrl-C stops the watching, not the runs.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from spikefleet.cli.options import ExitCode
from spikefleet.cli.printing import Output, console, next_command, runs_table
from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import RunUpdate, RunView, event_json
from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.runs import Run, RunState
from spikefleet.core.text import counted, format_duration, format_size
from spikefleet.deploy.run_progress import run_fraction, shortened
from spikefleet.infra.rpc.errors import ServiceError, ServiceUnreachable

_POLL_S = 0.2  # how long a Ctrl-C may go unnoticed
_WIDE_TERMINAL = 110  # columns from which on everything has room


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
        output.say(f"Stopped watching; the runs continue. Next: spikefleet watch {again}")
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
    except ServiceUnreachable as error:
        waiting = f"No service answers at {client.address} yet. {_trying(client)}"
        waiting += f"\n{error.next_step}" if error.next_step else ""
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
    """The watch of one run met no service; it retries by itself."""

    run_id: str
    error: ServiceUnreachable


def _pause_sentence(error: ServiceUnreachable) -> str:
    what = error.message.partition(" (")[0].rstrip(".")
    return f"{what}; the runs continue. Retrying; press Ctrl-C to stop watching."


def _trying(client: SortingClient) -> str:
    until = format_duration(client.patience_s)
    return f"Trying again every few seconds for {until}; press Ctrl-C to stop."


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
            TextColumn("{task.fields[share]:>5}", table_column=Column(no_wrap=True)),
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
            title = title_of(run, self._title_width)
            self._tasks[run.run_id] = self._progress.add_task(title, total=1.0, said="", share="")
        task = self._tasks[run.run_id]
        fraction, said = run_fraction(run), what_it_says(run)
        share = "–" if fraction is None else f"{fraction:.0%}".replace("%", " %")
        self._progress.update(task, completed=fraction, said=said, share=share)
        if run.is_terminal:
            self._progress.stop_task(task)
        for event in update.events:
            if event.kind.startswith("decision."):
                self._progress.console.print(
                    f"{title_of(run)}: {_decided(run, event.kind)} – {event.body.get('reason', '')}"
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
        tenth = int((run_fraction(run) or 0.0) * 10)
        now = (run.state, run.stage, run.progress.get("step"), tenth)
        if self._said.get(run.run_id) != now:
            self._said[run.run_id] = now
            self._where.print(f"{title_of(run)}: {what_it_says(run)}", soft_wrap=True)

    def pause(self, error: ServiceUnreachable) -> None:
        """Print why nothing comes."""
        self._where.print(_pause_sentence(error), soft_wrap=True)

    def close(self) -> None:
        """Nothing to put away."""


def _decided(run: Run, kind: str) -> str:
    """The word for a decision; for a skip how the run ends, which is what the documents call it."""
    word = kind.removeprefix("decision.")
    if word != "skip":
        return word
    ending = run.result.get("ending")
    return str(run.status or (ending["status"] if ending else "not sorted"))


def title_of(run: Run, width: int | None = None) -> str:
    """Recording and stream in at most ``width`` characters; the stream tells siblings apart."""
    name = run.recording_name.rpartition("/")[2] or run.run_id
    title = f"{name} {run.stream}".strip()
    if width is None or len(title) <= width:
        return title
    name_width = max(6, width - len(run.stream) - 1) if run.stream else width
    return f"{shortened(name, name_width)} {run.stream}".strip()


def what_it_says(run: Run) -> str:
    """Stage, step, time left, spikes and memory, as far as they are known; vital things first."""
    if run.is_terminal:
        return _ending(run)
    if run.is_stopping:
        return "stopping"
    if run.state is RunState.HELD:
        own = run.failure.message if run.failure is not None and run.is_ended_by_failure else ""
        why = own or "its lane waits for an operator."
        return f"held: {why} Next: spikefleet status {run.run_id}"
    if run.state is RunState.WAITING and run.failure is not None:
        return f"waiting for another {run.stage} {_due(run)}: {run.failure.message}"
    told = run.progress if run.state is RunState.RUNNING else {}  # of the attempt under way only
    parts = [str(run.stage) if run.state is RunState.RUNNING else f"{run.state} for {run.stage}"]
    if told.get("step") and str(told["step"]) != str(run.stage):
        parts.append(str(told["step"]))
    if told.get("fraction") is not None:
        parts.append(f"{float(told['fraction']):.0%}")
    if float(told.get("eta_s") or 0.0) >= 1.0:
        parts.append(f"{format_duration(float(told['eta_s']))} left")
    if told.get("spike_count"):
        parts.append(f"{int(told['spike_count']):,} spikes")
    if told.get("memory_bytes"):
        parts.append(format_size(told["memory_bytes"]))
    return ", ".join(parts)


def _due(run: Run) -> str:
    left_s = (run.not_before - datetime.now(UTC)).total_seconds() if run.not_before else 0.0
    return f"in {format_duration(round(left_s))}" if left_s >= 1.0 else "soon"


def _ending(run: Run) -> str:
    if run.failure is not None:
        return f"{run.outcome}: {run.failure.message}"
    curated, found = run.result.get("n_units_curated"), run.result.get("n_units_sorted")
    if curated is None or found is None:
        return run.outcome
    said = f"{run.outcome}: {int(curated)} of {counted(int(found), 'unit')} kept"
    retry = run.result.get("last_retry")
    return f"{said}; a retry was {retry['ended']}, this is the result before it" if retry else said


def next_steps(runs: Sequence[RunView]) -> list[Text]:
    """The commands a person most likely wants now: for all of a batch, then one run of a kind."""
    kinds = (
        (lambda run: run.has_succeeded, "report {run_id} --open", "to look at the result"),
        (lambda run: run.has_succeeded, "fetch {run_id}", "for the units and spike times"),
        (
            lambda run: run.state in (RunState.FAILED, RunState.SKIPPED),
            "report {run_id} --open",
            "for why",
        ),
        (lambda run: run.state is RunState.CANCELLED, "retry {run_id}", "to start it again"),
        (lambda run: run.state is RunState.HELD, "release {run.lane}", "after the repair"),
    )
    live = [run.run_id for run in runs if not run.is_settled or run.run.is_stopping]
    batches = {run.run.batch_id for run in runs}
    if live:
        named = batches.pop() if len(live) > 1 and len(batches) == 1 else " ".join(live[:3])
        return [next_command(f"spikefleet watch {named}")]
    steps = []
    if len(runs) > 1 and len(batches) == 1:
        overview = f"spikefleet overview {batches.pop()} --open"
        steps.append(next_command(overview, "to see them on one page"))
    for fits, command, why in kinds:
        first = next((run for run in runs if fits(run)), None)
        if first is not None:
            told = command.format(run_id=first.run_id, run=first.run)
            steps.append(next_command(f"spikefleet {told}", why))
    return steps


def tell_end(out: Output, runs: Sequence[RunView], *, table_too: bool) -> None:
    """What followed runs came to, for a person."""
    if out.is_json:
        return
    if not runs:
        out.say("No run matches.")
    elif table_too:
        console().print(runs_table(runs))
    for line in next_steps(runs):
        console().print(line, soft_wrap=True)


def exit_code(runs: Sequence[RunView]) -> ExitCode:
    """Done when every run is success or unsortable: that is a scientific outcome, no error.

    A run that is held waits for an operator: a script must not take it for done.
    """
    fine = all(run.has_succeeded or run.status == RunStatus.UNSORTABLE for run in runs)
    return ExitCode.DONE if fine else ExitCode.RUN_FAILED
