"""One simulated facility: a world, real records in memory, and one or two real controllers."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sqlalchemy import Connection

from spikefleet.controller.conclude import Conclusions
from spikefleet.controller.fail_points import FailPoint
from spikefleet.controller.outcome_counts import OutcomeCounts
from spikefleet.controller.reconcile import ReconcileParts, Reconciler
from spikefleet.controller.sort_spec import SortLimits, SortSpecs
from spikefleet.controller.stage_threads import StageResult, StageThreads
from spikefleet.controller.wishes import Wishes
from spikefleet.core.attempts import Stage
from spikefleet.core.config import SortingConfig, resolve
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure, StorageUnavailableError
from spikefleet.core.policy.decide import Policy
from spikefleet.core.policy.sizes import SizeRange, SorterMachine
from spikefleet.core.rooms.wishes import BatchWish
from spikefleet.core.runs import Attempt, Run
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName, digest_manifest
from spikefleet.core.text import GIB
from spikefleet.infra.launchers.base import LauncherUnreachableError
from spikefleet.infra.metrics import Metrics
from spikefleet.infra.stores.bytes.artifacts import write_manifest
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.epochs import StaleControllerError
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.run_access import RunAccess
from spikefleet.infra.stores.sql.runs import LeaseTerms, RunStore
from tests.simulation.plan import RunPlan
from tests.simulation.sorts import LEASE_S, SimulatedLauncher
from tests.simulation.world import BrokenInvariantError, SimulatedCrash, World, WorldExecutor

#: what a controller may meet; anything else that it meets is its own mistake
EXPECTED = (StorageUnavailableError, StaleControllerError, LauncherUnreachableError)
_MACHINE = SizeRange(
    memory_bytes=8 * GIB,
    most_memory_bytes=20 * GIB,
    scratch_bytes=10 * GIB,
    most_scratch_bytes=30 * GIB,
    gpu_classes=("small", "large"),
)


class FaultyDatabase(Database):
    """A database whose writes fail on demand. ``fault`` names what befalls the next write."""

    def __init__(self, url: str, fault: Callable[[], str]) -> None:
        super().__init__(url)
        self._fault = fault

    @contextmanager
    def write(self) -> Iterator[Connection]:
        fault = self._fault()
        if fault == "refused":
            raise self._error()
        with super().write() as connection:
            yield connection
            if fault == "crash_before":
                raise SimulatedCrash(fault)
            if fault == "rolled_back":
                raise self._error()
        if fault == "crash_after":
            raise SimulatedCrash(fault)
        if fault == "unanswered":
            raise self._error()

    def _error(self) -> StorageUnavailableError:
        return StorageUnavailableError("simulated", store=self.name, operation="write")


@cache
def resolved(preset: str, overrides: tuple[tuple[str, object], ...]) -> SortingConfig:
    return resolve(preset, dict(overrides))


@cache
def _policy(allow_result_affecting: bool) -> Policy:
    document = {"execution": {"allow_result_affecting": allow_result_affecting}}
    return Policy.from_config(document)


def policy_of(run: Run) -> Policy:
    return _policy(bool(run.config["execution"]["allow_result_affecting"]))


def machine_of(backend: str) -> SorterMachine:
    del backend
    return SorterMachine(_MACHINE, has_gpu=True, cpus=2)


class SimulatedController:
    """One life of a controller's process: everything it has in memory is new."""

    def __init__(self, facility: Facility, name: str) -> None:
        world = facility.world
        self.name, self.is_replaced = name, False
        self.database = FaultyDatabase(facility.url, facility.next_fault)
        self.database.on_replaced = self._replaced
        self.database.take_epoch(name, world.wall)
        self.runs = RunStore(self.database, world.wall, LeaseTerms(LEASE_S, world.steady))
        self.wishes = Wishes(self.runs, RecordingStore(self.database))
        sizes = machine_of if facility.in_cluster else None
        specs = SortSpecs(
            RecordingStore(self.database),
            world.artifacts.url,
            "",
            SortLimits(gpus=1, memory_limit_bytes=0 if facility.in_cluster else 8 * GIB),
            machine_of=sizes,
        )

        def passes(point: FailPoint) -> None:
            facility.at_point(self, point)

        executor = WorldExecutor(world)
        conclusions = Conclusions(
            self.runs,
            world.artifacts,
            OutcomeCounts(facility.metrics, world.wall),
            policy=policy_of,
            clock=world.wall,
            memory_limit_bytes=specs.limits.memory_limit_bytes,
            machine_of=sizes,
            passes=passes,
        )
        self.reconciler = Reconciler(
            ReconcileParts(
                runs=self.runs,
                access=RunAccess(self.database),
                artifacts=world.artifacts,
                launcher=facility.launcher,
                calls=StageThreads(facility.call, wake=lambda: None, pool=executor),
                specs=specs,
                conclusions=conclusions,
                clock=world.wall,
                on_error=facility.on_error,
                on_round=lambda: None,
                aside=lambda work: executor.submit(work) and None,
                passes=passes,
            )
        )

    def _replaced(self) -> None:
        self.is_replaced = True

    def close(self) -> None:
        self.database.close()


