"""``spikefleet submit``: recordings in, runs out. Turns options into name, preset and overrides."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from spikefleet.cli.connection import connected, transfers
from spikefleet.cli.following import exit_code, follow, next_steps, tell_end
from spikefleet.cli.options import (
    ExitCode,
    address_option,
    completing,
    output_option,
    parse_overrides,
    set_option,
)
from spikefleet.cli.plan_view import plan_lines
from spikefleet.cli.printing import Output, next_command, runs_table
from spikefleet.client.names import recording_name
from spikefleet.client.views import BatchView
from spikefleet.core.config.names import nearest
from spikefleet.core.config.presets import preset_names
from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.rooms.preflight import SubmissionPlan
from spikefleet.core.runs import RunState
from spikefleet.core.sorters.catalogue import BACKENDS, DEFAULT_SORTER
from spikefleet.core.submissions import RecordingName
from spikefleet.core.text import counted
from spikefleet.deploy.settings import submit_defaults


@dataclass(frozen=True)
class Hand:
    """What ``submit`` was given: the options, under their own names."""

    paths: tuple[Path, ...]  #: recordings
    sorter: str  #: --sorter
    preset: str  #: --preset
    overrides: tuple[str, ...]  #: --set
    streams: tuple[str, ...]  #: --stream
    project: str  #: --project
    session: str  #: --session
    name: str  #: --name
    in_place: bool | None  #: --in-place or --upload; None: as it is
    concatenate: bool = False  #: --concatenate

    def chosen_preset(self) -> str:
        """The preset's name; every sorter has one of its own name."""
        if self.sorter and self.preset:
            raise click.UsageError("give --sorter or --preset, not both")
        if self.sorter and self.sorter.lower().replace("-", "_") not in BACKENDS:
            near = nearest(self.sorter, BACKENDS)
            hint = f"did you mean {near!r}?" if near else f"choose one of {', '.join(BACKENDS)}"
            raise click.UsageError(f"the sorter {self.sorter!r} is not available; {hint}")
        return self.preset or self.sorter or DEFAULT_SORTER

    def names(self) -> list[RecordingName]:
        """An address for every path; what was not given comes from the path."""
        if self.name and len(self.paths) > 1:
            raise click.UsageError("--name names one recording; leave it out for several paths")
        try:
            return [
                recording_name("", path, given=(self.project, self.session, self.name), alone=True)
                for path in self.paths
            ]
        except UnicodeEncodeError:
            raise  # explained like every other name that is not text
        except ValueError as error:
            raise click.UsageError(str(error)) from error


def with_defaults(hand: Hand) -> Hand:
    """Fill in what the user's configuration file says and no option does."""
    try:
        known = submit_defaults()
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    is_chosen = bool(hand.sorter or hand.preset)
    return replace(
        hand,
        sorter=hand.sorter if is_chosen else known.sorter,
        preset=hand.preset if is_chosen else known.preset,
        project=hand.project or known.project,
    )


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--sorter",
    default="",
    shell_complete=completing(lambda: BACKENDS),
    help=f"Sorter to use.  [default: {DEFAULT_SORTER}]",
)
@click.option(
    "--preset",
    default="",
    shell_complete=completing(preset_names),
    help="Named configuration to start from.",
)
@set_option
@click.option("--stream", "streams", multiple=True, help="Only this well or probe; repeatable.")
@click.option("--project", default="", help="First part of the recording's address.")
@click.option("--session", default="", help="Second part.  [default: the folder's name]")
@click.option("--name", default="", help="Third part.  [default: the file's name]")
@click.option(
    "--in-place/--upload",
    default=None,
    help="Leave the bytes where they are, or copy them to the service. "
    "[default: leave them when the service is on this machine]",
)
@click.option(
    "--concatenate",
    is_flag=True,
    help="Sort all PATHS as one recording, in the order given; a folder that holds several "
    "recordings stands for them, in natural order.",
)
@click.option("--watch", is_flag=True, help="Follow the runs until they end.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Only say what would be sorted, what it would take and what is doubtful. A recording "
    "that is uploaded is uploaded for it.",
)
@address_option
@output_option
@click.pass_context
def submit(context: click.Context, /, address: str | None, output: str, **given: Any) -> None:
    """Have the recordings at PATHS sorted, one run per stream.

    With --concatenate they become one run per stream, and its results come back per recording.
    The same recording and configuration submitted twice is one run.
    """
    watch, dry_run = given.pop("watch"), given.pop("dry_run")
    hand, out = with_defaults(Hand(**given)), Output(output)
    names, preset = hand.names(), hand.chosen_preset()
    overrides = parse_overrides(hand.overrides)
    with connected(address) as client:
        with transfers(out) as progress:
            recordings = client.add_recordings(
                hand.paths, names, in_place=hand.in_place, progress=progress
            )
        ids = [recording.recording_id for recording in recordings]
        asked: dict[str, Any] = {
            "streams": hand.streams,
            "overrides": overrides,
            "concatenate": hand.concatenate,
        }
        if dry_run:
            plan = client.plan(ids, preset, **asked)
            out.emit(plan.to_json(), *plan_lines(plan, _without_dry_run()))
            context.exit(_planned_code(plan))
        batch = client.sort(ids, preset, **asked, label=", ".join(map(str, names)))
        if not watch:
            known = _known_steps(batch)
            steps = next_steps(batch.runs)
            out.emit(
                batch.to_json(), runs_table(batch.runs), _summary(batch, names), *known, *steps
            )
            return
        out.line(batch.to_json())
        out.say(_summary(batch, names))
        runs = follow(client, batch.run_ids, out)
    tell_end(out, runs, table_too=True)
    context.exit(exit_code(runs))


def _planned_code(plan: SubmissionPlan) -> ExitCode:
    """What ``submit --watch`` would end with, were nothing to happen but what is foreseen."""
    failures = [run.examination.failure for run in plan.runs]
    fine = all(not known or known.row.status is RunStatus.UNSORTABLE for known in failures)
    return ExitCode.DONE if fine else ExitCode.RUN_FAILED


def _without_dry_run() -> str:
    """The command as it was typed, but for the option that started nothing."""
    typed = (word for word in sys.argv[1:] if word != "--dry-run")
    return shlex.join(["spikefleet", *typed])


def _summary(batch: BatchView, names: Sequence[RecordingName]) -> str:
    """How many runs, and why some are known; a copy's runs go by the name that came first."""
    old = set(batch.existing_run_ids)
    known = f", {len(old)} of them known before" if old else ""
    if batch.restarted_run_ids:
        known += f" and {len(batch.restarted_run_ids)} of these started again"
    asked = {str(name) for name in names}
    first = {view.run.recording_name for view in batch.runs if view.run_id in old} - asked
    if first and len(asked) == 1:
        known += f" (same bytes as {', '.join(sorted(first))})"
    return f"{batch.batch_id}: {counted(len(batch.runs), 'run')}{known}"


def _known_steps(batch: BatchView) -> list[Text]:
    """What starts runs again that ended without a result before and were left as they are."""
    left = set(batch.existing_run_ids) - set(batch.restarted_run_ids)
    ended = [run for run in batch.runs if run.run_id in left and run.state is RunState.FAILED]
    if not ended:
        return []
    named = ended[0].run_id if len(ended) == 1 else f"--batch {batch.batch_id} --state failed"
    what = counted(len(ended), "run") + " failed before and stays so"
    return [Text(what, style="yellow"), next_command(f"spikefleet retry {named}", "to start again")]
