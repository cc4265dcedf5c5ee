"""How answers look: JSON documents for programs, tables and sentences for people.

Documents are what the client's values say of themselves (``to_json``); this file makes the tables.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from spikefleet.client.views import RunView
from spikefleet.core.attempts import AttemptState
from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.findings.next_step import next_step_for, part_advice
from spikefleet.core.runs import Attempt, Run, RunEvent, RunState
from spikefleet.core.text import FOR_PROGRAMS, counted, format_duration, format_gib, format_size
from spikefleet.deploy.screen import Screen

WIDTH_WITHOUT_TERMINAL = 120
_NARROW, _WIDE = 100, 140  # terminal columns
_LOG_LINES_SHOWN = 8
_READABLE_BYTES = 100 << 20  # from here on GiB are read more easily

STATE_STYLES = {
    RunState.QUEUED: "dim",
    RunState.RUNNING: "cyan",
    RunState.WAITING: "yellow",
    RunState.HELD: "bold yellow",
    RunState.SUCCEEDED: "green",
    RunState.SKIPPED: "magenta",
    RunState.FAILED: "bold red",
    RunState.CANCELLED: "dim",
}


def console(*, stderr: bool = False, markup: bool = False) -> Console:
    """A console on the current stream; wide enough for a table where there is no terminal.

    Without ``markup`` brackets are printed as they are: paths and messages are full of them.
    Nothing printed steers the terminal.
    """
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH_WITHOUT_TERMINAL
    return Screen(stderr=stderr, width=width, highlight=False, markup=markup)


@dataclass(frozen=True)
class Output:
    """Where a command's answer goes. ``kind`` is "text" or "json"."""

    kind: str

    @property
    def is_json(self) -> bool:
        """True when a program reads the answer."""
        return self.kind == "json"

    def emit(self, document: Mapping[str, Any], *renderables: RenderableType) -> None:
        """Print the document, or what people see of it."""
        if self.is_json:
            click_line(json.dumps(document, indent=2, default=str))
            return
        for renderable in renderables:
            # The terminal wraps sentences itself; a path broken by us could not be copied.
            console().print(renderable, soft_wrap=isinstance(renderable, str | Text))

    def line(self, document: Mapping[str, Any]) -> None:
        """Print one JSON line of a stream; nothing for people, who see a bar."""
        if self.is_json:
            click_line(json.dumps(document, default=str))

    def say(self, sentence: str) -> None:
        """Tell a person what happens next; programs are not disturbed."""
        if not self.is_json:
            console().print(sentence, soft_wrap=True)


def click_line(text: str) -> None:
    """Print one line at once: a program may be reading as we go."""
    print(text, flush=True)


def age_text(moment: datetime) -> str:
    """How long ago, in the one unit that matters: ``3 min ago``."""
    age_s = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    for size_s, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if age_s >= size_s:
            return f"{age_s // size_s:.0f} {unit} ago"
    return f"{age_s:.0f} s ago"


def next_command(command: str, why: str = "") -> Text:
    """The line that ends an answer: what a person most likely wants to type now."""
    said = ("  " + why, "dim") if why else ""
    return Text.assemble(("Next: ", "cyan"), command, said, no_wrap=True, overflow="ignore")


def moment_text(moment: datetime) -> str:
    """A moment as every table, page and log line shows it: UTC, and it says so."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def state_text(run: Run) -> Text:
    """Where the run stands, in its one word; of a failed one also what it failed of."""
    if run.is_stopping:
        return Text("stopping", style=STATE_STYLES.get(RunState.CANCELLED, ""))
    detail = str(run.status or "") if run.outcome == RunState.FAILED else ""
    word = f"{run.outcome} ({detail})" if detail not in ("", run.outcome) else run.outcome
    return Text(word, style=STATE_STYLES.get(run.state, ""))


def progress_text(run: Run) -> str:
    """Stage, percent and units so far, in one cell."""
    if run.is_terminal:
        units = run.result.get("n_units_curated", run.result.get("n_units_sorted"))
        return "" if units is None else counted(int(units), "unit")
    # Between two attempts the last one's progress means nothing.
    fraction = run.progress.get("fraction") if run.state is RunState.RUNNING else None
    percent = "" if fraction is None else f" {float(fraction):.0%}"
    return f"{run.stage}{percent}"


def table(*columns: str, title: str = "") -> Table:
    """An empty table in the house's style. A column that starts with ``>`` holds numbers."""
    made = Table(title=title or None, box=None, pad_edge=False, title_justify="left")
    for index, column in enumerate(columns):
        made.add_column(
            column.removeprefix(">"),
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
            no_wrap=index == 0,  # an id that is broken cannot be copied
        )
    return made


def runs_table(runs: Sequence[RunView], width: int | None = None) -> Table:
    """Runs, one a line; a narrower terminal gets fewer columns rather than broken words.

    Settings and submitter are shown where they tell the runs apart. ``width`` is the terminal's
    when not given.
    """
    room = width or console().width
    columns = ["run", "recording", "sorter", "settings", "state", "progress", "updated"]
    if room < _NARROW:
        columns = ["run", "recording", "sorter", "settings", "state", "progress"]
        if len({view.run.backend for view in runs}) < 2:
            columns.remove("sorter")
    elif room >= _WIDE:
        columns = ["run", "batch", *columns[1:4], "by", *columns[4:]]
    if not any(view.run.result.get("changed_settings") for view in runs):
        columns.remove("settings")
    if "by" in columns and len({view.run.submitter for view in runs}) < 2:
        columns.remove("by")
    made = table(*columns)
    for column in made.columns:
        column.no_wrap = column.header not in ("recording", "settings")
    for run in (view.run for view in runs):
        name = run.recording_name if room >= _WIDE else run.recording_name.rpartition("/")[2]
        cells: dict[str, str | Text] = {
            "run": run.run_id,
            "batch": run.batch_id,
            "recording": f"{name} {run.stream}".strip(),
            "sorter": run.backend,
            "settings": ", ".join(changed_settings(run)),
            "by": run.submitter or "–",
            "state": state_text(run),
            "progress": progress_text(run),
            "updated": age_text(run.updated_at),
        }
        made.add_row(*(cells[column] for column in columns))
    return made


