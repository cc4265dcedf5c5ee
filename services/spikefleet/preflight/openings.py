"""Describing and examining recordings from the service: each opening in a confined process.

Decides what such a process may read and how much it may use, and what it means for a recording when
one ends without an answer. Whatever happens there is an answer here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from spikefleet.core.failures.errors import Failure, SpikeSortingClassifiedError
from spikefleet.core.findings.finding import fail
from spikefleet.core.rooms.preflight import Description, Examination, ExamineTask
from spikefleet.core.submissions import Recording
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore
from spikefleet.infra.system.confinement import SandboxPolicy
from spikefleet.infra.system.opening_failures import blame_recording
from spikefleet.infra.system.openings import Limits, OpeningCrashedError, OpeningError, OpeningPool
from spikefleet.preflight.places import PreflightPlaces
from spikefleet.preflight.recording_paths import bring, readable_paths

T = TypeVar("T")

CONFINED = "spikefleet.preflight.confined"
_RULE = "preflight.opening"
# Measuring reads the recording through; a disk slower than this is taken for one that hangs.
_SLOWEST_BYTES_PER_S = 5e6
_CPU_S_PER_GB = 60.0


@dataclass(frozen=True)
class Openings:
    """What the room needs: a pool for each kind of call, the store, limits for a small recording.

    ``plugins`` are the operator's folders of HDF5 plugins, which a reader may load.
    """

    describing: OpeningPool
    examining: OpeningPool
    store: ArtifactStore
    places: PreflightPlaces
    limits: Limits
    plugins: tuple[str, ...] = ()

    async def describe(self, recording: Recording, *, list_members: bool) -> Description:
        """List a recording's streams, or the recordings in a folder of several."""
        arguments = {"list_members": list_members}
        try:
            answer = await self._ask(self.describing, "describe", recording, arguments, self.limits)
            return _checked(Description.from_json, answer, "describe")
        except (OpeningError, SpikeSortingClassifiedError) as error:
            return Description(failure=_failure(error, self.limits))

    async def examine(self, task: ExamineTask) -> Examination:
        """Examine one stream under one configuration."""
        limits = _limits_for(task.recording, self.limits)
        arguments = {"stream": task.stream, "config": task.config.to_document()}
        try:
            answer = await self._ask(self.examining, "examine", task.recording, arguments, limits)
            return _checked(Examination.from_json, answer, "examine")
        except (OpeningError, SpikeSortingClassifiedError) as error:
            failure = _failure(error, limits)
            found = fail("readable", failure.to_error(), failure.next_step)
            return Examination(findings=(found,), failure=failure)

    async def _ask(
        self,
        pool: OpeningPool,
        function: str,
        recording: Recording,
        arguments: Mapping[str, Any],
        limits: Limits,
    ) -> Any:
        async with AsyncExitStack() as stack:
            local = stack.enter_context(ExitStack())
            roots = await asyncio.to_thread(local.enter_context, bring(self.store, recording))
            given = {
                **arguments,
                "recording": recording.to_json(),
                "places": asdict(replace(self.places, roots=roots)),
            }
            policy = SandboxPolicy(readable=(*readable_paths(recording, roots), *self.plugins))
            return await pool.run(f"{CONFINED}:{function}", given, policy, limits)


def _checked(read: Callable[[Any], T], answer: Any, function: str) -> T:
    """Read an answer whose writer is not trusted. Raises OpeningCrashedError for nonsense."""
    try:
        return read(answer)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OpeningCrashedError(function, f"answered nonsense ({error})") from error


def _limits_for(recording: Recording, limits: Limits) -> Limits:
    """Return limits that a large recording can keep as well: time grows with its bytes."""
    size_bytes = recording.size_bytes
    return replace(
        limits,
        wall_s=limits.wall_s + size_bytes / _SLOWEST_BYTES_PER_S,
        cpu_s=limits.cpu_s + int(_CPU_S_PER_GB * size_bytes / 1e9),
    )


def _failure(error: OpeningError | SpikeSortingClassifiedError, limits: Limits) -> Failure:
    if isinstance(error, OpeningError):
        error = blame_recording(error, limits)
    return Failure.from_error(error, stage="preflight", rule_id=_RULE)
