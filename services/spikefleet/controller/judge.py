"""The evidence ladder: what an ended attempt was, told from the outside.

First hit wins, and every verdict names the step that gave it. The attempt's own word counts only
where nothing harder contradicts it: a complete manifest outranks a bad goodbye, the kernel's word
outranks the attempt's, exit 0 without a complete result is not success. Reads; changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spikefleet.controller.termination import read_termination_message
from spikefleet.core.attempts import AttemptOutcome
from spikefleet.core.failures.codes import FailureCode, row_for_exit
from spikefleet.core.failures.errors import Failure
from spikefleet.core.failures.reading.cluster_reasons import from_reason
from spikefleet.core.ids import AttemptId
from spikefleet.infra.launchers.base import Observation, Phase
from spikefleet.infra.stores.bytes.artifacts import (
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStore,
)

_SIGKILL_EXIT = 137
_LOG_LINES = 50


@dataclass(frozen=True)
class Verdict:
    """How an attempt ended. ``failure`` None means success; ``outcome`` is what it left, if any."""

    failure: Failure | None
    outcome: AttemptOutcome | None
    step: str


def judge(
    observation: Observation, *, attempt_id: AttemptId, verify: Callable[[], object]
) -> Verdict:
    """Decide how the attempt ended.

    ``verify`` checks the attempt's manifest and raises ArtifactMissingError or
    ArtifactDamagedError when the result is not complete.
    """
    outcome = _outcome(observation, attempt_id)
    complete, missing = _complete(verify)
    if outcome is not None and outcome.exit_code == 0 and complete:
        return Verdict(None, outcome, "manifest")
    if observation.oom_killed and (outcome is None or outcome.failure is None):
        return Verdict(
            _outside(
                FailureCode.HOST_OUT_OF_MEMORY,
                "The kernel killed the attempt because its memory limit was reached.",
                "outside.oom_killed",
                exit_code=observation.exit_code,
            ),
            outcome,
            "oom_killed",
        )
    told, step = (outcome.failure, "outcome") if outcome else (None, "")
    if told is None:
        told = read_termination_message(observation.termination_message, attempt_id)
        step = "termination_message"
    outside = from_reason(observation.reason)
    if outside is not None and _outranks(told, observation):
        kept = {**outside.evidence, "exit_code": observation.exit_code}
        return Verdict(replace(outside, evidence=kept), outcome, "reason")
    if told is not None:
        return Verdict(_agreeing(told, observation), outcome, step)
    return Verdict(_from_exit(observation, missing), outcome, "exit")


def with_stored_outcome(
    observation: Observation, artifacts: ArtifactStore, prefix: str
) -> Observation:
    """Add the outcome stored with a published result, when the attempt could not leave its own.

    A runner taken away between its upload and its last word has still sorted.
    """
    code = observation.exit_code
    if observation.outcome is not None or (code is not None and row_for_exit(code) is not None):
        return observation
    try:
        document: Any = json.loads(artifacts.get_bytes(f"{prefix}/outcome.json"))
    except (ArtifactMissingError, ValueError, RecursionError):
        return observation
    return replace(observation, outcome=document) if isinstance(document, dict) else observation


def _outcome(observation: Observation, attempt_id: AttemptId) -> AttemptOutcome | None:
    """Parse outcome.json; another attempt's or a damaged one is no evidence."""
    if not observation.outcome:
        return None
    try:
        outcome = AttemptOutcome.from_json(observation.outcome)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return outcome if outcome.attempt_id == attempt_id and _is_sound(outcome) else None


def _is_sound(outcome: AttemptOutcome) -> bool:
    """Whether every field is of its kind: a document may be anybody's bytes."""
    tables = (outcome.artifacts, outcome.peaks, outcome.timings_s, outcome.versions)
    numbers = (outcome.n_units, outcome.n_spikes, outcome.duration_s, outcome.wall_s)
    return (
        type(outcome.exit_code) is int
        and all(isinstance(table, Mapping) for table in tables)
        and all(value is None or type(value) in (int, float) for value in numbers)
    )


def _complete(verify: Callable[[], object]) -> tuple[bool, str]:
    try:
        verify()
    except (ArtifactMissingError, ArtifactDamagedError) as error:
        return False, str(error)
    return True, ""


def _outranks(told: Failure | None, observation: Observation) -> bool:
    """Whether a cluster's reason says more than the attempt does.

    An attempt that named its failure and left with the code of it had ended before it was taken.
    """
    if told is None or told.code is FailureCode.ATTEMPT_INTERRUPTED:
        return True
    return observation.exit_code is None or observation.exit_code != told.row.exit_code


def _agreeing(failure: Failure, observation: Observation) -> Failure:
    """The exit code wins over a document that disagrees with it, and the mismatch is kept."""
    code = observation.exit_code
    row = row_for_exit(code) if code is not None else None
    if row is None or row.code == failure.code:
        return failure
    told = str(failure.code)
    return failure.becomes(row.code, "outside.exit_code", class_mismatch=told)


def _from_exit(observation: Observation, missing: str) -> Failure:
    code = observation.exit_code
    if code == 0:
        return _outside(
            FailureCode.INCOMPLETE,
            "The attempt ended without an error but its result is not complete.",
            "outside.incomplete",
            missing=missing,
        )
    row = row_for_exit(code) if code is not None else None
    if row is not None:
        return _outside(row.code, row.meaning, "outside.exit_code", exit_code=code)
    if observation.phase is Phase.GONE or observation.signal or code == _SIGKILL_EXIT:
        return _outside(
            FailureCode.LOST,
            "The attempt's process vanished without leaving an outcome.",
            "outside.lost",
            signal=observation.signal,
            exit_code=code,
            reason=observation.reason,
            last_progress=_last_progress(observation),
            log_tail=observation.log_tail.splitlines()[-_LOG_LINES:],
        )
    return _outside(
        FailureCode.UNCLASSIFIED,
        f"The attempt ended with exit code {code} and said nothing else.",
        "outside.unknown_exit",
        exit_code=code,
        reason=observation.reason,
        log_tail=observation.log_tail.splitlines()[-_LOG_LINES:],
    )


def _last_progress(observation: Observation) -> dict[str, Any] | None:
    """Where the attempt was when its heart last beat: all that is left of one that vanished."""
    said = (observation.heartbeat or {}).get("progress")
    return dict(said) if isinstance(said, Mapping) else None


def _outside(code: FailureCode, message: str, rule_id: str, **evidence: Any) -> Failure:
    kept = {key: value for key, value in evidence.items() if value not in (None, "", [])}
    return Failure(code, message, stage="sort", rule_id=rule_id, evidence=kept)