class Facility:
    """The world with its records. ``folder`` is best in memory; ``template`` is a new database."""

    def __init__(self, folder: Path, template: Path, *, in_cluster: bool, slots: int) -> None:
        self.world = World()
        self.in_cluster = in_cluster
        self.path = folder / "state.db"
        shutil.copyfile(template, self.path)
        self.url = f"sqlite:///{self.path}"
        self.metrics = Metrics()
        #: the door of a controller that always answers: where sorts report
        self.clean = Database(self.url)
        self.door = RunStore(self.clean, self.world.wall, LeaseTerms(LEASE_S, self.world.steady))
        self.recordings = RecordingStore(self.clean)
        self.may_start: Callable[[str], None] = lambda run_id: None
        self.launcher = SimulatedLauncher(
            self.world, self.door, slots, lambda spec: self.may_start(spec.run_id)
        )
        self.at_point: Callable[[SimulatedController, FailPoint], None] = lambda who, point: None
        self.faults: dict[int, str] = {}
        self.writes = 0
        self.quiet = False

    def next_fault(self) -> str:
        self.writes += 1
        return self.faults.pop(self.writes, "") if self.faults else ""

    def on_error(self) -> None:
        """A step of a run failed: of what may happen, or by a mistake of the controller's."""
        error = sys.exc_info()[1]
        if not isinstance(error, EXPECTED):
            raise BrokenInvariantError(f"a step broke: {error!r}") from error

    def wish(self, plan: RunPlan) -> BatchWish:
        """The submission of a plan; its recording is registered."""
        name = f"r{plan.recording}"
        files = (ManifestFile("recording.bin", 7, f"{plan.recording:064x}"),)
        recording = Recording(
            recording_id=f"rec-{name}",
            name=RecordingName("lab", "monday", name),
            files=files,
            digest=digest_manifest(files),
            location=f"/{name}",
            in_place=True,
        )
        recording_id = self.recordings.add(recording).recording_id
        return BatchWish(
            [(recording_id, "")],
            resolved(plan.preset, plan.overrides),
            idempotency_key=f"key-{plan.index}",
            owner=plan.owner,
        )

    def call(self, run: Run, attempt: Attempt) -> StageResult:
        """What a room answers; a room writes under its attempt's prefix."""
        plan = self.world.plans[run.run_id]
        planned = {
            Stage.PREFLIGHT: plan.preflights,
            Stage.CURATE: plan.curations,
            Stage.REPORT: plan.reports,
        }[attempt.stage]
        nth = self.world.nth(run.run_id, str(attempt.stage))
        met = planned[nth] if nth < len(planned) and not self.quiet else ""
        if met == "broken":
            raise RuntimeError("the room broke")
        if met == "unreachable":
            return StageResult(failure=self._failure(FailureCode.LOST, attempt, "room.unreachable"))
        if met == "unanswered":  # it did its part, and its answer was lost
            self._write(attempt)
            return StageResult(failure=self._failure(FailureCode.LOST, attempt, "room.unreachable"))
        if met:
            code = FailureCode(met)
            return StageResult(failure=self._failure(code, attempt, "preflight.simulated"))
        prefix = attempt.place.prefix
        match attempt.stage:
            case Stage.PREFLIGHT:
                estimate = {"memory_bytes": 6 * GIB, "scratch_bytes": 9 * GIB}
                return StageResult({"preflight": {"estimate": estimate, "input_bytes": 7}})
            case Stage.CURATE:
                self._write(attempt)
                result = {"curation_prefix": prefix, "n_units_sorted": 3, "n_units_curated": 2}
                return StageResult(result, pointer=prefix)
            case _:
                self._write(attempt)
                return StageResult({"report_prefix": prefix}, pointer=prefix)

    def _write(self, attempt: Attempt) -> None:
        store, prefix = self.world.artifacts, attempt.place.prefix
        file = store.put_bytes(f"{prefix}/result.json", attempt.name.encode())
        write_manifest(store, prefix, [file])

    def _failure(self, code: FailureCode, attempt: Attempt, rule_id: str) -> Failure:
        return Failure(code, "It was simulated.", stage=str(attempt.stage), rule_id=rule_id)

    def close(self) -> None:
        self.clean.close()
        for path in self.path.parent.glob("state.db*"):
            path.unlink()
