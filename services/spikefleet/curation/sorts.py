"""Curating a stored sort from the service: checked, measured in a confined process, published.

An analyzer was written by a sorter that read a stranger's recording; it is read where nothing else
can be reached. What is wrong with a sort is an answer; a complete prefix or a failure is left.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spikefleet.core.failures.errors import (
    Failure,
    IncompleteOutcome,
    SpikeSortingClassifiedError,
)
from spikefleet.core.rooms.curation import CurationAnswer, CurationTask
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
from spikefleet.infra.system.openings import Limits, OpeningCrashedError, OpeningError, OpeningPool

CONFINED = "spikefleet.curation.curate"


@dataclass(frozen=True)
class SortCuration:
    """Curates sorts whose bytes are ``verified``; ``limits`` bound one curation."""

    pool: OpeningPool
    verified: VerifiedBytes
    limits: Limits

    async def curate(self, task: CurationTask) -> CurationAnswer:
        """Curate one sort and publish the result under ``task.attempt.prefix``."""
        try:
            with ExitStack() as stack:
                enter = stack.enter_context
                folder, given = await asyncio.to_thread(lambda: enter(self._prepared(task)))
                answer = await self._ask(folder, given)
                if answer.failure is None:
                    await asyncio.to_thread(
                        publish_folder, self.verified.store, task.attempt.prefix, folder
                    )
                    answer = replace(answer, prefix=task.attempt.prefix)
                return answer
        except OpeningError as error:
            failed: SpikeSortingClassifiedError = own_failure(error)
        except SpikeSortingClassifiedError as error:
            failed = error
        failure = Failure.from_error(failed, stage="curate", rule_id="curation")
        return CurationAnswer(failure=failure)

    @contextmanager
    def _prepared(self, task: CurationTask) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Check the sort and give an empty folder for the result with what the process is asked."""
        prefix, store = task.sort.prefix, self.verified.store
        _require_sort(self.verified, prefix)
        timeline = read_timeline(store, prefix)
        with (
            checked_out(store, f"{prefix}/analyzer") as analyzer,
            tempfile.TemporaryDirectory(prefix="spikefleet-curation-") as scratch,
        ):
            folder = Path(scratch)
            yield (
                folder,
                {
                    "analyzer": str(analyzer),
                    "timeline": timeline,
                    "curation": task.curation.model_dump(mode="json"),
                    "waveform": task.waveform.model_dump(mode="json"),
                    "by_hand": dict(task.by_hand),
                    "output": str(folder),
                },
            )

    async def _ask(self, folder: Path, given: dict[str, Any]) -> CurationAnswer:
        policy = SandboxPolicy(readable=(given["analyzer"],), writable=(str(folder),))
        answer = await self.pool.run(f"{CONFINED}:curate", given, policy, self.limits)
        try:
            return CurationAnswer.from_json(answer)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OpeningCrashedError("curate", f"answered nonsense ({error})") from error


def _require_sort(verified: VerifiedBytes, prefix: str) -> None:
    """Raise IncompleteOutcome when the sort's results are not all there, byte for byte."""
    try:
        verified.verify(prefix)
    except ArtifactMissingError as error:
        raise IncompleteOutcome(
            "The sort's results are not complete, so there is nothing to curate.",
            missing=prefix,
            reason=str(error),
        ) from error
    except ArtifactDamagedError as error:
        raise IncompleteOutcome(
            f"The stored sort is damaged: {error}.",
            missing=prefix,
            reason=str(error),
            next_step="Sort the run again (retry --stage sort), and check the store's disk.",
        ) from error
