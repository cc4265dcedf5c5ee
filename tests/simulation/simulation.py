"""Plays a schedule to its end: time goes on, troubles befall, controllers make their rounds.

The same schedule gives the same trace. After the last trouble everything goes well, lanes are
released, and every run must come to its end.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from spikefleet.controller.fail_points import FailPoint
from spikefleet.controller.wishes import (
    FinishedRunError,
    LiveRunError,
    UnreachedStageError,
)
from spikefleet.core.attempts import Stage
from spikefleet.core.rooms.wishes import RetryWish
from spikefleet.core.runs import IllegalMoveError
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.run_values import StaleRunError
from tests.simulation.facility import EXPECTED, Facility, SimulatedController
from tests.simulation.invariants import Invariants
from tests.simulation.plan import RunPlan, Schedule, Trouble
from tests.simulation.world import BrokenInvariantError, SimulatedCrash

ROUND_S = 30.0
_MOST_ROUNDS = 8_000
_REFUSALS = (LiveRunError, FinishedRunError, UnreachedStageError, IllegalMoveError, StaleRunError)


@dataclass(frozen=True)
class Played:
    """How a schedule went. ``broken`` "" means that every rule held."""

    schedule: Schedule
    broken: str
    trace: tuple[str, ...]
    rounds: int
    points: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Equal for equal traces."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:16]


class Simulation:
    """One schedule on one facility."""

    def __init__(self, schedule: Schedule, folder: Path, template: Path) -> None:
        self._schedule = schedule
        self._facility = Facility(
            folder, template, in_cluster=schedule.in_cluster, slots=schedule.slots
        )
        self._facility.at_point = self._at_point
        self.world = self._facility.world
        self._invariants = Invariants(self._facility)
        self._controllers: list[SimulatedController] = []
        self._lives = 0
        self._armed: list[tuple[str, list[int], Callable[[SimulatedController], None]]] = []
        self._run_ids: dict[int, str] = {}
        self._nested = False
        self.rounds = 0
        self.points: set[str] = set()

    def play(self) -> None:
        """Raise BrokenInvariantError where a rule does not hold."""
        for plan in self._schedule.runs:
            self.world.later(plan.at_s, partial(self._submit, plan))
        for trouble in self._schedule.troubles:
            self.world.later(trouble.at_s, partial(self._befall, trouble))
        self._start_controller()
        last_s = max([t.at_s for t in self._schedule.troubles] + [0.0])
        self._go_on(until=lambda: self._is_idle() and self.world.now_s > last_s)
        self._calm()
        for _ in range(20):
            self._go_on(until=self._is_idle)
            if not self._held():
                break
            self._release()
        self._go_on(until=lambda: self.world.next_s is None)
        for _ in range(3):  # leftovers of sorts that ended last
            self._round()
        self._invariants.finish()

    def close(self) -> None:
        for controller in self._controllers:
            controller.close()
        self._invariants.close()
        self._facility.close()

    # Time.

    def _go_on(self, until: Callable[[], bool]) -> None:
        pause_s = ROUND_S
        while not until():
            if self.rounds > _MOST_ROUNDS:
                raise BrokenInvariantError(f"{self.rounds} rounds and no end: {self._open()}")
            moved = self._round()
            pause_s = ROUND_S if moved else min(pause_s * 2, 900.0)
            next_s = self.world.next_s
            wake_s = self.world.now_s + pause_s
            if next_s is not None and next_s < wake_s:
                wake_s = max(next_s, self.world.now_s + ROUND_S)
                pause_s = ROUND_S
            self.world.go_to(wake_s)

    def _round(self) -> bool:
        self.rounds += 1
        moved = False
        for controller in list(self._controllers):
            if controller in self._controllers:
                moved |= self._step(controller)
        self._invariants.look()
        return moved

    def _step(self, controller: SimulatedController) -> bool:
        try:
            return controller.reconciler.step()
        except SimulatedCrash as crash:
            self._die(controller, str(crash))
        except EXPECTED:
            pass
        return False

    def _die(self, controller: SimulatedController, why: str) -> None:
        self.world.tell(f"controller {controller.name} dies at {why}")
        controller.close()
        self._controllers.remove(controller)
        if not self._controllers:
            self.world.later(7.0, self._start_controller)

    def _start_controller(self) -> None:
        self._lives += 1
        try:
            started = SimulatedController(self._facility, f"life-{self._lives}")
        except (SimulatedCrash, *EXPECTED):
            self.world.later(7.0, self._start_controller)
            return
        self.world.tell(f"controller {started.name} starts")
        self._controllers.append(started)

    # Troubles.

    def _befall(self, trouble: Trouble) -> None:
        world, where = self.world, trouble.where
        world.tell(f"trouble {trouble.kind} {where}")
        match trouble.kind:
            case "crash":
                self._arm(where, trouble.count, self._crash_at(where))
            case "between":
                point, _, what = where.partition("/")
                self._arm(point, trouble.count, lambda who: self._meanwhile(what, trouble))
            case "database":
                self._facility.faults[self._facility.writes + trouble.count] = where
            case "store_away":
                world.store_away_until_s = world.now_s + trouble.lasts_s
            case "launcher_away":
                world.launcher_away_until_s = world.now_s + trouble.lasts_s
            case "overlooked":
                self._facility.launcher.overlooked += 1
            case "clock":
                world.jumped_s += trouble.lasts_s
            case "rival":
                self._rival(trouble.lasts_s)
            case _:
                self._person(trouble.kind, trouble)

    def _crash_at(self, where: str) -> Callable[[SimulatedController], None]:
        def crash(_who: SimulatedController) -> None:
            raise SimulatedCrash(where)

        return crash

    def _arm(self, point: str, nth: int, what: Callable[[SimulatedController], None]) -> None:
        self._armed.append((point, [nth], what))

    def _at_point(self, who: SimulatedController, point: FailPoint) -> None:
        for entry in [entry for entry in self._armed if entry[0] == point]:
            entry[1][0] -= 1
            if entry[1][0] <= 0 and entry in self._armed:  # what was armed may have passed here
                self._armed.remove(entry)
                self.points.add(str(point))
                entry[2](who)

    def _meanwhile(self, what: str, trouble: Trouble) -> None:
        """Let somebody act in the middle of a controller's round."""
        if self._nested:
            return
        self._nested = True
        try:
            if what == "rival":
                self._rival(60.0)
                for controller in self._controllers[-1:]:
                    self._step(controller)
                    self._step(controller)
            else:
                self._person(what, trouble)
        finally:
            self._nested = False

    def _rival(self, overlap_s: float) -> None:
        """Another controller takes over; those before it do not notice for a while."""
        before = list(self._controllers)
        self._start_controller()
        for controller in before:
            self.world.later(overlap_s, partial(self._give_up, controller))

    def _give_up(self, controller: SimulatedController) -> None:
        if controller in self._controllers:
            self._die(controller, "having been replaced")

    def _calm(self) -> None:
        """From here on all goes well."""
        self._armed.clear()
        self._facility.faults.clear()
        self._facility.quiet = self._facility.launcher.quiet = True
        self._facility.launcher.overlooked = 0
        self.world.store_away_until_s = self.world.launcher_away_until_s = -1.0
        self.world.tell("calm")

    # People.

    def _submit(self, plan: RunPlan) -> None:
        wish = self._facility.wish(plan)
        consents = ("execution.allow_result_affecting", True) in plan.overrides
        try:
            batch = self._last().wishes.create_batch(wish)
        except (SimulatedCrash, *EXPECTED, IndexError) as error:
            self._after(error)
            self.world.later(11.0, partial(self._submit, plan))
            return
        for run_id in batch.run_ids:
            self.world.plans.setdefault(run_id, plan)
            self._run_ids[plan.index] = run_id
        self._invariants.accept(batch.run_ids, consents=consents)

    def _person(self, kind: str, trouble: Trouble) -> None:
        run_id = self._run_ids.get(trouble.run)
        try:
            if kind == "release":
                self._release()
            elif kind == "again":
                plan = next((p for p in self._schedule.runs if p.index == trouble.run), None)
                if plan is not None and run_id is not None:
                    self._last().wishes.create_batch(self._facility.wish(plan))
            elif run_id is None:
                return
            elif kind == "cancel":
                self._last().wishes.cancel(run_id, "simulated")
            elif kind == "retry":
                stage = Stage(trouble.where) if trouble.where in set(Stage) else None
                wish = RetryWish(run_id, stage=stage, force=trouble.where == "force")
                self._last().wishes.retry(wish)
        except _REFUSALS:
            pass
        except (SimulatedCrash, *EXPECTED, IndexError) as error:
            self._after(error)

    def _after(self, error: BaseException) -> None:
        if isinstance(error, SimulatedCrash) and self._controllers:
            self._die(self._last(), str(error))

    def _last(self) -> SimulatedController:
        return self._controllers[-1]

    def _release(self) -> None:
        for hold in self._facility.door.holds():
            self._last().wishes.release(hold.lane)

    # The end.

    def _held(self) -> bool:
        return self._invariants.held()

    def _is_idle(self) -> bool:
        """Nothing moves by itself any more; lanes may be held."""
        if len(self._run_ids) < len(self._schedule.runs):
            return False
        return not self._invariants.moving()

    def _open(self) -> dict[str, int]:
        return {str(k): n for k, n in self._facility.door.counts_by_state().items() if n}


@contextmanager
def _silence() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _in_memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@cache
def _template() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="simulation-", dir=_in_memory())
    _KEPT.append(folder)
    path = Path(folder.name) / "template.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def play(schedule: Schedule) -> Played:
    """Play a schedule; say what broke, and what happened in which order."""
    template = _template()
    with tempfile.TemporaryDirectory(prefix="simulated-", dir=_in_memory()) as folder, _silence():
        simulation = Simulation(schedule, Path(folder), template)
        broken = ""
        try:
            simulation.play()
        except BrokenInvariantError as error:
            broken = str(error)
            simulation.world.tell(f"BROKEN {broken}")
        finally:
            simulation.close()
        return Played(
            schedule, broken, tuple(simulation.world.trace), simulation.rounds,
            tuple(sorted(simulation.points)),
        )  # fmt: skip
