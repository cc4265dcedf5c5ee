"""What must hold after every step of a simulated facility, read from its records beside the store.

Looks at what is new since the last look, so that a look costs little. Changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from typing import Any

from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.ids import RunId
from spikefleet.core.policy.budgets import Policy, budget_of
from spikefleet.core.policy.decide import is_mended_by_release
from spikefleet.core.runs import RUN_MOVES, TERMINAL, RunState, attempt_name
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.infra.stores.bytes.artifacts import (
    ArtifactDamagedError,
    ArtifactMissingError,
    pointer_key,
    verify_prefix,
)
from tests.simulation.facility import Facility
from tests.simulation.world import BrokenInvariantError

_AGAIN = ("retry_same", "retry_scaled", "retry_elsewhere", "requeue")
_POLICY = Policy()
_MENDED = {budget_of(c) for c in FailureCode if budget_of(c) and is_mended_by_release(c)}
_TERMINAL = {str(state) for state in TERMINAL}
_ATTEMPT_ENDS = ("attempt.succeeded", "attempt.failed", "attempt.cancelled")
_LARGER_GPUS = 1
_MOVING = """SELECT 1 FROM run AS q WHERE q.state IN ('queued', 'waiting', 'running') AND NOT (
    q.state = 'queued' AND q.stage = 'sort' AND NOT q.cancel_requested AND EXISTS (
        SELECT 1 FROM run AS o WHERE o.state = 'held' AND o.sort_digest = q.sort_digest
        AND o.serial < q.serial))
    AND NOT (q.state = 'running' AND q.stage = 'sort' AND NOT q.cancel_requested
        AND EXISTS (SELECT 1 FROM hold AS h WHERE h.lane = q.backend)
        AND EXISTS (SELECT 1 FROM attempt AS a WHERE a.run_id = q.run_id AND a.state = 'intended'))
    LIMIT 1"""
# Smaller batches are what ``oom_retry_max`` allows, and neutral steps need no leave.
_BATCHES = {row.batch.name for row in BACKENDS.values() if row.batch} | {
    name
    for row in BACKENDS.values()
    for step in row.ladder
    if step.result_neutral
    for name in step.changes
}


class Invariants:
    """Holds the records of one facility to the rules. ``look`` after every step."""

    def __init__(self, facility: Facility) -> None:
        self._facility = facility
        self._records = sqlite3.connect(facility.path, isolation_level=None)
        self._seq = 0
        self.accepted: set[str] = set()
        self._states: dict[str, str] = {}
        self._live: dict[str, str] = {}
        self._numbers: dict[tuple[str, str], int] = defaultdict(int)
        self._left: dict[tuple[str, str], dict[str, int]] = {}
        self._spent: dict[tuple[str, str, str], int] = defaultdict(int)
        self._consents: dict[str, bool] = {}
        self._probes: set[str] = set()
        self._finished: set[str] = set()
        facility.may_start = self.may_start

    def accept(self, run_ids: tuple[str, ...], *, consents: bool) -> None:
        """These runs were promised to their submitter."""
        self.accepted.update(run_ids)
        for run_id in run_ids:
            self._consents.setdefault(run_id, consents)

    def look(self) -> None:
        """Raise BrokenInvariantError where a rule does not hold."""
        rows = self._records.execute(
            "SELECT seq, run_id, kind, from_state, to_state, body FROM event"
            " WHERE seq > ? ORDER BY seq",
            (self._seq,),
        ).fetchall()
        for seq, run_id, kind, from_state, to_state, body in rows:
            self._seq = seq
            self._facility.world.tell(f"{_short(run_id)} {kind} {from_state}>{to_state}")
            self._event(run_id, kind, from_state, to_state, json.loads(body))
        self._table()

    def may_start(self, run_id: str) -> None:
        """A sort of this run is about to begin."""
        live = self._one(
            "SELECT state FROM attempt WHERE run_id = ? AND stage = 'sort'"
            " AND state IN ('intended', 'running')",
            run_id,
        )
        self._hold(live is not None, f"a sort of {run_id} begins that no record intends")
        held = self._one(
            "SELECT h.lane FROM run r JOIN hold h ON h.lane = r.backend OR h.lane = r.lane"
            " WHERE r.run_id = ?",
            run_id,
        )
        self._take_new_probes()
        if held is not None and run_id not in self._probes:
            raise BrokenInvariantError(f"{run_id} begins to sort in held lane {held}")

    def _take_new_probes(self) -> None:
        rows = self._records.execute(
            "SELECT run_id FROM event WHERE kind = 'hold.probed' AND seq > ?", (self._seq,)
        )
        self._probes.update(run_id for (run_id,) in rows)

    def _moved(self, run: str, kind: str, before: str, after: str) -> None:
        known = self._states.get(run, "")
        self._hold(before == known, f"{run} went {before}>{after} but stood at {known!r}")
        if before:
            legal = RunState(after) in RUN_MOVES[RunState(before)]
            self._hold(legal, f"{run} went {before}>{after}, which is no move ({kind})")
        if before in _TERMINAL:
            self._hold(kind == "run.retried", f"{run} left {before} by {kind}")
        if after in _TERMINAL and run in self._finished:
            kept = after == "succeeded"
            self._hold(kept, f"{run} had a finished result and is now {after}")
        if after == "succeeded":
            self._finished.add(run)
        self._states[run] = after
        if after == "held" and kind != "hold.probed":
            self._probes.discard(run)

    def _event(self, run: str, kind: str, before: str, after: str, body: dict[str, Any]) -> None:
        if after:
            self._moved(run, kind, before, after)
        if kind.startswith("decision."):
            self._decision(run, kind.removeprefix("decision."), body)
        elif kind == "attempt.intended":
            self._intended(run, body)
        elif kind in _ATTEMPT_ENDS:
            live = self._live.pop(run, None)
            self._hold(live == body["attempt_id"], f"{run}: {kind} of {body['name']}, not live")
        elif kind == "run.retried":
            self._begin_again(run)
        elif kind == "hold.released":
            self._mended(run)
        elif kind == "hold.probed":
            self._probes.add(run)

    def _intended(self, run: str, body: dict[str, Any]) -> None:
        self._hold(run not in self._live, f"{run} has a second live attempt {body['name']}")
        self._live[run] = body["attempt_id"]
        key = (run, body["stage"])
        self._hold(body["number"] > self._numbers[key], f"{body['name']} was there before")
        self._numbers[key] = body["number"]

    def _decision(self, run: str, action: str, body: dict[str, Any]) -> None:
        told = all(body.get(name) for name in ("rule_id", "reason", "code"))
        self._hold(told, f"{run}: a decision without rule, reason or evidence: {body}")
        key, left = (run, body["stage"]), body["budgets_left"]
        self._hold(min(left.values()) >= 0, f"{run} has a negative budget: {left}")
        for name, most in self._left.get(key, {}).items():
            self._hold(left[name] <= most, f"{run}: budget {name} of {key[1]} grew to {left[name]}")
        self._left[key] = left
        if body["code"] == FailureCode.LOST and body["stage"] == Stage.SORT:
            name = attempt_name(RunId(run), Stage.SORT, body["attempt"])
            self._hold(not self._facility.launcher.is_seen(name), f"{name} runs and is called lost")
        taken = set(body["changes"].get("sorter_params") or {}) - _BATCHES
        if body["result_affecting"] and taken:
            told = f"{run}: {sorted(taken)} may change spikes, without consent"
            self._hold(self._consents[run], told)
        budget = budget_of(FailureCode(body["code"]))
        if action in _AGAIN and budget != "infrastructure":
            self._spent[*key, budget] += 1
            limit = _POLICY.limit(budget) + (_LARGER_GPUS if budget == "gpu_memory" else 0)
            over = self._spent[*key, budget] > limit
            self._hold(not over, f"{run}: {budget} was answered more than {limit} times")

    def _begin_again(self, run: str) -> None:
        for key in [key for key in self._left if key[0] == run]:
            del self._left[key]
        for spent in [key for key in self._spent if key[0] == run]:
            del self._spent[spent]

    def _mended(self, run: str) -> None:
        for key, left in self._left.items():
            if key[0] == run:
                self._left[key] = {n: v for n, v in left.items() if n not in _MENDED}
        for spent in [key for key in self._spent if key[0] == run and key[2] in _MENDED]:
            del self._spent[spent]

    def _table(self) -> None:
        rows = self._records.execute(
            "SELECT run_id, state, status, failure IS NOT NULL OR failed_attempt IS NOT NULL,"
            " lane IN (SELECT lane FROM hold) FROM run"
        ).fetchall()
        found = {row[0] for row in rows}
        self._hold(self.accepted <= found, f"accepted and lost: {self.accepted - found}")
        for run, state, status, has_failure, lane_held in rows:
            known = self._states.get(run, "")
            self._hold(state == known, f"{run} stands at {state}, its events say {known!r}")
            if state == "held":
                self._hold(bool(lane_held), f"{run} is held and its lane is not")
            if state in ("failed", "skipped"):
                self._hold(has_failure and status, f"{run} ended as {state} without a reason")
            if (state == "running") != (run in self._live):
                raise BrokenInvariantError(f"{run} is {state}, live: {self._live.get(run)}")

    def finish(self) -> None:
        """The troubles are over and everything has come to its end: hold the whole to the rules."""
        self.look()
        for run, state in sorted(self._states.items()):
            self._hold(state in _TERMINAL, f"{run} never ends: it stands at {state}")
            if state == "succeeded":
                self._result_of(run)
        launcher = self._facility.launcher
        alive = [s.spec.name for s in launcher.all_sorts if s.is_alive and not s.is_cut_off]
        self._hold(not alive, f"still running, for nobody: {alive}")
        left = [name for name, sort in launcher.sorts.items() if sort.is_listed]
        self._hold(not left, f"never cleared away: {left}")

    def moving(self) -> bool:
        """Whether a run will go on by itself, and needs no lane to be released."""
        return bool(self._one(_MOVING))

    def held(self) -> bool:
        """Whether a lane is held."""
        return bool(self._one("SELECT 1 FROM hold LIMIT 1"))

    def _result_of(self, run: str) -> None:
        result = json.loads(self._one("SELECT result FROM run WHERE run_id = ?", run))
        store = self._facility.world.artifacts
        pointer = json.loads(store.get_bytes(pointer_key(run)))
        names = {"sort": "sort_prefix", "curate": "curation_prefix", "report": "report_prefix"}
        for key, name in names.items():
            self._hold(
                pointer.get(key) == result.get(name),
                f"{run} points at {pointer.get(key)}, its record names {result.get(name)}",
            )
        for name in ("sort_prefix", "curation_prefix"):
            try:
                verify_prefix(store, result[name])
            except (ArtifactDamagedError, ArtifactMissingError) as error:
                raise BrokenInvariantError(f"{run} has succeeded, and {error}") from error
        owner, _, place = result["sort_prefix"].partition("/attempts/")
        stage, _, number = place.rpartition("-")
        state = self._one(
            "SELECT state FROM attempt WHERE run_id = ? AND stage = ? AND number = ?",
            owner.removeprefix("runs/"), stage, int(number),
        )  # fmt: skip
        self._hold(state == "succeeded", f"{run} has the result of an attempt that {state}")

    def _one(self, query: str, *values: Any) -> Any:
        row = self._records.execute(query, values).fetchone()
        return None if row is None else row[0]

    def _hold(self, held: Any, otherwise: str) -> None:
        if not held:
            raise BrokenInvariantError(otherwise)

    def close(self) -> None:
        self._records.close()


def _short(run_id: str) -> str:
    return run_id.removeprefix("run-")[:6]
