"""One sort for one set of bytes and parameters: a finished one is taken over.

A sort is taken over only while it is complete and every byte is right, and never when its
parameters were changed on the way: its spikes would not be those of this configuration. Sorts
nothing itself.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from spikefleet.controller.sort_checks import Aside, SortChecks, in_a_thread
from spikefleet.core.attempts import Stage
from spikefleet.core.run_result import entries
from spikefleet.core.runs import Run, RunState
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore
from spikefleet.infra.stores.sql.run_values import RunChanges
from spikefleet.infra.stores.sql.runs import RunStore

log = logging.getLogger(__name__)

_KEPT = ("sort_prefix", "n_units_sorted", "n_spikes", "duration_s", "versions")


@dataclass(frozen=True)
class FoundSort:
    """A finished sort that was read back: whole (``source``), or ``damaged`` and how."""

    source: Run | None
    damaged: Run | None = None
    problem: str = ""


class SortReuse:
    """Spares sorts. What it knows beside the records is only which bytes were read back."""

    def __init__(
        self, runs: RunStore, artifacts: ArtifactStore, aside: Aside = in_a_thread
    ) -> None:
        self._runs = runs
        self._checks = SortChecks(artifacts, aside)

    def find(self, sort_digest: str) -> FoundSort | None:
        """Return the sort to take over, its bytes read back; None while they are being read.

        Without ``source``, none can be taken over: ``damaged`` and ``problem`` say why.
        """
        damaged: Run | None = None
        problem = ""
        for source in self._sources(sort_digest):
            verdict = self._checks.verdict(_prefix(source))
            if verdict is None:
                return None
            if not verdict.problem:
                return FoundSort(source)
            if damaged is None:
                damaged, problem = source, verdict.problem
        return FoundSort(None, damaged, problem)

    def take_over(self, run: Run, found: FoundSort) -> bool:
        """Move the run past its sort with what was found.

        A sort whose bytes were damaged is never taken over: the run then sorts by itself, and its
        history names the file (event ``sort.damaged``).
        """
        if found.source is not None:
            self._take(run, found.source)
            return True
        if found.damaged is None:
            return False
        source, problem = found.damaged, found.problem
        log.warning("sort.damaged", extra={"run_id": source.run_id, "problem": problem})
        self._runs.move_run(
            run,
            RunState.QUEUED,
            kind="sort.damaged",
            body={"from_run": source.run_id, "sort_prefix": _prefix(source), "problem": problem},
            changes=RunChanges(result={"fresh_sort": True}),
        )
        return True

    def _take(self, run: Run, source: Run) -> None:
        result = entries(source.result, _KEPT)
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

    def _sources(self, sort_digest: str) -> list[Run]:
        """One run for each stored sort, the oldest first."""
        by_prefix: dict[str, Run] = {}
        for source in self._runs.sorted_runs(sort_digest):
            by_prefix.setdefault(_prefix(source), source)
        return list(by_prefix.values())


def _prefix(source: Run) -> str:
    return str(source.result["sort_prefix"])
