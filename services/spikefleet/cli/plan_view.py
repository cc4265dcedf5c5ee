"""How ``submit --dry-run`` looks: what would be sorted, what it takes, and what is doubtful."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from spikefleet.cli.printing import (
    failure_lines,
    next_command,
    settings_text,
    table,
)
from spikefleet.core.config import SortingConfig, diff
from spikefleet.core.findings.finding import FindingLevel
from spikefleet.core.rooms.preflight import PlannedRun, SubmissionPlan
from spikefleet.core.text import format_duration, format_size


def plan_lines(plan: SubmissionPlan, command: str) -> list[RenderableType]:
    """Return what to print of a plan; ``command`` is what would start it."""
    made = table("recording", "stream", "sort?", ">takes", ">memory", ">scratch", ">GPU memory")
    for run in plan.runs:
        known = run.examination.estimate
        refused = run.examination.failure is not None
        made.add_row(
            run.recording_name,
            run.stream or "–",
            Text("no", style="bold red") if refused else Text("yes", style="green"),
            format_duration(known.duration_s) if known else "–",
            format_size(known.memory_bytes) if known else "–",
            format_size(known.scratch_bytes) if known else "–",
            format_size(known.gpu_memory_bytes) if known and known.gpu_memory_bytes else "–",
        )
    changed = {name: value for name, (_, value) in diff(_config(plan)).items()}
    lines: list[RenderableType] = [made]
    lines.append(Text(f"Settings: {', '.join(settings_text(changed))}"))
    lines += [line for run in plan.runs for line in _doubts(run, several=len(plan.runs) > 1)]
    lines.append(Text("Nothing was started.", style="dim"))
    if all(run.examination.failure is not None for run in plan.runs):
        return lines
    return [*lines, next_command(command)]


def _config(plan: SubmissionPlan) -> SortingConfig:
    return SortingConfig.from_document(plan.config)


def _doubts(run: PlannedRun, *, several: bool) -> Iterator[Text]:
    """Why a stream would not be sorted, and what is noticed about it."""
    name = f"{run.recording_name} {run.stream}".strip() + ": " if several else ""
    if run.examination.failure is not None:
        yield Text.assemble((name, "bold"), failure_lines(run.examination.failure))
        return
    for finding in run.examination.findings:
        if finding.level is FindingLevel.WARN:
            yield Text(f"{name}Noticed: {finding.message} {finding.remediation}", style="yellow")
