"""What will happen in one simulated facility: data drawn from a seed, which can be cut smaller.

Every run and every event has its own source of chance, so that leaving some out leaves the others
as they were. Nothing happens here.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from spikefleet.controller.fail_points import FailPoint
from spikefleet.core.failures.codes import FAILURES, FailureCategory, FailureCode
from spikefleet.core.sorters.catalogue import BACKENDS

#: how a simulated sort may end, beside a failure that it names itself (``says``)
OUTSIDE_ENDS = (
    "oom_killed",  # by the kernel
    "disrupted",  # its node was wanted by others
    "disrupted_after_success",  # and it had finished
    "queue",  # its queue took the place back
    "node_lost",  # nobody sees it any more; it goes on, cut off
    "vanished",  # not listed any more, and dead
    "vanished_alive",  # not listed any more, and it goes on
    "nothing",  # exit code 0 and no result
    "torn",  # a manifest that lists a file which is not there
    "foreign",  # the outcome of another attempt
    "deadline",
    "scratch_limit",
    "unknown_exit",
    "refused_by_node",
    "image",
)
#: how a start may go wrong; those ending in ``_started`` have started the sort all the same
START_TROUBLES = (
    "no_slot",
    "refused",
    "unreachable",
    "unreachable_started",
    "os_error",
    "os_error_started",
    "name_conflict",
)
ROOM_TROUBLES = ("unreachable", "broken", "unanswered")
DATABASE_FAULTS = ("refused", "rolled_back", "unanswered", "crash_before", "crash_after")
_WHO_ACTS = ("rival", "cancel", "retry", "release")
_OF_SORTS = tuple(row.code for row in FAILURES if row.exit_code is not None)
_OF_PREFLIGHT = tuple(
    row.code
    for row in FAILURES
    if row.category in (FailureCategory.BIOLOGICAL, FailureCategory.INPUT)
)
_OF_ROOMS = (FailureCode.HDF5_PLUGIN_MISSING, FailureCode.STORAGE_UNAVAILABLE)
_PRESETS = tuple(
    name for name in ("kilosort4", "spykingcircus2", "mountainsort5") if name in BACKENDS
)


@dataclass(frozen=True)
class SortEnd:
    """One attempt: how it ends, after how long."""

    kind: str
    takes_s: float
    code: FailureCode | None = None


@dataclass(frozen=True)
class RunPlan:
    """One submission, and what its attempts meet; when the lists are used up all goes well."""

    index: int
    at_s: float
    preset: str
    owner: str
    recording: int
    overrides: tuple[tuple[str, object], ...] = ()
    sorts: tuple[SortEnd, ...] = ()
    starts: tuple[str, ...] = ()
    preflights: tuple[FailureCode | str, ...] = ()
    curations: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()
    sort_s: float = 60.0


@dataclass(frozen=True)
class Trouble:
    """Something that befalls the facility at a time. What the fields mean is the kind's matter."""

    at_s: float
    kind: str
    where: str = ""
    count: int = 1
    lasts_s: float = 0.0
    run: int = -1


@dataclass(frozen=True)
class Schedule:
    """Everything that will happen."""

    seed: int
    runs: tuple[RunPlan, ...]
    troubles: tuple[Trouble, ...]
    in_cluster: bool = False
    slots: int = 4

    def cut(self, runs: tuple[RunPlan, ...], troubles: tuple[Trouble, ...]) -> Schedule:
        """The same with less."""
        return replace(self, runs=runs, troubles=troubles)

    def told(self) -> str:
        """In lines, for a person who looks for the cause."""
        head = f"seed {self.seed}: {len(self.runs)} runs, {len(self.troubles)} troubles"
        place = "a cluster" if self.in_cluster else "one machine"
        lines = [f"{head}, {place}, {self.slots} slots of each kind"]
        return "\n".join([*lines, *map(str, self.runs), *map(str, self.troubles)])


