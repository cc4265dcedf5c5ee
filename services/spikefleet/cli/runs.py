"""The verbs about runs: list, status, watch, cancel, retry, holds, release.

Each asks the client one thing and prints the answer.
"""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text

from spikefleet.cli.connection import connected
from spikefleet.cli.following import exit_code, follow, what_it_says
from spikefleet.cli.options import address_option, output_option, parse_overrides, set_option
from spikefleet.cli.printing import (
    Output,
    age_text,
    attempts_table,
    console,
    decisions_table,
    evidence_lines,
    failure_lines,
    findings_lines,
    projection_line,
    runs_table,
    state_text,
    table,
)
from spikefleet.client.views import RunView, event_json
from spikefleet.core.attempts import Stage
from spikefleet.core.runs import RunState


@click.command(name="list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([str(state) for state in RunState]),
    help="Only runs in this state; repeatable.",
)
@click.option("--batch", "batch_id", default="", help="Only the runs of this batch.")
@click.option("--limit", "page_size", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--page", "page_token", default="", help="Token of the page to show.")
@address_option
@output_option
def list_runs(address: str | None, output: str, **query: Any) -> None:
    """List runs, newest first."""
    with connected(address) as client:
        page = client.list(**query)
    document = {
        "runs": [run.to_json() for run in page.runs],
        "next_page_token": page.next_page_token,
    }
    more = [Text(f"More: --page {page.next_page_token}", style="dim")] * bool(page.next_page_token)
    shown = runs_table(page.runs) if page.runs else Text("no runs")
    Output(output).emit(document, shown, *more)


@click.command()
@click.argument("run_id", metavar="RUN")
@address_option
@output_option
def status(run_id: str, address: str | None, output: str) -> None:
    """Tell where a run stands, what was tried, what was decided and why."""
    with connected(address) as client:
        view, events = client.get(run_id), client.events(run_id)
    run = view.run
    head = Text.assemble(
        (run.run_id, "bold"),
        f"  {run.recording_name} {run.stream}  {run.backend}  ",
        state_text(run),
        f"  {age_text(run.updated_at)}",
    )
    counts = ", ".join(
        f"{int(run.result[key])} units {word}"
        for key, word in (("n_units_sorted", "sorted"), ("n_units_curated", "kept"))
        if run.result.get(key) is not None
    )
    lines = [head, *([Text(counts)] if counts else [])]
    if not view.is_settled:
        lines.append(Text(what_it_says(run), style="cyan"))
    if run.state is RunState.CANCELLED:
        asked = [e.body.get("reason") for e in events if e.kind == "run.cancel_requested"]
        lines.append(Text(f"Cancelled: {asked[-1] if asked and asked[-1] else 'no reason given'}"))
    elif run.failure is not None:
        lines += [failure_lines(run.failure), *evidence_lines(run.failure)]
    lines += findings_lines(run) + projection_line(run)
    tables = [attempts_table(view.attempts), decisions_table(events)]
    shown = [made for made in tables if made.row_count]
    document = {**view.to_json(), "events": [event_json(event) for event in events]}
    Output(output).emit(document, *lines, *shown, *_what_next(view))


def _what_next(view: RunView) -> list[Text]:
    """The command a person most likely wants now."""
    if not view.is_settled:
        hint = f"Follow with: spikefleet watch {view.run_id}"
    elif view.has_succeeded:
        hint = f"Get the results with: spikefleet fetch {view.run_id}"
    elif view.is_terminal and view.state is not RunState.CANCELLED:
        hint = f"See the page with: spikefleet report {view.run_id}"
    else:
        return []
    return [Text(hint, style="dim")]


@click.command()
@click.argument("run_ids", metavar="RUN...", nargs=-1, required=True)
@address_option
@output_option
@click.pass_context
def watch(
    context: click.Context, run_ids: tuple[str, ...], address: str | None, output: str
) -> None:
    """Follow runs until they end. Ends 0 when they succeeded or are unsortable, 1 otherwise.

    A restart of the service only pauses it; leaving with Ctrl-C stops no run.
    """
    with connected(address) as client:
        runs = follow(client, run_ids, Output(output))
    context.exit(exit_code(runs))


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--reason", default="", help="Why, for the run's history.")
@address_option
@output_option
def cancel(run_id: str, reason: str, address: str | None, output: str) -> None:
    """Stop a run. One that has ended stays as it is."""
    with connected(address) as client:
        view = client.cancel(run_id, reason)
    ended = view.is_terminal and not view.run.cancel_requested
    said = [Text("It had ended before; nothing was stopped.", style="dim")] if ended else []
    Output(output).emit(view.to_json(), runs_table([view]), *said)


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--stage", type=click.Choice([str(s) for s in Stage]), help="Stage to start from.")
@set_option
@click.option(
    "--force",
    is_flag=True,
    help="Sort again although there is a complete result; it stays until a new one is complete.",
)
@click.option("--watch", "watched", is_flag=True, help="Follow the run until it ends.")
@address_option
@output_option
@click.pass_context
def retry(context: click.Context, /, address: str | None, output: str, **given: Any) -> None:
    """Start an ended run again; with --set it becomes a new run with those parameters."""
    changes, out = parse_overrides(given["overrides"]), Output(output)
    with connected(address) as client:
        view = client.retry(given["run_id"], given["stage"], force=given["force"], **changes)
        if not given["watched"]:
            out.emit(view.to_json(), runs_table([view]), *_what_next(view))
            return
        out.line(view.to_json())
        runs = follow(client, [view.run_id], out)
        if not out.is_json:
            console().print(runs_table(runs))
    context.exit(exit_code(runs))


@click.command()
@address_option
@output_option
def holds(address: str | None, output: str) -> None:
    """List lanes on hold: what waits for an operator, and why."""
    with connected(address) as client:
        found = client.holds()
    made = table("lane", ">runs", "since", "why")
    for hold in found:
        made.add_row(hold.lane, str(hold.held_run_count), age_text(hold.created_at), hold.reason)
    document = {"holds": [hold.to_json() for hold in found]}
    if not found:
        Output(output).emit(document, Text("no lane is on hold"))
        return
    hint = (
        "Which runs: spikefleet list --state held. The evidence of one: spikefleet status RUN. "
        f"After the repair: spikefleet release {found[0].lane if len(found) == 1 else 'LANE'}"
    )
    Output(output).emit(document, made, Text(hint, style="dim"))


@click.command()
@click.argument("lane")
@address_option
@output_option
def release(lane: str, address: str | None, output: str) -> None:
    """Open a lane again after its environment was mended; its runs go on."""
    with connected(address) as client:
        held = [hold.lane for hold in client.holds()]
        count = client.release(lane)
    document = {"lane": lane, "was_held": lane in held, "released_run_count": count}
    said = f"{lane} is open again; {count} held {'run goes' if count == 1 else 'runs go'} on"
    if lane not in held:
        others = f" On hold: {', '.join(held)}." if held else " No lane is on hold."
        said = f"{lane} was not on hold, so nothing changed.{others}"
    Output(output).emit(document, said)


COMMANDS = (list_runs, status, watch, cancel, retry, holds, release)
