"""One sort for one set of bytes and parameters: take over a finished one, wait for one under way.

A sort is taken over only while its artifacts are complete, and never when its parameters were
changed on the way: its spikes would not be those of this configuration. Sorts nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from spikefleet.controller.conclude import FRESH_SORT
from spikefleet.core.attempts import Stage
from spikefleet.core.runs import Run, RunState
from spikefleet.infra.stores.artifacts import (
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStore,
    verify_prefix,
)
from spikefleet.infra.stores.run_records import RunChanges
from spikefleet.infra.stores.runs import RunStore

_KEPT = ("sort_prefix", "n_units_sorted", "n_spikes", "duration_s", "versions")


@dataclass(frozen=True)
class SortReuse:
    """Spares sorts. Stateless: everything is in the records."""

    runs: RunStore
    artifacts: ArtifactStore

    def take_over(self, run: Run) -> bool:
        """Move the run past its sort with another run's result. False when there is none."""
        source = None if run.result.get(FRESH_SORT) else self._find(run)
        if source is None:
            return False
        result = {key: source.result[key] for key in _KEPT if key in source.result}
        self.runs.move_run(
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
        return True

    def is_under_way(self, run: Run) -> bool:
        """Say whether an older run is on its way to this very sort, so that waiting pays."""
        return not run.result.get(FRESH_SORT) and self.runs.sorting_now(run.sort_digest, run.run_id)

    def _find(self, run: Run) -> Run | None:
        return next(
            (
                source
                for source in self.runs.sorted_runs(run.sort_digest)
                if source.run_id != run.run_id
                and not source.result.get("result_affecting")
                and self._is_complete(str(source.result["sort_prefix"]))
            ),
            None,
        )

    def _is_complete(self, prefix: str) -> bool:
        try:
            verify_prefix(self.artifacts, prefix)
        except (ArtifactMissingError, ArtifactDamagedError):
            return False
        return True
