"""The reconcile loop: look at everything, move each run by at most one step, act after the commit.

Level-triggered: every round starts from the database and the launcher's list, so a restart at any
moment resumes where the records stand. What a failure means for a run is decided in
``core.policy`` and carried out in ``conclude``; this module only notices.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from spikefleet.controller.conclude import Conclusions
from spikefleet.controller.judge import judge
from spikefleet.controller.sort_spec import SortSpecs
from spikefleet.controller.stage_calls import StageCalls
from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.runs import Attempt, Run, RunState
from spikefleet.infra.launchers.base import Launcher, NoSlotError, Observation, Phase
from spikefleet.infra.stores.artifacts import ArtifactStore, attempt_prefix, verify_prefix
from spikefleet.infra.stores.run_records import RunChanges, StaleRunError
from spikefleet.infra.stores.runs import RunStore

log = logging.getLogger(__name__)

_STOP_GRACE_S = 20.0


@dataclass(frozen=True)
class ReconcileParts:
    """Everything a round touches."""

    runs: RunStore
    artifacts: ArtifactStore
    launcher: Launcher
    calls: StageCalls
    specs: SortSpecs
    conclusions: Conclusions
    clock: Callable[[], datetime]
    on_error: Callable[[], None]
    on_round: Callable[[], None]


class Reconciler:
    """Owns every run that has not ended. One per store; ``step`` is one round."""

    def __init__(self, parts: ReconcileParts) -> None:
        self._parts = parts
        self._stop_asked: set[str] = set()

    def step(self) -> bool:
        """Make one round. Returns True when something moved, so that the next round comes soon."""
        parts = self._parts
        seen = parts.launcher.observe()
        live = {attempt.run_id: attempt for attempt in parts.runs.live_attempts()}
        moved = False
        for run in parts.runs.active_runs():
            moved |= self._guarded(run, live.get(run.run_id), seen)
        self._sweep({attempt.name for attempt in parts.runs.live_attempts()}, seen)
        parts.on_round()
        return moved

    def _guarded(self, run: Run, attempt: Attempt | None, seen: Mapping[str, Observation]) -> bool:
        """One run's trouble stays its own: it is logged, counted and tried again next round."""
        try:
            return self._advance(run, attempt, seen)
        except StaleRunError:
            return True
        except Exception:
            self._parts.on_error()
            log.exception("reconcile.run_failed", extra={"run_id": run.run_id})
            return False

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
        """Start the next stage: reuse a finished sort, wait for one, or intend an attempt."""
        runs, launcher = self._parts.runs, self._parts.launcher
        if run.stage is Stage.SORT:
            if runs.is_held(run.backend):
                runs.move_run(run, RunState.HELD, kind="run.held", body={"lane": run.backend})
                return True
            if self._reuse_sort(run):
                return True
            free = launcher.free_slots()
            wants_gpu = self._parts.specs.wants_gpu(run)
            if (free.gpu if wants_gpu else free.cpu) < 1:
                return False
        started, attempt = runs.intend_attempt(run, run.stage, run.result.get("params", {}))
        return self._follow(started, attempt, {})

    def _reuse_sort(self, run: Run) -> bool:
        """Take over a finished sort of the same bytes and parameters; wait for one under way."""
        runs = self._parts.runs
        if run.result.get("fresh_sort"):
            return False
        source = runs.find_sorted(run.sort_digest)
        if source is None or source.run_id == run.run_id:
            return runs.sorting_now(run.sort_digest, run.run_id)
        if source.result.get("result_affecting"):
            return False  # its spikes are those of changed parameters, not of this configuration
        kept = ("sort_prefix", "n_units_sorted", "n_spikes", "duration_s", "versions")
        result = {key: source.result[key] for key in kept if key in source.result}
        runs.move_run(
            run,
            RunState.QUEUED,
            kind="sort.reused",
            body={"from_run": source.run_id, "sort_prefix": result["sort_prefix"]},
            changes=RunChanges(
                stage=Stage.CURATE, result={**result, "sort_reused_from": source.run_id}
            ),
        )
        return True

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
        self._parts.conclusions.stage_ended(run, attempt, result)
        return True

    def _follow_sort(self, run: Run, attempt: Attempt, observation: Observation | None) -> bool:
        if observation is None:
            return self._launch(run, attempt)
        if observation.phase in (Phase.PENDING, Phase.RUNNING):
            return self._mark_running(attempt)
        prefix = attempt_prefix(run.run_id, Stage.SORT, attempt.number)
        verdict = judge(
            observation,
            attempt_id=attempt.attempt_id,
            verify=lambda: verify_prefix(self._parts.artifacts, prefix),
        )
        self._parts.conclusions.sort_ended(run, attempt, verdict)
        self._parts.launcher.forget(attempt.name)
        return True

    def _launch(self, run: Run, attempt: Attempt) -> bool:
        """Start the attempt; its name is deterministic, so starting twice starts once."""
        try:
            self._parts.launcher.start(self._parts.specs.spec(run, attempt))
        except NoSlotError:
            return False
        except OSError as error:
            failure = Failure(
                FailureCode.NEVER_STARTED,
                "The attempt's process could not be started.",
                stage=str(Stage.SORT),
                rule_id="launcher.start",
                evidence={"reason": str(error)},
            )
            self._parts.conclusions.attempt_failed(run, attempt, failure)
            return True
        return self._mark_running(attempt)

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
            if attempt.name not in self._stop_asked:
                self._stop_asked.add(attempt.name)
                self._parts.launcher.stop(attempt.name, grace_s=_STOP_GRACE_S)
            return False
        if self._parts.calls.running(attempt.attempt_id):
            return False
        self._stop_asked.discard(attempt.name)
        self._parts.conclusions.cancelled(run, attempt)
        self._parts.launcher.forget(attempt.name)
        return True

    def _sweep(self, live_names: set[str], seen: Mapping[str, Observation]) -> None:
        """Stop and drop what the launcher still knows but the records have ended."""
        for name, observation in seen.items():
            if name in live_names:
                continue
            if observation.phase in (Phase.PENDING, Phase.RUNNING):
                if name not in self._stop_asked:
                    self._stop_asked.add(name)
                    log.warning("attempt.orphaned", extra={"attempt_name": name})
                    self._parts.launcher.stop(name, grace_s=_STOP_GRACE_S)
            else:
                self._stop_asked.discard(name)
                self._parts.launcher.forget(name)


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
