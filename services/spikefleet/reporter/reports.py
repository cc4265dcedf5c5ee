"""Making a run's report from the service: sources gathered, drawn in a confined process, published.

Rendering never raises: what goes wrong is the answer's failure, and the run continues.
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
from spikefleet.core.rooms.reporting import ReportAnswer, ReportTask
from spikefleet.core.runs import AttemptPlace
from spikefleet.infra.stores.bytes.artifacts import (
    ArtifactDamagedError,
    ArtifactMissingError,
    publish_folder,
)
from spikefleet.infra.stores.bytes.checkout import checked_out
from spikefleet.infra.stores.bytes.sort_timeline import read_timeline
from spikefleet.infra.stores.bytes.verified import VerifiedBytes
from spikefleet.infra.system.confinement import SandboxPolicy
from spikefleet.infra.system.opening_failures import own_failure
from spikefleet.infra.system.openings import Limits, OpeningError, OpeningPool
from spikefleet.reporter.sources import HTML_FILE, ReportSources

log = logging.getLogger(__name__)

CONFINED = "spikefleet.reporter.render"


@dataclass(frozen=True)
class Reports:
    """Makes reports from what is ``verified`` and into its store; ``limits`` bound one report."""

    pool: OpeningPool
    verified: VerifiedBytes
    limits: Limits

    async def render(self, task: ReportTask) -> ReportAnswer:
        """Write recording_report.json, report.md and report.html of the attempt."""
        prefix = task.attempt.prefix
        with ExitStack() as stack:
            enter = stack.enter_context
            folder, sources = await asyncio.to_thread(lambda: enter(self._prepared(task)))
            given = {"task": task.to_json(), "sources": asdict(sources), "output": str(folder)}
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
                return ReportAnswer(failure=failure)
            try:
                await asyncio.to_thread(publish_folder, self.verified.store, prefix, folder)
            except SpikeSortingClassifiedError as error:
                failure = Failure.from_error(error, stage="report", rule_id="reporter")
                return ReportAnswer(failure=failure)
        return ReportAnswer(prefix, f"{prefix}/{HTML_FILE}")

    @contextmanager
    def _prepared(self, task: ReportTask) -> Iterator[tuple[Path, ReportSources]]:
        """Give an empty folder for the report, and its sources."""
        with (
            gathered(self.verified, task) as sources,
            tempfile.TemporaryDirectory(prefix="spikefleet-report-") as scratch,
        ):
            yield Path(scratch), sources


@contextmanager
def gathered(verified: VerifiedBytes, task: ReportTask) -> Iterator[ReportSources]:
    """Give what the stages of a run left; what is not there or damaged is left out, and told."""
    store, left = verified.store, ReportSources()
    with ExitStack() as stack:
        try:
            left = replace(
                left,
                curation=_read_json(verified, task.curation, "curation.json"),
                sort=_read_json(verified, task.sort, "result.json"),
                strip=_read_json(verified, task.sort, "strip.json"),
            )
            if task.sort:
                prefix = task.sort.prefix
                verified.verify(prefix)
                timeline = read_timeline(store, prefix)
                analyzer = stack.enter_context(checked_out(store, f"{prefix}/analyzer"))
                left = replace(left, analyzer=str(analyzer), timeline=timeline)
        except (ArtifactMissingError, ArtifactDamagedError) as error:
            left = replace(left, missing=str(error))
        yield left


def _read_json(verified: VerifiedBytes, place: AttemptPlace | None, name: str) -> Mapping[str, Any]:
    if place is None:
        return {}
    try:
        document = json.loads(verified.read(place.prefix, name))
    except ArtifactMissingError:
        return {}
    except (ValueError, RecursionError) as error:
        if isinstance(error, ArtifactDamagedError):
            raise
        return {}
    return document if isinstance(document, dict) else {}
