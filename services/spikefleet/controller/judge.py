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

from spikefleet.controller.outcome_documents import read_outcome
from spikefleet.controller.termination import read_termination_message
from spikefleet.core.attempts import AttemptOutcome
from spikefleet.core.failures.codes import FailureCode, row_for_exit
from spikefleet.core.failures.errors import Failure
from spikefleet.core.failures.reading.cluster_reasons import from_reason
from spikefleet.core.ids import AttemptId
from spikefleet.infra.foreign_documents import MOST_BYTES, bounded_table, number
from spikefleet.infra.launchers.base import Observation, Phase
from spikefleet.infra.stores.bytes.artifacts import (
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStore,
)

_SIGKILL_EXITS = frozenset({137, 247})  # 247: -9 as another program passes it on
_LOG_LINES = 50
_MOST_USED = 100.0  # times its limit: more no group of processes ever used


@dataclass(frozen=True)
class Verdict:
    """How an attempt ended. ``failure`` None means success; ``outcome`` is what it left, if any.

    ``node`` is where it was, so that a retry can go elsewhere.
    """

    failure: Failure | None
    outcome: AttemptOutcome | None
    step: str
    node: str = ""


def judge(
    observation: Observation, *, attempt_id: AttemptId, verify: Callable[[], object]
) -> Verdict:
    """Decide how the attempt ended.

    ``verify`` checks the attempt's manifest and raises ArtifactMissingError or
    ArtifactDamagedError when the result is not complete.
    """
    outcome = read_outcome(observation.outcome, attempt_id)
    complete, missing = _complete(verify)
    node = observation.node
    if outcome is not None and outcome.exit_code == 0 and complete:
        contradiction = _named_by_code(observation)
        if contradiction is None:
            return Verdict(None, outcome, "manifest", node)
        return Verdict(contradiction, outcome, "exit", node)
    told, step = (outcome.failure, "outcome") if outcome else (None, "")
    if told is None:
        told = read_termination_message(observation.termination_message, attempt_id)
        step = "termination_message"
    failure, step = _weigh(observation, told, step, missing)
    return Verdict(failure, outcome, step, node)


def _weigh(
    observation: Observation, told: Failure | None, step: str, missing: str
) -> tuple[Failure, str]:
    """Go down the ladder for an attempt that has no complete result."""
    if observation.oom_killed and _is_unnamed(told, observation):
        return _out_of_memory(observation), "oom_killed"
    if _outranks(told, step, observation):
        for rung, said in (("disruption", observation.disruption), ("reason", observation.reason)):
            outside = _from_cluster(rung, said)
            if outside is not None:
                kept = {**outside.evidence, "exit_code": observation.exit_code}
                message = _sentence(observation.waiting) or outside.message
                return replace(outside, message=message, evidence=kept), rung
    if told is not None:
        return _agreeing(told, observation), step
    return _from_exit(observation, missing), "exit"


def _from_cluster(rung: str, said: str) -> Failure | None:
    """A disruption counts as one whatever its reason is called; any other reason must be known."""
    known = from_reason(said)
    if rung == "disruption" and said and (known is None or known.code != FailureCode.DISRUPTED):
        return from_reason(f"DisruptionTarget: {said}")
    return known


def _out_of_memory(observation: Observation) -> Failure:
    return _outside(
        FailureCode.HOST_OUT_OF_MEMORY,
        "The kernel killed the attempt because its memory limit was reached.",
        "outside.oom_killed",
        exit_code=observation.exit_code,
        **_last_memory(observation),
    )


def _last_memory(observation: Observation) -> dict[str, Any]:
    """What the attempt last read of its memory before it was killed, in bytes and per cent."""
    readings = (observation.heartbeat or {}).get("readings")
    memory = readings.get("host_memory") if isinstance(readings, Mapping) else None
    if not isinstance(memory, Mapping):
        return {}
    known = {name: memory.get(name) for name in ("working_set_bytes", "limit_bytes", "oom_kills")}
    found = {n: int(v) for n, said in known.items() if (v := number(said)) is not None}
    used = number(memory.get("used_ratio"), most=_MOST_USED)
    percent = {"percent_at_trip": round(100 * used, 1)} if used is not None else {}
    return {**found, **percent}


def _named_by_code(observation: Observation) -> Failure | None:
    """The failure that the exit code names, against a document that speaks of success."""
    code = observation.exit_code
    row = row_for_exit(code) if code is not None else None
    if row is None or row.code is FailureCode.ATTEMPT_INTERRUPTED:
        return None
    rule = "outside.exit_code"
    return _outside(row.code, row.meaning, rule, exit_code=code, class_mismatch="success")


def _is_unnamed(told: Failure | None, observation: Observation) -> bool:
    """Whether neither the attempt's words nor its exit code give a cause of their own.

    One process killed for memory marks the whole container, also where the attempt lived on and
    ended for another reason that it told.
    """
    if told is not None and told.code is not FailureCode.ATTEMPT_INTERRUPTED:
        return False
    return told is not None or _named_by_code(observation) is None


def _sentence(words: str) -> str:
    """What it waited for, as the sentence that its owner reads."""
    return f"{words[0].upper()}{words[1:]}." if words else ""


def with_stored_outcome(
    observation: Observation, artifacts: ArtifactStore, prefix: str
) -> Observation:
    """Add the outcome stored with a published result, when the attempt could not leave its own.

    A runner taken away between its upload and its last word has still sorted.
    """
    code = observation.exit_code
    if observation.outcome is not None or (code is not None and row_for_exit(code) is not None):
        return observation
    key = f"{prefix}/outcome.json"
    try:
        size = artifacts.size(key)
        if size is None or size > MOST_BYTES:
            return observation
        document: Any = json.loads(artifacts.get_bytes(key))
    except (ArtifactMissingError, ValueError, RecursionError):
        return observation
    return replace(observation, outcome=document) if isinstance(document, dict) else observation


def _complete(verify: Callable[[], object]) -> tuple[bool, str]:
    try:
        verify()
    except (ArtifactMissingError, ArtifactDamagedError) as error:
        return False, str(error)
    return True, ""


def _outranks(told: Failure | None, step: str, observation: Observation) -> bool:
    """Whether a cluster's reason says more than the attempt does.

    An attempt that named its failure and left with the code of it had ended before it was taken;
    where nobody saw its code, its outcome, which it writes last, says the same.
    """
    if told is None or told.code is FailureCode.ATTEMPT_INTERRUPTED:
        return True
    if observation.exit_code is None:
        return step != "outcome"
    return observation.exit_code != told.row.exit_code


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
    unseen = code is None or observation.phase is Phase.GONE
    if unseen or observation.signal or code in _SIGKILL_EXITS:
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
    return bounded_table(said)


def _outside(code: FailureCode, message: str, rule_id: str, **evidence: Any) -> Failure:
    kept = {key: value for key, value in evidence.items() if value not in (None, "", [])}
    return Failure(code, message, stage="sort", rule_id=rule_id, evidence=kept)
