"""The reconcile loop: look at everything, move each run by at most one step, act after the commit.

Level-triggered: every round starts from the database and the launcher's list, so a restart at any
moment resumes where the records stand. What a failure means for a run is decided in
``core.policy`` and carried out in ``conclude``; this module only notices.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from spikefleet.controller.attempt_numbers import free_number
from spikefleet.controller.backoff import Backoff
from spikefleet.controller.conclude import Conclusions
from spikefleet.controller.fail_points import AtPoint, FailPoint, nobody_listens
from spikefleet.controller.half_open import LaneProbes
from spikefleet.controller.heartbeats import newer_progress, waiting_progress
from spikefleet.controller.judge import judge, with_stored_outcome
from spikefleet.controller.orphans import Orphans
from spikefleet.controller.queue import SortQueue
from spikefleet.controller.sort_checks import Aside, in_a_thread
from spikefleet.controller.sort_reuse import SortReuse
from spikefleet.controller.sort_spec import SortSpecs
from spikefleet.controller.stage_threads import StageThreads
from spikefleet.controller.wishes import after_release
from spikefleet.core.attempts import AttemptState, Stage, WaitsFor
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.ids import RunId
from spikefleet.core.policy.lanes import NAME_CONFLICT
from spikefleet.core.runs import Attempt, Run, RunState
from spikefleet.infra.launchers.base import (
    Launcher,
    LauncherUnreachableError,
    NameConflictError,
    NoSlotError,
    Observation,
    Phase,
    StartRefusedError,
)
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore, verify_prefix
from spikefleet.infra.stores.sql.recordings import RecordingNotFoundError
from spikefleet.infra.stores.sql.run_access import RunAccess
from spikefleet.infra.stores.sql.run_values import StaleRunError
from spikefleet.infra.stores.sql.runs import RunStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReconcileParts:
    """Everything a round touches."""

    runs: RunStore  #: the memory
    access: RunAccess  #: secrets of attempts
    artifacts: ArtifactStore  #: where results are
    launcher: Launcher  #: where sorts execute
    calls: StageThreads  #: the other stages, in threads
    specs: SortSpecs  #: makes the order of a sort
    conclusions: Conclusions  #: what follows an end
    clock: Callable[[], datetime]  #: UTC
    on_error: Callable[[], None]  #: told of a failed step
    on_round: Callable[[], None]  #: told of every round
    aside: Aside = in_a_thread  #: where finished sorts are read back
    passes: AtPoint = nobody_listens  #: told of every place where it may die


class Reconciler:
    """Owns every run that has not ended. One per store; ``step`` is one round."""

    def __init__(self, parts: ReconcileParts) -> None:
        self._parts = parts
        reuse = SortReuse(parts.runs, parts.artifacts, parts.aside)
        self._probes = LaneProbes(
            parts.runs,
            parts.clock,
            lambda lane: parts.runs.release_hold(lane, after_release),
            parts.passes,
        )
        self._queue = SortQueue(
            parts.runs,
            parts.launcher,
            parts.specs,
            reuse,
            self._begin,
            self._probes.is_probe,
        )
        self._orphans = Orphans(parts.runs, parts.launcher, parts.clock)
        self._backoff = Backoff(parts.clock)
        self._missed: set[str] = set()
        self._seen: Mapping[str, Observation] = {}

    def step(self) -> bool:
        """Make one round. Returns True when something moved, so that the next round comes soon."""
        parts = self._parts
        seen = self._observe()
        self._seen = seen or {}
        live = {attempt.run_id: attempt for attempt in parts.runs.live_attempts()}
        moved = False
        for run in parts.runs.moving_runs(parts.clock()):
            attempt = live.get(run.run_id)
            if seen is not None or attempt is None or attempt.stage is not Stage.SORT:
                moved |= self._guarded(run, attempt, seen or {})
        moved |= self._probes.step()
        if seen is not None:
            moved |= self._queue.step(self._look, self._backoff.not_due())
        if seen:
            self._orphans.sweep({attempt.name for attempt in parts.runs.live_attempts()}, seen)
        parts.on_round()
        return moved

    def _observe(self) -> Mapping[str, Observation] | None:
        """Look at every sort. None: nothing can be seen, so no sort moves; the other stages do."""
        try:
            return self._parts.launcher.observe()
        except LauncherUnreachableError as error:
            log.warning("reconcile.launcher_unreachable", extra={"why": str(error)})
            return None

    def _guarded(self, run: Run, attempt: Attempt | None, seen: Mapping[str, Observation]) -> bool:
        return self._alone(run.run_id, lambda: self._advance(run, attempt, seen))

    def _look(self, run_id: RunId, step: Callable[[Run], bool]) -> bool:
        return self._alone(run_id, lambda: step(self._parts.runs.get_run(run_id)))

    def _alone(self, run_id: RunId, step: Callable[[], bool]) -> bool:
        """One run's trouble stays its own: it is logged, counted and tried again after a while."""
        if not self._backoff.is_due(run_id):
            return False
        try:
            moved = step()
        except StaleRunError:
            return True
        except Exception:
            self._parts.on_error()
            self._backoff.failed(run_id)
            log.exception("reconcile.run_failed", extra={"run_id": run_id})
            return False
        self._backoff.passed(run_id)
        return moved

    def _advance(self, run: Run, attempt: Attempt | None, seen: Mapping[str, Observation]) -> bool:
        if run.cancel_requested:
            return self._cancel(run, attempt, seen)
        match run.state:
            case RunState.QUEUED:
                return self._begin(run)
            case RunState.WAITING:
                return self._wake_when_due(run)
            case RunState.RUNNING:
                return self._follow(run, attempt, seen)
            case _:
                return False

    def _wake_when_due(self, run: Run) -> bool:
        if run.not_before is not None and self._parts.clock() < run.not_before:
            return False
        self._parts.runs.move_run(
            run, RunState.QUEUED, kind="run.due", body={"stage": str(run.stage)}
        )
        return True

    def _begin(self, run: Run) -> bool:
        """Write down the intention of the run's next stage, then start it."""
        runs = self._parts.runs
        number = free_number(run, runs.attempts_of(run.run_id), self._seen, self._parts.artifacts)
        params = run.result.get("params", {})
        started, attempt = runs.intend_attempt(run, run.stage, params, at_least=number)
        self._parts.passes(FailPoint.ATTEMPT_INTENDED)
        return self._follow(started, attempt, {})

    def _follow(self, run: Run, attempt: Attempt | None, seen: Mapping[str, Observation]) -> bool:
        if attempt is None:
            self._parts.runs.move_run(
                run, RunState.QUEUED, kind="attempt.absent", body={"stage": str(run.stage)}
            )
            return True
        if attempt.stage is Stage.SORT:
            return self._follow_sort(run, attempt, seen.get(attempt.name))
        result = self._parts.calls.poll(run, attempt)
        if result is None:
            return self._mark_running(attempt)
        self._parts.passes(FailPoint.STAGE_ANSWERED)
        self._parts.conclusions.stage_ended(run, attempt, result)
        self._parts.calls.forget(attempt.attempt_id)
        return True

    def _follow_sort(self, run: Run, attempt: Attempt, observation: Observation | None) -> bool:
        if observation is None:
            if attempt.state is AttemptState.INTENDED:
                return self._launch(run, attempt)
            return self._miss(run, attempt)
        self._missed.discard(attempt.name)
        if observation.phase in (Phase.PENDING, Phase.RUNNING):
            progress = newer_progress(run, attempt, observation.heartbeat) or waiting_progress(
                run, observation, self._parts.clock()
            )
            if progress is not None:
                self._parts.runs.hear(attempt.attempt_id, progress)
            return self._mark_running(attempt)
        self._judge(run, attempt, observation)
        self._drop(attempt.name)
        return True

    def _miss(self, run: Run, attempt: Attempt) -> bool:
        """An attempt that was seen running is not there: lost once two looks have missed it."""
        if attempt.name not in self._missed:
            self._missed.add(attempt.name)
            return False
        self._missed.discard(attempt.name)
        reason = "the launcher no longer knows the attempt"
        gone = Observation(attempt.name, Phase.GONE, reason=reason, may_live=True)
        self._judge(run, attempt, gone)
        return True

    def _judge(self, run: Run, attempt: Attempt, observation: Observation) -> None:
        prefix = attempt.place.prefix
        artifacts = self._parts.artifacts
        verdict = judge(
            with_stored_outcome(observation, artifacts, prefix),
            attempt_id=attempt.attempt_id,
            verify=lambda: verify_prefix(artifacts, prefix),
        )
        self._parts.passes(FailPoint.ATTEMPT_JUDGED)
        self._parts.conclusions.sort_ended(run, attempt, verdict, may_live=observation.may_live)

    def _launch(self, run: Run, attempt: Attempt) -> bool:
        """Start the attempt; its name is deterministic, so starting twice starts once.

        One that was intended before its lane was held, and has not begun, waits for the release.
        """
        if self._queue.is_closed(run):
            return self._waits_for_release(run, attempt)
        secret = secrets.token_hex(32)
        try:
            spec = self._parts.specs.spec(run, attempt)
            self._parts.access.keep_secret(attempt.attempt_id, secret)
            self._parts.passes(FailPoint.SECRET_KEPT)
            self._parts.launcher.start(spec, secret=secret)
            self._parts.passes(FailPoint.ATTEMPT_STARTED)
        except StartRefusedError as error:
            self._tell_waiting(run, attempt, str(error), error.waits_for)
            return False
        except NoSlotError:
            return False
        except LauncherUnreachableError as error:
            # It may have started: the next round finds it, or starts it under the same name.
            log.warning("attempt.start_unknown", extra={"attempt": attempt.name, "why": str(error)})
            return False
        except NameConflictError as error:
            return self._name_conflict(run, attempt, error)
        except OSError as error:
            if attempt.name in self._parts.launcher.observe():
                return self._mark_running(attempt)  # it runs; only its bookkeeping failed
            return self._never_started(run, attempt, error)
        except RecordingNotFoundError as error:
            return self._never_started(run, attempt, error)
        return self._mark_running(attempt)

    def _waits_for_release(self, run: Run, attempt: Attempt) -> bool:
        self._tell_waiting(run, attempt, f"lane {run.backend} is on hold")
        return False

    def _tell_waiting(
        self, run: Run, attempt: Attempt, why: str, waits_for: WaitsFor | None = None
    ) -> None:
        """Say on the run why it cannot be started yet; nothing is spent."""
        waits = Observation(attempt.name, Phase.PENDING, waiting=why, waits_for=waits_for)
        progress = waiting_progress(run, waits, self._parts.clock())
        if progress is not None:
            log.warning("attempt.not_started", extra={"attempt": attempt.name, "why": why})
            self._parts.runs.hear(attempt.attempt_id, progress)

    def _never_started(self, run: Run, attempt: Attempt, error: Exception) -> bool:
        failure = Failure(
            FailureCode.NEVER_STARTED,
            "The attempt's process could not be started.",
            stage=str(Stage.SORT),
            rule_id="launcher.start",
            evidence={"reason": str(error)},
        )
        self._parts.conclusions.attempt_failed(run, attempt, failure)
        self._drop(attempt.name)
        return True

    def _name_conflict(self, run: Run, attempt: Attempt, error: Exception) -> bool:
        """A stranger has the attempt's name: nothing is taken over, and its run alone is held."""
        failure = Failure(
            FailureCode.ENVIRONMENT_OTHER,
            f"The attempt's name belongs to something else: {error}.",
            stage=str(Stage.SORT),
            rule_id=NAME_CONFLICT,
            evidence={"reason": "name_conflict", "said": str(error)},
        )
        self._parts.conclusions.attempt_failed(run, attempt, failure)
        return True

    def _mark_running(self, attempt: Attempt) -> bool:
        if attempt.state is not AttemptState.INTENDED:
            return False
        self._parts.runs.mark_running(attempt)
        return True

    def _cancel(self, run: Run, attempt: Attempt | None, seen: Mapping[str, Observation]) -> bool:
        """End a run a person gave up: stop its attempt first, then record the end."""
        if attempt is None:
            self._parts.conclusions.cancelled(run, None)
            return True
        observation = seen.get(attempt.name)
        if observation is not None and observation.phase in (Phase.PENDING, Phase.RUNNING):
            self._orphans.stop(attempt.name)
            self._parts.passes(FailPoint.STOP_ASKED)
            return False
        if not self._parts.calls.give_up(attempt.attempt_id):
            return False
        outcome = observation.outcome if observation is not None else None
        self._parts.conclusions.cancelled(
            run,
            attempt,
            outcome,
            may_live=observation.may_live if observation is not None else _was_launched(attempt),
        )
        if observation is not None:
            self._drop(attempt.name)
        return True

    def _drop(self, name: str) -> None:
        self._orphans.drop(name)
        self._parts.passes(FailPoint.LEFTOVERS_DROPPED)


def _was_launched(attempt: Attempt) -> bool:
    return attempt.stage is Stage.SORT and attempt.state is AttemptState.RUNNING


class ReconcileLoop:
    """Runs the reconciler in a thread until told to stop; ``wake`` makes it look at once."""

    def __init__(self, reconciler: Reconciler, *, interval_s: float) -> None:
        self._reconciler = reconciler
        self._interval_s = interval_s
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconcile", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Look again soon. Safe from any thread."""
        self._wake.set()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End after the current round."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            if not self._step():
                self._wake.wait(self._interval_s)

    def _step(self) -> bool:
        try:
            return self._reconciler.step()
        except Exception:
            log.exception("reconcile.round_failed")
            return False
