"""Stages that are a call to another room, run in threads so that the reconcile loop never waits.

One future per attempt. A restart forgets the futures, not the attempts: the loop asks again and
the call is made again, which the rooms allow (they write under the attempt's own prefix). This
module knows no room; it is handed the function that makes the call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.ids import AttemptId
from spikefleet.core.run_result import RunResult
from spikefleet.core.runs import Attempt, Run


@dataclass(frozen=True)
class StageResult:
    """What a stage produced.

    ``result`` is merged into the run's result; ``pointer`` is the artifact prefix that becomes
    current for the stage; ``failure`` None means success.
    """

    result: RunResult = field(default_factory=RunResult)
    pointer: str = ""
    failure: Failure | None = None
    outcome: Mapping[str, Any] = field(default_factory=dict)


Call = Callable[[Run, Attempt], StageResult]

_THREADS = 4


class StageThreads:
    """Starts calls and collects their results. Used from the reconcile thread only.

    ``pool`` is who carries the calls out; None: threads of its own.
    """

    def __init__(
        self, call: Call, *, wake: Callable[[], None], pool: Executor | None = None
    ) -> None:
        self._call = call
        self._wake = wake
        self._pool = pool or ThreadPoolExecutor(_THREADS, thread_name_prefix="stage")
        self._futures: dict[str, Future[StageResult]] = {}

    def poll(self, run: Run, attempt: Attempt) -> StageResult | None:
        """Return the result once there is one; start the call when there is none running.

        The result stays until ``forget``, so that recording it can fail and be tried again. A call
        that raised is a failure like any other: it must not be made again for ever.
        """
        future = self._futures.get(attempt.attempt_id)
        if future is None:
            future = self._pool.submit(self._call, run, attempt)
            self._futures[attempt.attempt_id] = future
            future.add_done_callback(lambda _: self._wake())
        if not future.done():
            return None
        error = future.exception()
        return future.result() if error is None else StageResult(failure=_broken(attempt, error))

    def forget(self, attempt_id: AttemptId) -> None:
        """Drop the result of an attempt whose end is on record."""
        self._futures.pop(attempt_id, None)

    def give_up(self, attempt_id: AttemptId) -> bool:
        """Drop a call that has not begun. False while it is in flight: ask again later."""
        future = self._futures.get(attempt_id)
        if future is not None and not future.cancel() and not future.done():
            return False
        self.forget(attempt_id)
        return True

    def close(self) -> None:
        """Stop taking calls; those in flight are made again after the next start."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _broken(attempt: Attempt, error: BaseException) -> Failure:
    return Failure(
        FailureCode.UNCLASSIFIED,
        f"The call of stage {attempt.stage} broke: {type(error).__name__}: {error}",
        stage=str(attempt.stage),
        rule_id="stage.call_broke",
        evidence={"exception_type": type(error).__name__},
    )
