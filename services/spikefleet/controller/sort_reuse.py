"""One sort for one set of bytes and parameters: take over a finished one, wait for one under way.

A sort is taken over only while it is complete and every byte is right, and never when its
parameters were changed on the way: its spikes would not be those of this configuration. Sorts
nothing itself.
"""

from __future__ import annotations

import logging

from spikefleet.controller.conclude import FRESH_SORT
from spikefleet.controller.sort_checks import SortChecks
from spikefleet.core.attempts import Stage
from spikefleet.core.runs import Run, RunState
from spikefleet.infra.stores.artifacts import ArtifactStore
from spikefleet.infra.stores.run_records import RunChanges
from spikefleet.infra.stores.runs import RunStore

log = logging.getLogger(__name__)

_KEPT = ("sort_prefix", "n_units_sorted", "n_spikes", "duration_s", "versions")


class SortReuse:
    """Spares sorts. What it knows beside the records is only which bytes were read back."""

    def __init__(self, runs: RunStore, artifacts: ArtifactStore) -> None:
        self._runs = runs
        self._checks = SortChecks(artifacts)

    def take_over(self, run: Run) -> bool:
        """Move the run past its sort with another run's result. False when there is none (yet).

        A sort whose bytes were damaged is never taken over: the run then sorts by itself, and its
        history names the file (event ``sort.damaged``).
        """
        if run.result.get(FRESH_SORT):
            return False
        damaged: tuple[Run, str] | None = None
        for source in self._sources(run):
            verdict = self._checks.verdict(_prefix(source))
            if verdict is None:
                return False
            if not verdict.problem:
                self._take(run, source)
                return True
            damaged = damaged or (source, verdict.problem)
        if damaged is None:
            return False
        source, problem = damaged
        log.warning("sort.damaged", extra={"run_id": source.run_id, "problem": problem})
        self._runs.move_run(
            run,
            RunState.QUEUED,
            kind="sort.damaged",
            body={"from_run": source.run_id, "sort_prefix": _prefix(source), "problem": problem},
            changes=RunChanges(result={FRESH_SORT: True}),
        )
        return True

    def is_under_way(self, run: Run) -> bool:
        """Say whether waiting pays: an older run is on its way to this very sort, or a finished
        one is being read back."""
        if run.result.get(FRESH_SORT):
            return False
        if self._runs.sorting_now(run.sort_digest, run.run_id):
            return True
        return any(self._checks.is_reading(_prefix(source)) for source in self._sources(run))

    def _take(self, run: Run, source: Run) -> None:
        result = {key: source.result[key] for key in _KEPT if key in source.result}
        self._runs.move_run(
            run,
            RunState.QUEUED,
            kind="sort.reused",
            body={"from_run": source.run_id, "sort_prefix": result["sort_prefix"]},
            changes=RunChanges(
                stage=Stage.CURATE,
                result={**result, "sort_reused_from": source.run_id},
                drop_result=("params", "result_affecting"),
                clear_failure=True,
                clear_status=True,
            ),
        )

    def _sources(self, run: Run) -> list[Run]:
        return [
            source
            for source in self._runs.sorted_runs(run.sort_digest)
            if source.run_id != run.run_id and not source.result.get("result_affecting")
        ]


def _prefix(source: Run) -> str:
    return str(source.result["sort_prefix"])
