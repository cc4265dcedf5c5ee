"""Where a worker process enters the curation room.

The service hands ``run_task`` to its pool; the science stack is imported in the worker only, so
that the service itself starts at once and stays small.
"""

from __future__ import annotations

from spikefleet.curation.task import CurationAnswer, CurationTask


def run_task(artifacts_url: str, task: CurationTask) -> CurationAnswer:
    """Curate one sort; see ``curation.curate``."""
    from spikefleet.curation.curate import curate_sort  # noqa: PLC0415 - imported in the worker

    return curate_sort(artifacts_url, task)
