"""What follows when a stage ends: the decision, its event, and the run's next state, in one commit.

Success moves to the next stage. Failure goes through the policy, and whatever it decides is
written with evidence and rule id. Every run that ends (sorted, unsortable or failed) passes the
report stage first, so that there is a page to look at; a report that fails ends nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from spikefleet.controller.attempt_documents import StoredDocuments
from spikefleet.controller.estimates import compare_projection
from spikefleet.controller.fail_points import AtPoint, FailPoint, nobody_listens
from spikefleet.controller.finished_result import earlier_report, given_back, has_kept
from spikefleet.controller.judge import Verdict
from spikefleet.controller.outcome_counts import OutcomeCounts
from spikefleet.controller.sizing import decision_context, size_had, within
from spikefleet.controller.stage_threads import StageResult
from spikefleet.core.attempts import STAGES, AttemptState, Stage
from spikefleet.core.failures.codes import Disposition, RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.policy.changes import affects_result
from spikefleet.core.policy.decide import (
    Decision,
    DecisionContext,
    PastAttempt,
    Policy,
    decide,
    is_mended_by_release,
)
from spikefleet.core.policy.lanes import lane_of_hold
from spikefleet.core.policy.sizes import SorterMachine
from spikefleet.core.run_result import Ending, RunResult
from spikefleet.core.runs import Attempt, Run, RunState
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore, pointer_key
from spikefleet.infra.stores.sql.run_values import AttemptEnd, RunChanges
from spikefleet.infra.stores.sql.runs import RunStore

log = logging.getLogger(__name__)

_REPORT_TRIES = 2
_LEASE_MARGIN_S = 1.0  # so that the next attempt does not come a moment before the lease's end
_AGAIN = frozenset(
    {
        Disposition.RETRY_SAME,
        Disposition.RETRY_SCALED,
        Disposition.RETRY_ELSEWHERE,
        Disposition.REQUEUE,
    }
)


@dataclass(frozen=True)
class EndedAt:
    """Where an attempt ended: its node of a cluster, and whether nobody saw its process end."""

    node: str = ""
    may_live: bool = False


@dataclass(frozen=True)
class Conclusions:
    """Writes the end of attempts. Stateless: everything is in the records."""

    runs: RunStore
    artifacts: ArtifactStore
    counts: OutcomeCounts
    policy: Callable[[Run], Policy]
    clock: Callable[[], datetime]
    memory_limit_bytes: int = 0
    #: what a cluster gives a sorter's attempts; None: they run here
    machine_of: Callable[[str], SorterMachine] | None = None
    passes: AtPoint = nobody_listens  #: told of every place where the controller may die

    def sort_ended(
        self, run: Run, attempt: Attempt, verdict: Verdict, *, may_live: bool = False
    ) -> None:
        """Record the end of a sort attempt as the judge saw it.

        ``may_live``: nobody saw its process end, so its lease has to run out by itself.
        """
        outcome = verdict.outcome
        document = outcome.to_json() if outcome else {}
        attempt = _with_changes(attempt, document)
        self.counts.sort_ended(run, attempt, document)
        compared = self._compare(run, verdict)
        if verdict.failure is not None:
            where = EndedAt(verdict.node, may_live)
            self.attempt_failed(run, attempt, verdict.failure, document, compared, where)
            return
        prefix = attempt.place.prefix
        result: RunResult = {"sort_prefix": prefix, **compared}
        if outcome is not None:
            self.counts.recording_sorted(run, outcome.duration_s)
            result |= {
                "n_units_sorted": outcome.n_units,
                "n_spikes": outcome.n_spikes,
                "duration_s": outcome.duration_s,
                "versions": dict(outcome.versions),
                "sort_wall_s": outcome.wall_s,
                "timings_s": dict(outcome.timings_s),
                "peaks": dict(outcome.peaks),
            }
        if _changes_of_trial(document):
            context = DecisionContext(config=run.config, ladder=BACKENDS[run.backend].ladder)
            affects = affects_result(attempt.params, context)
            result |= {"params": dict(attempt.params), "result_affecting": affects}
        self._succeeded(run, attempt, StageResult(result, prefix, outcome=document))

    def _compare(self, run: Run, verdict: Verdict) -> RunResult:
        """What was projected beside what was used; the time only of a sort that was finished."""
        if verdict.outcome is None:
            return {}
        estimate = run.result.get("preflight", {}).get("estimate")
        wall_s = verdict.outcome.wall_s if verdict.failure is None else None
        compared = compare_projection(estimate, verdict.outcome.peaks, wall_s)
        self.counts.projection_compared(run, compared)
        return {"projection": compared} if compared else {}

    def stage_ended(self, run: Run, attempt: Attempt, result: StageResult) -> None:
        """Record the end of a stage that another room carried out."""
        if attempt.stage is Stage.REPORT:
            self._report_ended(run, attempt, result)
        elif result.failure is None:
            self._succeeded(run, attempt, result)
        else:
            self.attempt_failed(run, attempt, result.failure, result.outcome, result.result)

    def attempt_failed(
        self,
        run: Run,
        attempt: Attempt,
        failure: Failure,
        outcome: Any = None,
        result: RunResult | None = None,
        where: EndedAt | None = None,
    ) -> None:
        """Ask the policy and carry out what it says, but not before the lease of another ends."""
        where = where or EndedAt()
        decision = self._decide(run, attempt, failure, where.node)
        self.passes(FailPoint.DECISION_TAKEN)
        lease = self.runs.lease_of(run.run_id)
        wait_s = 0.0
        stands = where.may_live or (lease is not None and lease.attempt_id != attempt.attempt_id)
        if lease is not None and lease.left_s and stands:
            wait_s = lease.left_s + _LEASE_MARGIN_S
        if wait_s > decision.delay_s and decision.action in _AGAIN:
            decision = replace(decision, delay_s=wait_s)
        self.counts.attempt_ended(run, attempt, failure, str(decision.action))
        falls_back = has_kept(run) and decision.action not in (*_AGAIN, Disposition.HOLD)
        end = AttemptEnd(
            attempt_state=AttemptState.FAILED,
            run_to=RunState.SUCCEEDED if falls_back else _next_state(decision),
            kind=f"decision.{decision.action}",
            body={
                "stage": str(attempt.stage),
                "attempt": attempt.number,
                "rule_id": decision.rule_id,
                "reason": decision.reason,
                "params": dict(attempt.params),
                "code": str(failure.code),
                "changes": dict(decision.changes),
                "result_affecting": decision.result_affecting,
                "budgets_left": dict(decision.budgets_left),
                "delay_s": decision.delay_s,
                **_trial(outcome),
                **({"node": where.node} if where.node else {}),
                **({"lease_wait_s": round(wait_s, 1)} if wait_s else {}),
            },
            failure=failure,
            outcome=outcome or {},
            changes=given_back(run, "failed", failure.message)
            if falls_back
            else self._changes(run, attempt, failure, decision, result or RunResult()),
            holder_may_live=where.may_live,
        )
        self._finish(run, attempt, end)

    def cancelled(
        self, run: Run, attempt: Attempt | None, outcome: Any = None, *, may_live: bool = False
    ) -> None:
        """Record that a person gave the run up, and what its attempt had left by then."""
        to, changes = RunState.CANCELLED, RunChanges(status=RunStatus.CANCELLED)
        if has_kept(run):
            to, changes = RunState.SUCCEEDED, given_back(run, "cancelled")
        if attempt is None:
            self.runs.move_run(run, to, kind="run.cancelled", body={}, changes=changes)
        else:
            end = AttemptEnd(
                attempt_state=AttemptState.CANCELLED,
                run_to=to,
                kind="run.cancelled",
                body={"stage": str(attempt.stage), "attempt": attempt.number},
                outcome=outcome or {},
                changes=changes,
                holder_may_live=may_live,
            )
            self._finish(run, attempt, end)
        if to is RunState.CANCELLED:
            self.counts.run_ended(run, RunStatus.CANCELLED, self.clock())

    def _decide(self, run: Run, attempt: Attempt, failure: Failure, node: str) -> Decision:
        history = tuple(
            PastAttempt(
                str(past.stage),
                past.failure.code,
                dict(past.params),
                str(past.failure.evidence.get("reason") or ""),
            )
            for past in self.runs.attempts_of(run.run_id)
            if past.failure is not None
            and past.stage is attempt.stage
            and past.attempt_id != attempt.attempt_id
            and past.number > spent_before(run, attempt.stage)
            and not _was_mended(run, past)
        )
        context = decision_context(run, attempt, node, self.memory_limit_bytes)
        if self.machine_of is not None and attempt.stage is Stage.SORT:
            had = size_had(StoredDocuments(self.artifacts), attempt, failure)
            context = within(self.machine_of(run.backend).sizes, run, attempt, context, had)
        return decide(failure, history, self.policy(run), context)

    def _changes(
        self,
        run: Run,
        attempt: Attempt,
        failure: Failure,
        decision: Decision,
        result: RunResult,
    ) -> RunChanges:
        if decision.action in _AGAIN:
            return RunChanges(
                failed_attempt=attempt.attempt_id,
                clear_status=True,
                result={
                    **result,
                    "params": dict(decision.changes),
                    "result_affecting": decision.result_affecting,
                },
                not_before=self.clock() + timedelta(seconds=decision.delay_s),
            )
        if decision.action is Disposition.HOLD:
            wanted: RunResult = {"params": dict(decision.changes)} if decision.changes else {}
            return RunChanges(
                failed_attempt=attempt.attempt_id,
                status=RunStatus.ENVIRONMENT,
                result={**result, **wanted},
                lane=lane_of_hold(run.backend, failure, run.config, decision.rule_id),
                hold_reason=decision.reason if wanted else f"{failure.message} {failure.next_step}",
            )
        state = RunState.SKIPPED if decision.action is Disposition.SKIP else RunState.FAILED
        ending: Ending = {"state": str(state), "status": str(failure.row.status)}
        return RunChanges(
            stage=Stage.REPORT,
            failed_attempt=attempt.attempt_id,
            result={**result, "ending": ending},
        )

    def _succeeded(self, run: Run, attempt: Attempt, result: StageResult) -> None:
        """Move to the next stage; the pointer is swapped first, which a crash may repeat."""
        stage = attempt.stage
        merged = result.result
        if stage is Stage.CURATE:
            ending: Ending = {"state": str(RunState.SUCCEEDED), "status": str(RunStatus.SUCCESS)}
            merged = {**merged, "ending": ending}
        if result.pointer and not has_kept(run):
            self._point(run, merged)
        self.counts.attempt_ended(run, attempt, None, "next")
        end = AttemptEnd(
            attempt_state=AttemptState.SUCCEEDED,
            run_to=RunState.QUEUED,
            kind=f"stage.{stage}.done",
            body={"attempt": attempt.number, **_trial(result.outcome)},
            outcome=result.outcome,
            changes=RunChanges(
                stage=STAGES[STAGES.index(stage) + 1],
                result=merged,
                drop_result=("fresh_sort",) if stage is Stage.SORT else (),
                clear_failure=True,
                clear_status=True,
            ),
        )
        self._finish(run, attempt, end)

    def _report_ended(self, run: Run, attempt: Attempt, result: StageResult) -> None:
        """End the run as it was going to end, with or without a report."""
        failed = result.failure is not None
        before = spent_before(run, Stage.REPORT)
        past = [each for each in self.runs.attempts_of(run.run_id) if each.stage is Stage.REPORT]
        tries = sum(each.number > before for each in past)  # numbers may have gaps
        again = failed and tries < _REPORT_TRIES
        self.counts.attempt_ended(run, attempt, result.failure, "retry_same" if again else "end")
        if again:
            self._finish(
                run,
                attempt,
                AttemptEnd(
                    attempt_state=AttemptState.FAILED,
                    run_to=RunState.QUEUED,
                    kind="report.failed",
                    body={"attempt": attempt.number, "tries": _REPORT_TRIES},
                    failure=result.failure,
                ),
            )
            return
        merged: RunResult = {**earlier_report(run), **result.result} if failed else result.result
        if not failed or has_kept(run):
            self._point(run, merged)
        ending = run.result.get("ending") or Ending(
            state=str(RunState.FAILED), status=str(RunStatus.FAILED)
        )
        status = RunStatus(ending["status"])
        end = AttemptEnd(
            attempt_state=AttemptState.FAILED if failed else AttemptState.SUCCEEDED,
            run_to=RunState(ending["state"]),
            kind="run.ended",
            body={"status": str(status), "report": not failed},
            failure=result.failure,
            outcome=result.outcome,
            changes=RunChanges(status=status, result=merged, drop_result=("kept_result",)),
        )
        self._finish(run, attempt, end)
        self.counts.run_ended(run, status, self.clock())

    def _point(self, run: Run, merged: RunResult) -> None:
        """Name the winning prefixes in the run's ``current.json``.

        The records say whether the run is still as it was read: a controller that was left behind
        does not turn the pointer back. What stands in the pointer says nothing of that, since
        records brought back from a copy count from where the copy was made.
        """
        version = self.runs.get_run(run.run_id).version
        if version != run.version:
            log.warning("pointer.left_alone", extra={"run_id": run.run_id, "version": version})
            return
        current = {**run.result, **merged}
        names = {"sort": "sort_prefix", "curate": "curation_prefix", "report": "report_prefix"}
        document = {key: current[name] for key, name in names.items() if current.get(name)}
        self.artifacts.swap_pointer(pointer_key(run.run_id), {**document, "token": run.version})
        self.passes(FailPoint.POINTER_SWAPPED)

    def _finish(self, run: Run, attempt: Attempt, end: AttemptEnd) -> None:
        self.runs.finish_attempt(run, attempt, end)
        self.passes(FailPoint.END_COMMITTED)


def spent_before(run: Run, stage: Stage) -> int:
    """How many attempts of ``stage`` a person wrote off by asking for the run again."""
    written_off = run.result.get("attempts_before", {})
    return int(written_off.get(str(stage), 0))


def _changes_of_trial(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """What the attempt changed by itself, because its trial showed that it had to."""
    return dict((outcome.get("canary") or {}).get("changes") or {})


def _with_changes(attempt: Attempt, outcome: Mapping[str, Any]) -> Attempt:
    """The attempt with the changes it really ran with, so that no retry repeats them."""
    changes = _changes_of_trial(outcome)
    if not changes:
        return attempt
    params = {**attempt.params, **changes}
    asked = {**(attempt.params.get("sorter_params") or {}), **(changes.get("sorter_params") or {})}
    return replace(attempt, params={**params, **({"sorter_params": asked} if asked else {})})


def _trial(outcome: Any) -> dict[str, Any]:
    """How the trial before the sort went, for the event; nothing where none was made."""
    canary = (outcome or {}).get("canary")
    return {"canary": canary} if canary else {}


def _was_mended(run: Run, past: Attempt) -> bool:
    """Say whether an operator released the lane since, having repaired what ended this attempt."""
    released_after = int(run.result.get("released_after", {}).get(str(past.stage), 0))
    return (
        past.failure is not None
        and past.number <= released_after
        and is_mended_by_release(past.failure.code)
    )


def _next_state(decision: Decision) -> RunState:
    if decision.action is Disposition.HOLD:
        return RunState.HELD
    if decision.action in _AGAIN:
        return RunState.WAITING
    return RunState.QUEUED
