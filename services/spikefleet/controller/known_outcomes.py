"""Every series of outcomes that a controller may count, by its known labels.

They are shown at zero from the start: Prometheus sees no increase in a series that appears with
its first event, and a first event is what alerts are for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spikefleet.controller.estimates import RESOURCES
from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode, RunStatus
from spikefleet.core.findings.catalogue import FINDINGS, FindingPlace
from spikefleet.core.policy.decide import possible_actions
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.infra import telemetry
from spikefleet.infra.telemetry import Series

CANARY_STATES = frozenset(
    {"skipped", "remembered", "passed", "inconclusive", "blocked", "interrupted"}
)
_ON_THE_MACHINE = frozenset({FindingPlace.NODE, FindingPlace.BOTH})

Labels = Mapping[str, str]


def known_outcomes() -> Iterator[tuple[Series, Labels]]:
    """Return every counter and histogram of outcomes with labels that are ours to know.

    Of the time from submission to result only that of successes: nothing is asked of the others.
    """
    for backend in BACKENDS:
        yield from _of_sorter(backend)


def _of_sorter(backend: str) -> Iterator[tuple[Series, Labels]]:
    own = {"backend": backend}
    yield telemetry.SORTED_SECONDS, own
    yield telemetry.QUEUE_WAIT, own
    yield telemetry.RUN_DURATION, own | {"status": str(RunStatus.SUCCESS)}
    for status in RunStatus:
        yield telemetry.RUNS_ENDED, own | {"status": str(status)}
    for resource in RESOURCES:
        yield telemetry.PROJECTION_RATIO, own | {"resource": resource}
    for state in sorted(CANARY_STATES):
        yield telemetry.CANARIES_ENDED, own | {"state": state}
    for row in FINDINGS:
        if row.place in _ON_THE_MACHINE:
            for level in row.levels.split(", "):
                yield telemetry.NODE_FINDINGS, own | {"level": level, "finding": row.code}
    for stage in Stage:
        yield telemetry.STAGE_DURATION, own | {"stage": str(stage)}
        for code, decision in _ends(stage):
            ended = {"stage": str(stage), "code": code, "decision": decision}
            yield telemetry.ATTEMPTS_ENDED, own | ended


def _ends(stage: Stage) -> Iterator[tuple[str, str]]:
    """Code and decision of every end of an attempt; a report that fails ends no run."""
    yield "none", "end" if stage is Stage.REPORT else "next"
    for code in FailureCode:
        actions = ("retry_same", "end") if stage is Stage.REPORT else possible_actions(code)
        for action in sorted(actions):
            yield str(code), str(action)
