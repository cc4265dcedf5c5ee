"""Making a run's report from the service: sources gathered, drawn in a confined process, published.

Rendering never raises: what goes wrong is the answer's failure, and the run goes on.
"""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from spikefleet.core.failures.errors import Failure, SpikeSortingClassifiedError
from spikefleet.infra.stores.artifacts import (
    ArtifactMissingError,
    ArtifactStore,
    publish_folder,
)
from spikefleet.infra.stores.checkout import checked_out
from spikefleet.infra.stores.sort_timeline import read_timeline
from spikefleet.infra.system.confinement import SandboxPolicy
from spikefleet.infra.system.opening_failures import own_failure
from spikefleet.infra.system.openings import Limits, OpeningError, OpeningPool
from spikefleet.reporter.task import HTML_FILE, RenderAnswer, RenderTask, ReportSources

log = logging.getLogger(__name__)

CONFINED = "spikefleet.reporter.render"


@dataclass(frozen=True)
class Reports:
    """Makes reports from ``store`` and into it; ``limits`` bound one report."""

    pool: OpeningPool
    store: ArtifactStore
    limits: Limits

    async def render(self, task: RenderTask) -> RenderAnswer:
        """Write recording_report.json, report.md and report.html under ``task.output_prefix``."""
        with ExitStack() as stack:
            enter = stack.enter_context
            folder, sources = await asyncio.to_thread(lambda: enter(self._prepared(task)))
            given = {"task": asdict(task), "sources": asdict(sources), "output": str(folder)}
            readable = (sources.analyzer,) if sources.analyzer else ()
            policy = SandboxPolicy(readable=readable, writable=(str(folder),))
            try:
                await self.pool.run(f"{CONFINED}:render", given, policy, self.limits)
            except OpeningError as error:
                log.exception(
                    "report.failed",
                    extra={"run_id": task.run_id, "trace": error.words},
                )
                failed = own_failure(error)
                failure = Failure.from_error(failed, stage="report", rule_id="reporter")
                return RenderAnswer(failure=failure)
            try:
                await asyncio.to_thread(publish_folder, self.store, task.output_prefix, folder)
            except SpikeSortingClassifiedError as error:
                failure = Failure.from_error(error, stage="report", rule_id="reporter")
                return RenderAnswer(failure=failure)
        return RenderAnswer(task.output_prefix, f"{task.output_prefix}/{HTML_FILE}")

    @contextmanager
    def _prepared(self, task: RenderTask) -> Iterator[tuple[Path, ReportSources]]:
        """Give an empty folder for the report, and its sources."""
        with (
            gathered(self.store, task) as sources,
            tempfile.TemporaryDirectory(prefix="spikefleet-report-") as scratch,
        ):
            yield Path(scratch), sources


@contextmanager
def gathered(store: ArtifactStore, task: RenderTask) -> Iterator[ReportSources]:
    """Give what the stages of a run left; what is not there is left out."""
    left = ReportSources(
        curation=_read_json(store, task.curation_prefix, "curation.json"),
        sort=_read_json(store, task.sort_prefix, "result.json"),
    )
    with ExitStack() as stack:
        if task.sort_prefix:
            try:
                timeline = read_timeline(store, task.sort_prefix)
                analyzer = stack.enter_context(checked_out(store, f"{task.sort_prefix}/analyzer"))
                left = replace(left, analyzer=str(analyzer), timeline=timeline)
            except ArtifactMissingError as error:
                left = replace(left, missing=str(error))
        yield left


def _read_json(store: ArtifactStore, prefix: str, name: str) -> Mapping[str, Any]:
    if not prefix:
        return {}
    try:
        document = json.loads(store.get_bytes(f"{prefix}/{name}"))
    except (ArtifactMissingError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
