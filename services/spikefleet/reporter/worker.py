"""Where a worker process enters the reporter.

The service hands ``run_task`` to its pool; figures and templates are imported in the worker only,
so that the service itself starts at once and stays small.
"""

from __future__ import annotations

from spikefleet.reporter.task import RenderAnswer, RenderTask


def run_task(artifacts_url: str, task: RenderTask) -> RenderAnswer:
    """Render one report; see ``reporter.render``."""
    from spikefleet.reporter.render import render_report  # noqa: PLC0415 - imported in the worker

    return render_report(artifacts_url, task)
