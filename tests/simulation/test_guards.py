"""Each guard of the controller is taken away, and the simulator notices what is lost without it.

``GUARDS`` is the list. Some losses are guarded twice (a controller that was replaced meets the
epoch, and the version of the run); such guards are taken away together.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from spikefleet.controller import conclude, judge
from spikefleet.controller.orphans import Orphans
from spikefleet.controller.queue import SortQueue
from spikefleet.controller.reconcile import Reconciler
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.policy import decide
from spikefleet.core.runs import LeaseAnswer
from spikefleet.infra.stores.sql import database, run_rows, runs
from spikefleet.infra.stores.sql.tables import RUN
from tests.simulation.plan import RunPlan, Schedule, SortEnd, Trouble
from tests.simulation.simulation import play

F = FailureCode
Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Guard:
    """What it is for, how it is taken away, and the troubles in which it is needed."""

    sentence: str
    take_away: Callable[[Patch], object]
    needed_in: Schedule


def plan(index: int, *sorts: SortEnd, **more: Any) -> RunPlan:
    values = {"at_s": 0.0, "preset": "mountainsort5", "owner": "uid:1", "recording": index}
    return RunPlan(index=index, sorts=sorts, **{**values, **more})


def says(code: FailureCode, takes_s: float = 20.0) -> SortEnd:
    return SortEnd("says", takes_s, code)


def of(*plans: RunPlan, troubles: tuple[Trouble, ...] = ()) -> Schedule:
    return Schedule(0, plans, troubles)


CRASHES = plan(0, *[says(F.SORTER_CRASH)] * 9)
FINE = SortEnd("success", 20.0)


def lost_at_once(reconciler: Reconciler, run: Any, attempt: Any) -> bool:
    reconciler._missed.add(attempt.name)
    return MISS(reconciler, run, attempt)


MISS = Reconciler._miss


def with_consent(code: Any, retry: Any, policy: Any, context: Any) -> Any:
    return decide._ladder(code, retry, replace(policy, allow_result_affecting=True), context)


def unread(connection: Any, run: Any, values: Any) -> Any:
    here = RUN.c.run_id == run.run_id
    connection.execute(RUN.update().where(here).values(**values, version=run.version + 1))
    return run_rows.read_run(connection, run.run_id)


def by_anyone(patch: Patch) -> None:
    patch.setattr(database, "check_epoch", lambda connection, held: None)
    patch.setattr(run_rows, "write_columns", unread)
    patch.setattr(runs, "write_columns", unread)


def to_anyone(connection: Any, attempt: Any, holder: str, terms: Any) -> LeaseAnswer:
    del connection
    return LeaseAnswer(None, holder, attempt.number, terms.duration_s)


GUARDS = (
    Guard(
        "a result counts only when its manifest is complete",
        lambda patch: patch.setattr(judge, "_complete", lambda verify: (True, "")),
        of(plan(0, SortEnd("torn", 20.0))),
    ),
    Guard(
        "retries are counted",
        lambda patch: patch.setattr(decide, "used", lambda history, budget: 0),
        of(CRASHES),
    ),
    Guard(
        "only what a release repairs is forgiven",
        lambda patch: patch.setattr(conclude, "_was_mended", lambda run, past: True),
        of(CRASHES),
    ),
    Guard(
        "steps that can change spikes need consent",
        lambda patch: patch.setitem(decide._ANSWERS, "parameters", with_consent),
        of(plan(0, *[says(F.PARAMETER_SENSITIVE)] * 3, preset="kilosort4")),
    ),
    Guard(
        "an attempt is lost only when two looks have missed it",
        lambda patch: patch.setattr(Reconciler, "_miss", lost_at_once),
        of(plan(0, sort_s=2000.0), troubles=(Trouble(300.0, "overlooked"),)),
    ),
    Guard(
        "a controller that was replaced writes nothing",
        by_anyone,
        of(
            *[plan(index, says(F.SORTER_CRASH)) for index in range(4)],
            troubles=tuple(
                Trouble(1.0, "between", f"{point}/rival", nth)
                for point in ("attempt.intended", "attempt.judged", "stage.answered")
                for nth in (1, 3, 5)
            ),
        ),
    ),
    Guard(
        "a held lane starts nothing",
        lambda patch: patch.setattr(SortQueue, "is_closed", lambda queue, run: False),
        of(plan(0, says(F.LICENSE_UNAVAILABLE, 1.0)), plan(1, starts=("unreachable",))),
    ),
    Guard(
        "one attempt of a run may write at a time",
        lambda patch: patch.setattr(runs, "take_lease", to_anyone),
        of(plan(0, SortEnd("vanished_alive", 2000.0), sort_s=400.0)),
    ),
    Guard(
        "what an ended attempt left is cleared away, although the controller died before",
        lambda patch: patch.setattr(Orphans, "sweep", lambda orphans, live, seen: None),
        of(plan(0), troubles=(Trouble(1.0, "crash", "end.committed", 2),)),
    ),
    Guard(
        "a finished result is given back when a retry fails",
        lambda patch: patch.setattr(conclude, "has_kept", lambda run: False),
        of(
            plan(0, FINE, *[says(F.SORTER_CRASH)] * 3),
            troubles=(Trouble(1500.0, "retry", "force", run=0),),
        ),
    ),
)  # fmt: skip


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.sentence)
def test_the_simulator_notices_a_guard_that_is_gone(guard: Guard, monkeypatch: Patch) -> None:
    assert not play(guard.needed_in).broken
    guard.take_away(monkeypatch)
    assert play(guard.needed_in).broken