def changed_settings(run: Run) -> list[str]:
    """The run's settings that are not at their defaults, each as ``name=value``."""
    return settings_text(run.result.get("changed_settings", {}))


def settings_text(changed: Mapping[str, Any]) -> list[str]:
    """Settings by their dotted names, each as ``name=value``; a sorter's own one by one."""
    told = []
    for name, value in sorted(changed.items()):
        group, _, field = name.partition(".")
        entries = value if isinstance(value, Mapping) and group == "sorter" else {field: value}
        told += [f"{entry}={_value_text(given)}" for entry, given in entries.items()]
    return told


def _value_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def settings_line(run: Run) -> list[Text]:
    """The run's settings that are not at their defaults, on one line; none where all are."""
    changed = changed_settings(run)
    return [Text(f"Settings: {', '.join(changed)}")] if changed else []


def findings_lines(run: Run) -> list[Text]:
    """What preflight noticed without ending the run, a line each."""
    found = run.result.get("preflight", {}).get("findings") or ()
    return [
        Text(f"Noticed: {finding['message']} {finding['remediation']}", style="yellow")
        for finding in found
        if finding.get("level") == "warn"
    ]


def projection_line(run: Run) -> list[Text]:
    """What the sort took beside what was projected, on one line; none before there is both."""
    told = []
    for name, entry in (run.result.get("projection") or {}).items():
        show = format_size if name.endswith("_bytes") else format_duration
        words = name.removesuffix("_bytes").removesuffix("_s").replace("_", " ")
        told.append(f"{words} {show(entry['used'])} of {show(entry['projected'])}")
    return [Text(f"Used of projected: {', '.join(told)}")] if told else []


def attempts_table(attempts: Sequence[Attempt]) -> Table:
    """Attempts of a run, in order."""
    made = table("stage", ">attempt", "state", ">took", "failure", "changed", title="attempts")
    for attempt in attempts:
        ended = attempt.ended_at or datetime.now(UTC)
        changed = ", ".join(f"{key}={_value_text(value)}" for key, value in attempt.params.items())
        made.add_row(
            str(attempt.stage),
            str(attempt.number),
            str(RunStatus.SUCCESS if attempt.state is AttemptState.SUCCEEDED else attempt.state),
            format_duration((ended - attempt.created_at).total_seconds()),
            "" if attempt.failure is None else str(attempt.failure.code),
            changed,
        )
    return made


def decisions_table(events: Sequence[RunEvent]) -> Table:
    """What was decided and by which rule."""
    made = table("at", "decision", "rule", "why", title="decisions")
    for event in decisions(events):
        why = event.body.get("reason") or event.body.get("message") or event.body.get("code") or ""
        rule = event.body.get("rule") or event.body.get("rule_id") or ""
        made.add_row(
            moment_text(event.created_at),
            event.kind.removeprefix("decision."),
            str(rule),
            str(why),
        )
    return made


def decisions(events: Iterable[RunEvent]) -> list[RunEvent]:
    """Only the events in which somebody decided something."""
    return [event for event in events if event.kind.startswith("decision.")]


def failure_lines(failure: Failure | None) -> Text:
    """The sentence and the next step, for a person."""
    if failure is None:
        return Text("")
    return with_next_step(failure.message, next_step_for(failure))


def evidence_lines(failure: Failure) -> list[Text]:
    """What the failure was judged by, one thing a line; of a log its last lines."""
    lines = []
    for name, value in sorted(failure.evidence.items()):
        if name in FOR_PROGRAMS or value in (None, "", [], {}):
            continue
        if isinstance(value, (list, tuple)) and len(value) > 1:
            is_log = all(isinstance(entry, str) for entry in value)
            shown = value[-_LOG_LINES_SHOWN:] if is_log else value
            told = "".join(f"\n    {_evidence_text(entry, name)}" for entry in shown)
        else:
            only = value[0] if isinstance(value, (list, tuple)) else value
            told = f" {_evidence_text(only, name)}"
        lines.append(Text.assemble((f"  {name.replace('_', ' ')}:", "dim"), told))
    return [Text("evidence"), *lines] if lines else []


def _evidence_text(value: Any, name: str = "") -> str:
    """Words for a value; a mapping is told entry by entry, never as a program's text."""
    if isinstance(value, Mapping):
        if set(value) == {"path", "size_bytes"}:
            return f"{value['path']} {_evidence_text(value['size_bytes'], 'size_bytes')}"
        return ", ".join(
            f"{str(key).replace('_', ' ')} {_evidence_text(entry, str(key))}"
            for key, entry in value.items()
        )
    if name.endswith("_bytes") and isinstance(value, int | float) and value >= _READABLE_BYTES:
        return format_gib(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def with_next_step(message: str, next_step: str, style: str = "bold") -> Text:
    """The sentence, and below it what to do next; what both say is said once."""
    message, next_step = part_advice(message, next_step)
    text = Text(message, style=style)
    if next_step:
        text = Text.assemble(text, "\n", ("Next: ", "cyan"), next_step)
    return text
