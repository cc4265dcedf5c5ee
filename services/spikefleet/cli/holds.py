"""The operator's verbs about lanes: holds and release."""

from __future__ import annotations

import click

from spikefleet.cli.connection import connected
from spikefleet.cli.options import ExitCode, address_option, output_option
from spikefleet.cli.printing import Output, age_text, next_command, table
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.core.text import counted


@click.command()
@address_option
@output_option
def holds(address: str | None, output: str) -> None:
    """List lanes on hold: what waits for an operator, and why."""
    with connected(address) as client:
        found = client.holds()
    made = table("lane", ">runs", "since", "found by", "why")
    for hold in found:
        since = age_text(hold.created_at)
        made.add_row(hold.lane, str(hold.held_run_count), since, hold.run_id, hold.reason)
    document = {"holds": [hold.to_json() for hold in found]}
    if not found:
        Output(output).emit(document, "No lane is on hold.")
        return
    lane = found[0].lane if len(found) == 1 else "LANE"
    Output(output).emit(
        document,
        made,
        next_command(f"spikefleet status {found[0].run_id}", "the evidence"),
        next_command(f"spikefleet release {lane}", "after the repair"),
    )


@click.command()
@click.argument("lane")
@address_option
@output_option
@click.pass_context
def release(context: click.Context, /, lane: str, address: str | None, output: str) -> None:
    """Open a lane again after its environment was repaired; its runs continue."""
    with connected(address) as client:
        held = [hold.lane for hold in client.holds()]
        count = client.release(lane)
    document = {"lane": lane, "was_held": lane in held, "released_run_count": count}
    if lane not in held:
        others = f"On hold: {', '.join(held)}." if held else "No lane is on hold."
        Output(output).emit(document, f"{lane} was not on hold; nothing changed. {others}")
        context.exit(ExitCode.DONE if lane in BACKENDS else ExitCode.USAGE)
    said = f"{lane} is open again; {counted(count, 'held run')} {_continues(count)}."
    Output(output).emit(document, said, next_command("spikefleet list", "to see where they stand"))


def _continues(count: int) -> str:
    return "continues" if count == 1 else "continue"
