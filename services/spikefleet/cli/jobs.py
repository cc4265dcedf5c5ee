"""The verbs about runs: list, status, watch, cancel, retry, holds, release.

Each asks the client one thing and prints the answer.
"""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text

from spikefleet.cli.connection import connected
from spikefleet.cli.following import exit_code, follow
from spikefleet.cli.options import address_option, output_option, parse_overrides, set_option
from spikefleet.cli.printing import (
    Output,
    age_text,
    attempts_table,
    decisions_table,
    failure_lines,
    findings_lines,
    runs_table,
    state_text,
    table,
)
from spikefleet.client.views import event_json
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
    if run.failure is not None:
        lines.append(failure_lines(run.failure))
    lines += findings_lines(run)
    tables = [attempts_table(view.attempts), decisions_table(events)]
    shown = [made for made in tables if made.row_count]
    document = {**view.to_json(), "events": [event_json(event) for event in events]}
    Output(output).emit(document, *lines, *shown)


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
    Output(output).emit(view.to_json(), runs_table([view]))


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--stage", type=click.Choice([str(s) for s in Stage]), help="Stage to start from.")
@set_option
@address_option
@output_option
def retry(
    run_id: str, stage: str | None, overrides: tuple[str, ...], address: str | None, output: str
) -> None:
    """Start an ended run again; with --set it becomes a new run with those parameters."""
    changes = parse_overrides(overrides)
    with connected(address) as client:
        view = client.retry(run_id, stage, **changes)
    Output(output).emit(view.to_json(), runs_table([view]))


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
    shown = made if found else Text("no lane is on hold")
    Output(output).emit({"holds": [hold.to_json() for hold in found]}, shown)


@click.command()
@click.argument("lane")
@address_option
@output_option
def release(lane: str, address: str | None, output: str) -> None:
    """Open a lane again after its environment was mended; its runs go on."""
    with connected(address) as client:
        count = client.release(lane)
    document = {"lane": lane, "released_run_count": count}
    Output(output).emit(document, f"{lane} is open; {count} waiting run(s) go on")


COMMANDS = (list_runs, status, watch, cancel, retry, holds, release)
