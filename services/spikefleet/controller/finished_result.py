"""A finished result stays a run's result until a better one is complete.

A person may ask for a sorted run again. What it had is put aside in the run's own result, its
pointer keeps naming the finished files, and a retry that fails or is cancelled gives everything
back. Moves nothing itself.
"""

from __future__ import annotations

from collections.abc import Collection

from spikefleet.core.attempts import STAGES, Stage
from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.run_result import RunResult, entries
from spikefleet.core.runs import Run, RunState
from spikefleet.infra.stores.sql.run_values import RunChanges

PRODUCED = {
    Stage.PREFLIGHT: ("preflight",),
    Stage.SORT: (
        "sort_prefix",
        "sort_reused_from",
        "sort_wall_s",
        "n_units_sorted",
        "n_spikes",
        "duration_s",
        "versions",
        "timings_s",
        "peaks",
        "projection",
        "params",
        "result_affecting",
    ),
    Stage.CURATE: ("curation_prefix", "n_units_curated"),
    Stage.REPORT: ("report_prefix", "report_html", "ending"),
}


def entries_of(stages: Collection[Stage]) -> tuple[str, ...]:
    """Return the names of what these stages leave in a run's result."""
    return tuple(name for stage in stages for name in PRODUCED[stage])


def put_aside(run: Run) -> RunResult:
    """Return what keeps the result of a sorted run while stages of it are made again."""
    if run.state is not RunState.SUCCEEDED:
        return {}
    return {"kept_result": entries(run.result, entries_of(STAGES))}


def has_kept(run: Run) -> bool:
    """Say whether the run has a finished result beside the one it is making."""
    return "kept_result" in run.result


def given_back(run: Run, ended: str, reason: str = "") -> RunChanges:
    """Return what makes the kept result the run's again; ``ended`` is how the retry ended."""
    return RunChanges(
        stage=Stage.REPORT,
        status=RunStatus.SUCCESS,
        result={**run.result["kept_result"], "last_retry": {"ended": ended, "reason": reason}},
        drop_result=("kept_result", "fresh_sort", *entries_of(STAGES)),
        clear_failure=True,
    )


def earlier_report(run: Run) -> RunResult:
    """Return the entries of the kept report where it tells of the very units the run has now."""
    kept = run.result.get("kept_result") or RunResult()
    if kept.get("curation_prefix") != run.result.get("curation_prefix"):
        return {}
    return entries(kept, ("report_prefix", "report_html"))
