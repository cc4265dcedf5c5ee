"""What a sort attempt writes, for people: from its folder while that is there, then as an artifact.

Bounded: one answer holds at most one mebibyte. Reads nothing of another run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spikefleet.core.attempts import Stage
from spikefleet.core.ids import RunId
from spikefleet.core.runs import Attempt, LogPart, Run
from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.infra.stores.bytes.artifacts import ArtifactMissingError, ArtifactStore
from spikefleet.infra.stores.sql.runs import RunStore

MOST_BYTES = 1 << 20
_PLACES = ("logs/child.log", "failure/logs/child.log")  # of a success, of a failure

ReadLive = Callable[[str, int, int], LogPart | None]  # (attempt's name, offset, most bytes)


@dataclass(frozen=True)
class AttemptLogs:
    """Reads the logs of sort attempts; ``read_live`` is the launcher's."""

    runs: RunStore
    artifacts: ArtifactStore
    read_live: ReadLive

    def read(self, run_id: RunId, number: int, offset: int) -> tuple[Attempt, LogPart]:
        """Return an attempt (``number`` 0: the last) and a part of its log.

        A negative ``offset`` counts from the end. Raises RunNotFoundError, RpcProblem
        LOG_NOT_FOUND.
        """
        run = self.runs.get_run(run_id)
        sorts = [a for a in self.runs.attempts_of(run_id) if a.stage is Stage.SORT]
        found = [a for a in sorts if number in (0, a.number)]
        if not found:
            raise RpcProblem("LOG_NOT_FOUND", _why_none(run, number))
        attempt = found[-1]
        part = self.read_live(attempt.name, offset, MOST_BYTES) or self._stored(attempt, offset)
        return attempt, part or LogPart(b"", 0, 0)

    def _stored(self, attempt: Attempt, offset: int) -> LogPart | None:
        prefix = attempt.place.prefix
        for place in _PLACES:
            key = f"{prefix}/{place}"
            size = self.artifacts.size(key)
            if size is None:
                continue
            start = LogPart.start_of(offset, size)
            try:
                chunks = self.artifacts.read_chunks(key, offset=start, chunk_bytes=MOST_BYTES)
                return LogPart(next(chunks, b""), start, size)
            except ArtifactMissingError:
                continue
        return None


def _why_none(run: Run, number: int) -> str:
    if source := run.result.get("sort_reused_from"):
        return f"{run.run_id} took over the sort of {source}; its log is there."
    if number:
        return f"{run.run_id} has no sort attempt {number}."
    ended = f"ended as {run.outcome} before any sort" if run.is_terminal else "has no sort yet"
    return f"{run.run_id} {ended}."
