"""The verbs about runs: list, status, watch, cancel, retry.

Each asks the client one thing, for one run or for many, and prints the answer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
from rich.console import RenderableType
from rich.text import Text

from spikefleet.cli.connection import connected
from spikefleet.cli.following import exit_code, follow, next_steps, tell_end, what_it_says
from spikefleet.cli.options import (
    ExitCode,
    address_option,
    output_option,
    parse_overrides,
    set_option,
)
from spikefleet.cli.printing import (
    Output,
    age_text,
    attempts_table,
    decisions,
    decisions_table,
    evidence_lines,
    failure_lines,
    findings_lines,
    next_command,
    projection_line,
    runs_table,
    settings_line,
    state_text,
)
from spikefleet.cli.selectors import Selection, select_options, selecting
from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import RunView, event_json
from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import Disposition
from spikefleet.core.failures.errors import Failure
from spikefleet.core.runs import Run, RunEvent, RunState
from spikefleet.core.text import counted
from spikefleet.infra.rpc.errors import ServiceError

_NO_MATCH = "No run matches."
# What one run of many may answer: the others are asked all the same.
_OF_ONE_RUN = frozenset({"RUN_NOT_ENDED", "RUN_HAS_RESULT", "STAGE_NOT_REACHED", "NOT_YOURS"})


@click.command(name="list")
@select_options
@click.option("--limit", "page_size", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--page", "page_token", default="", help="Token of the page to show.")
@address_option
@output_option
def list_runs(address: str | None, output: str, **given: Any) -> None:
    """List runs, newest first."""
    size, token = given.pop("page_size"), given.pop("page_token")
    runs: list[RunView] = []
    with connected(address) as client:
        for page in Selection(**given).pages(client, size, token):
            runs += page.runs
            token = page.next_page_token
            if len(runs) >= size:
                break
    document = {"runs": [run.to_json() for run in runs], "next_page_token": token}
    shown: list[RenderableType] = [runs_table(runs)]
    if token:
        shown.append(next_command(f"spikefleet list --page {token}", "for older runs"))
    elif runs:
        shown.append(next_command(f"spikefleet status {runs[0].run_id}"))
    else:
        chosen = any(given.values())
        shown = [_NO_MATCH if chosen else "There are no runs yet."]
        shown += [] if chosen else [next_command("spikefleet submit RECORDING --watch")]
    Output(output).emit(document, *shown)


@click.command()
@selecting
@address_option
@output_option
def status(address: str | None, output: str, **given: Any) -> None:
    """Tell where runs stand; of one run also what was tried, what was decided and why."""
    chosen, out = Selection.taken(given), Output(output)
    with connected(address) as client:
        run_ids = chosen.ids(client)
        if len(run_ids) == 1:
            _tell_run(client, run_ids[0], out)
        else:
            _tell_runs([client.get(run_id) for run_id in run_ids], out)


def _tell_runs(views: Sequence[RunView], out: Output, *more: RenderableType) -> None:
    document = {"runs": [view.to_json() for view in views]}
    out.emit(document, runs_table(views) if views else _NO_MATCH, *more)


def _tell_run(client: SortingClient, run_id: str, out: Output) -> None:
    view, events = client.get(run_id), client.events(run_id)
    run = view.run
    head = Text.assemble(
        (run.run_id, "bold"),
        f"  {run.recording_name} {run.stream}  {run.backend}  ",
        state_text(run),
        f"  {age_text(run.updated_at)}",
    )
    found, kept = run.result.get("n_units_sorted"), run.result.get("n_units_curated")
    counts = ", ".join(
        f"{counted(int(count), 'unit')} {word}"
        for count, word in ((found, "sorted"), (kept, "kept"))
        if count is not None
    )
    lines = [
        head,
        Text(f"Batch: {run.batch_id}"),
        *settings_line(run),
        *([Text(counts)] if counts else []),
    ]
    if retry := run.result.get("last_retry"):
        why = f": {retry['reason']}" if retry.get("reason") else ""
        lines.append(Text(f"A retry was {retry['ended']}{why} The result before it stands."))
    if not view.is_settled:
        said = what_it_says(run)
        if run.failure is not None:
            said = said.removesuffix(f": {run.failure.message}")  # told below
        lines.append(Text(said, style="cyan"))
    if run.state is RunState.CANCELLED:
        asked = [e.body.get("reason") for e in events if e.kind == "run.cancel_requested"]
        lines.append(Text(f"Cancelled: {asked[-1] if asked and asked[-1] else 'no reason given'}"))
    elif run.failure is not None:
        lines += _failure_told(run, run.failure, events)
    lines += _hold_lines(client, view) + findings_lines(run) + projection_line(run)
    tables = [attempts_table(view.attempts), decisions_table(events)]
    shown = [made for made in tables if made.row_count]
    document = {**view.to_json(), "events": [event_json(event) for event in events]}
    out.emit(document, *lines, *shown, *next_steps([view]))


def _failure_told(run: Run, failure: Failure, events: Sequence[RunEvent]) -> list[Text]:
    """Why a run ended or is held, and what somebody must do about it.

    Of a run that is tried again it is what its last attempt met, and what follows by itself.
    """
    if run.is_ended_by_failure:
        return [failure_lines(failure), *evidence_lines(failure)]
    taken = [event for event in decisions(events) if event.body.get("code") == failure.code]
    which, follows = f"({failure.code})", "It is tried again."
    if taken:
        body, told = taken[-1].body, age_text(taken[-1].created_at)
        which = f"({body.get('stage')} {body.get('attempt')}, {failure.code}, {told})"
        said = str(body.get("reason") or "").removeprefix(failure.message).strip()
        was_held = taken[-1].kind == f"decision.{Disposition.HOLD}"
        follows = "It continues since its hold was released." if was_held else said or follows
    return [
        Text(f"The last attempt failed {which}: {failure.message}", style="yellow"),
        Text(follows),
        *evidence_lines(failure),
    ]


def _hold_lines(client: SortingClient, view: RunView) -> list[Text]:
    """The lane that a held run waits in, who put it on hold and why."""
    if view.state is not RunState.HELD:
        return []
    lane = view.run.lane
    hold = next((hold for hold in client.holds() if hold.lane == lane), None)
    if hold is None:
        return []
    found = "this run" if hold.run_id == view.run_id else hold.run_id
    return [
        Text.assemble(
            ("On hold: ", "bold yellow"),
            f"lane {lane}, since {age_text(hold.created_at)}, found by {found}: {hold.reason}",
        )
    ]


@click.command()
@selecting
@address_option
@output_option
@click.pass_context
def watch(context: click.Context, /, address: str | None, output: str, **given: Any) -> None:
    """Follow runs until they end. Ends 0 when all are success or unsortable, 1 otherwise.

    A restart of the service only pauses it; Ctrl-C stops the watching, not the runs.
    """
    chosen, out = Selection.taken(given), Output(output)
    with connected(address) as client:
        run_ids = chosen.ids(client)
        runs = follow(client, run_ids, out)
    tell_end(out, runs, table_too=len(runs) > 1)
    context.exit(exit_code(runs))


@click.command()
@selecting
@click.option("--reason", default="", help="Why, for the run's history.")
@address_option
@output_option
@click.pass_context
def cancel(
    context: click.Context, /, reason: str, address: str | None, output: str, **given: Any
) -> None:
    """Stop runs. One that has ended stays as it is."""
    chosen, out = Selection.taken(given), Output(output)
    with connected(address) as client:
        views, refused = _each(
            chosen.ids(client), lambda run_id: client.cancel(run_id, reason), chosen
        )
    ended = [view for view in views if view.is_terminal and not view.run.cancel_requested]
    said: list[RenderableType] = []
    if ended:
        subject = "It had ended" if chosen.is_one else f"{len(ended)} of them had ended"
        said.append(Text(f"{subject} before; nothing was stopped there.", style="dim"))
    else:
        said += next_steps(views)
    _tell_answers(out, chosen, views, refused, *said)
    context.exit(ExitCode.RUN_FAILED if refused else ExitCode.DONE)


def _each(
    run_ids: Sequence[str], ask: Callable[[str], RunView], chosen: Selection
) -> tuple[list[RunView], list[ServiceError]]:
    """Ask for every run. What refuses one of many is returned; a run asked for alone raises."""
    views, refused = [], []
    for run_id in run_ids:
        try:
            views.append(ask(run_id))
        except ServiceError as error:
            if chosen.is_one or error.reason not in _OF_ONE_RUN:
                raise
            refused.append(error)
    return views, refused


def _tell_answers(
    out: Output,
    chosen: Selection,
    views: Sequence[RunView],
    refused: Sequence[ServiceError],
    *more: RenderableType,
) -> None:
    """One run asked for by its id is one document; anything else is a list."""
    if chosen.is_one:
        out.emit(views[0].to_json(), runs_table(views), *more)
        return
    document = {
        "runs": [view.to_json() for view in views],
        "refused": [{"code": error.reason, "message": error.message} for error in refused],
    }
    lines = [Text(f"Not done: {error.message}", style="yellow") for error in refused]
    table = [runs_table(views)] if views else []
    nothing = [] if views or refused else [_NO_MATCH]
    out.emit(document, *table, *lines, *nothing, *more)


@click.command()
@selecting
@click.option("--stage", type=click.Choice([str(s) for s in Stage]), help="Stage to start from.")
@set_option
@click.option(
    "--force",
    is_flag=True,
    help="Sort again although there is a complete result; it stays until a new one is complete.",
)
@click.option("--watch", "watched", is_flag=True, help="Follow the runs until they end.")
@address_option
@output_option
@click.pass_context
def retry(context: click.Context, /, address: str | None, output: str, **given: Any) -> None:
    """Start ended runs again; with --set they become new runs with those parameters."""
    changes, stage = parse_overrides(given.pop("overrides")), given.pop("stage")
    force, watched = given.pop("force"), given.pop("watched")
    chosen, out = Selection.taken(given), Output(output)

    def again(run_id: str) -> RunView:
        try:
            return client.retry(run_id, stage, force=force, **changes)
        except ServiceError as error:
            if error.reason != "RUN_HAS_RESULT" or out.is_json or not _agrees(error.message):
                raise
            return client.retry(run_id, stage, force=True, **changes)

    with connected(address) as client:
        views, refused = _each(chosen.ids(client), again, chosen)
        if not watched:
            _tell_answers(out, chosen, views, refused, *next_steps(views))
            context.exit(ExitCode.RUN_FAILED if refused else ExitCode.DONE)
        for view in views:
            out.line(view.to_json())
        runs = follow(client, [view.run_id for view in views], out)
    tell_end(out, runs, table_too=True)
    unchanged = any(run.result.get("last_retry") for run in runs)
    context.exit(ExitCode.RUN_FAILED if refused or unchanged else exit_code(runs))


def _agrees(message: str) -> bool:
    """Ask a person at a terminal; nobody else is asked."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return click.confirm(f"{message} Sort again? It stays until a new one is complete")
