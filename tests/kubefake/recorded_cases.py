"""Recorded cases of a real cluster, and what is compared with them: shapes and sequences.

A trace is made in the same way from a recorded watch and from the history of the fake. Times,
names, uids and addresses are not compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kubefake.store import Document

CASES = Path(__file__).parents[2].parent / "shared" / "data" / "kubernetes"
#: Of a pod's status: not made by the fake (no service account's volume).
_UNCOMPARED = frozenset({"volumeMounts"})
#: Of a pod's status: there or not in recordings of one and the same manifest.
_VARY = frozenset({".resources"})
_TERMINATED = ("exitCode", "reason", "message")


@dataclass
class PodTrace:
    """What was seen of one pod, in order, without repetitions."""

    phases: list[str] = field(default_factory=list)
    waiting: set[str] = field(default_factory=set)
    conditions: list[tuple[str, str, str]] = field(default_factory=list)
    reason: str = ""
    ended: list[Mapping[str, Any]] = field(default_factory=list)
    deleted: bool = False
    shape: list[str] = field(default_factory=list)


@dataclass
class JobTrace:
    """What was seen of one Job: its conditions in order, and its counters at the end."""

    conditions: list[tuple[tuple[str, str, str], ...]] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    deleted: bool = False
    shape: list[str] = field(default_factory=list)


@dataclass
class Trace:
    """All pods (oldest first) and Jobs (by name) of a case."""

    pods: list[PodTrace] = field(default_factory=list)
    jobs: dict[str, JobTrace] = field(default_factory=dict)
    events: set[tuple[str, str, str]] = field(default_factory=set)


def read_case(name: str) -> tuple[list[Document], Trace]:
    """The objects that were applied, and the trace of what followed."""
    applied = json.loads((CASES / name / "case.json").read_text(encoding="utf-8"))["applied"]
    lines = (CASES / name / "watch.jsonl").read_text(encoding="utf-8").splitlines()
    return applied, make_trace(_changes(json.loads(line) for line in lines))


def _changes(lines: Iterable[Document]) -> Iterator[tuple[str, Document]]:
    seen: set[tuple[str, str, str]] = set()
    for line in lines:
        found = line["object"]
        meta = found.get("metadata") or {}
        key = (line["type"], meta.get("uid", ""), meta.get("resourceVersion", ""))
        # A stream that was opened anew tells of everything again.
        if line["type"] in ("ADDED", "MODIFIED", "DELETED") and key not in seen:
            seen.add(key)
            yield line["type"], found


def make_trace(changes: Iterable[tuple[str, Document]]) -> Trace:
    """From (ADDED, MODIFIED or DELETED; object) in order of arrival."""
    trace = Trace()
    pods: dict[str, PodTrace] = {}
    for kind, found in changes:
        if found["kind"] == "Pod":
            uid = found["metadata"]["uid"]
            if uid not in pods:
                pods[uid] = PodTrace()
                trace.pods.append(pods[uid])
            _see_pod(pods[uid], kind, found)
        elif found["kind"] == "Job":
            name = found["metadata"]["name"]
            _see_job(trace.jobs.setdefault(name, JobTrace()), kind, found)
        elif found["kind"] == "Event":
            about = found["involvedObject"]["kind"]
            trace.events.add((about, found["type"], found["reason"]))
    return trace


def _see_pod(trace: PodTrace, kind: str, pod: Document) -> None:
    status = pod["status"]
    _append(trace.phases, status["phase"])
    trace.reason = status.get("reason", "")
    trace.deleted = kind == "DELETED"
    for one in status.get("containerStatuses", ()):
        if "waiting" in one["state"]:
            trace.waiting.add(one["state"]["waiting"]["reason"])
        if "terminated" in one["state"]:
            told = {k: v for k, v in one["state"]["terminated"].items() if k in _TERMINATED}
            if told not in trace.ended:
                trace.ended.append(told)
    for one in status.get("conditions", ()):
        said = (one["type"], one["status"], one.get("reason", ""))
        if said not in trace.conditions:
            trace.conditions.append(said)
    trace.shape = sorted(set(_paths(status, "")))


def _see_job(trace: JobTrace, kind: str, job: Document) -> None:
    status = job["status"]
    conditions = status.get("conditions", ())
    said = tuple((one["type"], one["status"], one.get("reason", "")) for one in conditions)
    if said:
        _append(trace.conditions, said)
    trace.deleted = kind == "DELETED"
    trace.counters = {
        name: status[name]
        for name in ("active", "ready", "succeeded", "failed")
        if status.get(name)
    }
    trace.shape = sorted(set(_paths(status, "")))


def _append(listed: list[Any], value: Any) -> None:
    if not listed or listed[-1] != value:
        listed.append(value)


def _paths(found: Any, path: str) -> Iterator[str]:
    if isinstance(found, Mapping):
        for key, value in found.items():
            if key not in _UNCOMPARED and f"{path}.{key}" not in _VARY:
                yield f"{path}.{key}"
                yield from _paths(value, f"{path}.{key}")
    elif isinstance(found, list):
        for one in found:
            kind = f"({one['type']})" if isinstance(one, Mapping) and "type" in one else ""
            yield from _paths(one, f"{path}[]{kind}")