@dataclass
class _Draw:
    """Chance of one thing."""

    chance: random.Random
    span_s: float = field(default=3000.0)

    def sort_end(self) -> SortEnd:
        takes_s = self.chance.choice((1.0, 20.0, 60.0, 300.0, 1500.0))
        if self.chance.random() < 0.55:
            kind = self.chance.choice(("says", "says", "exit"))
            return SortEnd(kind, takes_s, self.chance.choice(_OF_SORTS))
        return SortEnd(self.chance.choice(OUTSIDE_ENDS), takes_s)

    def run(self, index: int) -> RunPlan:
        chance = self.chance
        troubled = chance.random() < 0.6
        n_ends = chance.choice((1, 1, 2, 3, 5, 8)) if troubled else 0
        ends = tuple(self.sort_end() for _ in range(n_ends))
        if ends and chance.random() < 0.3:  # one cause again and again
            ends = (ends[0],) * n_ends
        overrides: tuple[tuple[str, object], ...] = ()
        if chance.random() < 0.2:
            overrides = (("execution.allow_result_affecting", True),)
        if chance.random() < 0.2:
            overrides += (("curation.snr_min", chance.choice((4.0, 6.0))),)
        return RunPlan(
            index=index,
            at_s=chance.random() * self.span_s * 0.6,
            preset=chance.choice(_PRESETS),
            owner=chance.choice(("uid:1", "uid:2", "uid:3")),
            recording=index if chance.random() < 0.8 else chance.randrange(index + 1),
            overrides=overrides,
            sorts=ends,
            starts=tuple(
                chance.choice(START_TROUBLES) for _ in range(chance.choice((0, 0, 0, 0, 1, 2)))
            ),
            preflights=self._some((*_OF_PREFLIGHT, *_OF_ROOMS, *ROOM_TROUBLES), 0.15),
            curations=self._some(ROOM_TROUBLES, 0.15),
            reports=self._some(ROOM_TROUBLES, 0.15),
            sort_s=chance.choice((5.0, 60.0, 400.0)),
        )

    def _some(self, of: tuple[object, ...], share: float) -> tuple[object, ...]:  # type: ignore[type-arg]
        if self.chance.random() >= share:
            return ()
        return tuple(self.chance.choice(of) for _ in range(self.chance.choice((1, 1, 2, 4))))

    def trouble(self, runs: int) -> Trouble:
        chance = self.chance
        at_s = chance.random() * self.span_s
        kind = chance.choice(
            ("crash", "crash", "crash", "database", "database", "store_away", "launcher_away",
             "clock", "rival", "rival", "cancel", "cancel", "retry", "retry", "release", "again",
             "between", "between", "overlooked")
        )  # fmt: skip
        run, count = chance.randrange(runs), chance.choice((1, 1, 2, 5, 9))
        lasts_s = chance.choice((0.0, 5.0, 60.0, 600.0))
        where = ""
        match kind:
            case "crash":
                where = str(chance.choice(tuple(FailPoint)))
            case "database":
                where, count = chance.choice(DATABASE_FAULTS), chance.randrange(1, 60)
            case "between":
                point, who = chance.choice(tuple(FailPoint)), chance.choice(_WHO_ACTS)
                where = f"{point}/{who}"
            case "clock":
                lasts_s = chance.choice((-7200.0, -60.0, -1.0, 1.0, 60.0, 7200.0))
            case "retry":
                where = chance.choice(("", "sort", "curate", "force"))
            case _:
                pass
        return Trouble(at_s, kind, where, count, lasts_s, run)


def draw(seed: int, n_runs: int = 50, n_troubles: int | None = None) -> Schedule:
    """Return the schedule of a seed; the same arguments give the same one."""
    whole = random.Random(f"{seed}")
    if n_troubles is None:
        n_troubles = whole.choice((0, 4, 10, 20))
    runs = tuple(_Draw(random.Random(f"{seed}/run/{i}")).run(i) for i in range(n_runs))
    troubles = tuple(
        _Draw(random.Random(f"{seed}/trouble/{i}")).trouble(n_runs) for i in range(n_troubles)
    )
    return Schedule(
        seed=seed,
        runs=runs,
        troubles=tuple(sorted(troubles, key=lambda t: t.at_s)),
        in_cluster=whole.random() < 0.5,
        slots=whole.choice((1, 3, 8)),
    )
