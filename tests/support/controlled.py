"""A controller on a folder: real records, artifacts and processes; rooms are small functions.

``rebuild`` forgets everything that is only in memory, as a restart of the service would.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import spikefleet
from spikefleet.controller.attempt_logs import AttemptLogs
from spikefleet.controller.conclude import Conclusions
from spikefleet.controller.outcome_counts import OutcomeCounts
from spikefleet.controller.reconcile import ReconcileParts, Reconciler
from spikefleet.controller.sort_spec import SortLimits, SortSpecs
from spikefleet.controller.stage_threads import Call, StageResult, StageThreads
from spikefleet.controller.wishes import Wishes
from spikefleet.core.attempts import Stage
from spikefleet.core.config import resolve
from spikefleet.core.policy.decide import Policy
from spikefleet.core.policy.sizes import SorterMachine
from spikefleet.core.rooms.wishes import BatchWish
from spikefleet.core.runs import Attempt, Run, RunEvent, RunState
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName, digest_manifest
from spikefleet.infra.launchers.base import Launcher, Phase, Slots
from spikefleet.infra.launchers.process import ProcessLauncher
from spikefleet.infra.metrics import Metrics
from spikefleet.infra.stores.bytes.artifacts import pointer_key
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.run_access import RunAccess
from spikefleet.infra.stores.sql.runs import LeaseTerms, RunStore

# A checkout beside the installed one tests its own package, in the toy sorts as well.
PACKAGE_ROOT = str(Path(spikefleet.__file__).parents[1])
TOY_SORT = Path(__file__).with_name("toy_sort.py")


class SkippingClock:
    """Now, and what was skipped so far."""

    def __init__(self) -> None:
        self._skipped = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._skipped

    def skip(self, seconds: float) -> None:
        self._skipped += timedelta(seconds=seconds)


def willing(run: Run, attempt: Attempt) -> StageResult:
    """Every room does its part."""
    prefix = attempt.place.prefix
    match attempt.stage:
        case Stage.PREFLIGHT:
            return StageResult({"preflight": {"stream": {"duration_s": 60.0}}})
        case Stage.CURATE:
            result = {"curation_prefix": prefix, "n_units_sorted": 3, "n_units_curated": 2}
            return StageResult(result, pointer=prefix)
        case _:
            return StageResult({"report_prefix": prefix}, pointer=prefix)


def answering(answers: Mapping[tuple[Stage, int], StageResult]) -> Call:
    """Rooms that are willing but for the attempts named (stage and number)."""
    return lambda run, attempt: (
        answers.get((attempt.stage, attempt.number)) or willing(run, attempt)
    )


@dataclass
class Controlled:
    """The parts of one controller. ``plan`` is the toy sort's.

    ``launch`` makes another launcher than that of processes, ``machine_of`` tells what it has.
    """

    folder: Path
    plan: str = "succeed"
    call: Call = willing
    cpu_slots: int = 2
    memory_limit_bytes: int = 0
    launch: Callable[[Controlled], Launcher] | None = None
    machine_of: Callable[[str], SorterMachine] | None = None
    clock: SkippingClock = field(default_factory=SkippingClock)
    errors: int = 0
    rounds: int = 0

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        self.rebuild()

    def rebuild(self) -> None:
        """Start again with nothing but what is on disk."""
        if hasattr(self, "calls"):
            self.calls.close()
            self.database.close()
        self.database = Database(f"sqlite:///{self.folder / 'spikefleet.db'}")
        self.database.migrate()
        self.runs = RunStore(self.database, self.clock, LeaseTerms(clock=self.clock))
        self.access = RunAccess(self.database)
        self.recordings = RecordingStore(self.database)
        self.wishes = Wishes(self.runs, self.recordings)
        self.artifacts = LocalArtifacts(self.folder / "artifacts")
        self.launcher = self.launch(self) if self.launch else self._processes()
        self.calls = StageThreads(self.call, wake=lambda: None)
        self.logs = AttemptLogs(self.runs, self.artifacts, self.launcher.read_log)
        limits = SortLimits(memory_limit_bytes=self.memory_limit_bytes)
        conclusions = Conclusions(
            self.runs,
            self.artifacts,
            OutcomeCounts(self.metrics, self.clock),
            policy=lambda run: Policy.from_config(run.config),
            clock=self.clock,
            memory_limit_bytes=self.memory_limit_bytes,
            machine_of=self.machine_of,
        )
        specs = SortSpecs(
            self.recordings, self.artifacts.url, "", limits, machine_of=self.machine_of
        )
        self.reconciler = Reconciler(
            ReconcileParts(
                runs=self.runs,
                access=self.access,
                artifacts=self.artifacts,
                launcher=self.launcher,
                calls=self.calls,
                specs=specs,
                conclusions=conclusions,
                clock=self.clock,
                on_error=self._count_error,
                on_round=self._count_round,
            )
        )

    def _processes(self) -> Launcher:
        return ProcessLauncher(
            self.folder / "attempts",
            Slots(self.cpu_slots, 0),
            environment={"PATH": "/usr/bin:/bin", "PYTHONPATH": PACKAGE_ROOT},
            command=lambda root: [sys.executable, "-P", str(TOY_SORT), self.plan, str(root)],
        )

    def submit(self, name: str = "a", *, preset: str = "kilosort4", **overrides: Any) -> str:
        """Make a run of a recording whose bytes are its name; return its id."""
        wish = BatchWish([(self.recording(name), "")], resolve(preset, overrides))
        return self.wishes.create_batch(wish).run_ids[0]

    def recording(self, name: str, *, missing: bool = False) -> str:
        """Register a recording; return its id."""
        files = (ManifestFile("recording.bin", 7, "0" * 63 + name[0]),)
        recording = Recording(
            recording_id=f"rec-{name}",
            name=RecordingName("lab", "monday", name),
            files=() if missing else files,
            digest=digest_manifest(() if missing else files),
            location=str(self.folder / name),
            in_place=True,
            missing=missing,
        )
        return self.recordings.add(recording).recording_id

    def step(self) -> bool:
        """One round; a run never has two processes or two live attempts, whatever happens."""
        moved = self.reconciler.step()
        runs = [attempt.run_id for attempt in self.runs.live_attempts()]
        assert len(runs) == len(set(runs))
        running = [n for n, o in self.launcher.observe().items() if o.phase is Phase.RUNNING]
        owners = [name.rpartition("-sort-")[0] for name in running]
        assert len(owners) == len(set(owners))
        return moved

    def drive(self, until: Callable[[], object], *, timeout_s: float = 30.0) -> None:
        """Go round until the condition holds; delays between retries are skipped."""
        deadline_s = time.monotonic() + timeout_s
        while not until():
            assert time.monotonic() < deadline_s, "waited in vain"
            if not self.step():
                if self.runs.counts_by_state()[RunState.WAITING]:
                    self.clock.skip(400)
                time.sleep(0.005)

    def drive_rounds(self, rounds: int) -> None:
        """Go round so often; no delay is skipped."""
        for _ in range(rounds):
            self.step()

    def finish(self, *run_ids: str) -> Run:
        """Drive until these runs have ended or are held; return the first of them."""
        self.drive(lambda: all(self.is_settled(run_id) for run_id in run_ids))
        return self.runs.get_run(run_ids[0])

    def is_settled(self, run_id: str) -> bool:
        run = self.runs.get_run(run_id)
        return run.is_terminal or run.state is RunState.HELD

    def await_sort(self, run_id: str) -> None:
        """Drive until the run's sort runs and has had time to say so."""
        self.drive(
            lambda: any(
                observation.heartbeat and run_id.removeprefix("run-") in name
                for name, observation in self.launcher.observe().items()
            )
        )

    def starts(self) -> list[dict[str, Any]]:
        """Every start of a sort, in order."""
        path = self.folder / "starts.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def attempts(self, run_id: str) -> list[str]:
        """A run's attempts as stage, number and end, in order."""
        return [f"{a.stage}-{a.number} {a.state}" for a in self.runs.attempts_of(run_id)]

    def decisions(self, run_id: str) -> list[RunEvent]:
        """The decisions taken about a run."""
        return [e for e in self.runs.events(run_id) if e.kind.startswith("decision.")]

    def current(self, run_id: str) -> dict[str, str]:
        """The run's pointer, without the token that guards it."""
        found: dict[str, str] = json.loads(self.artifacts.get_bytes(pointer_key(run_id)))
        assert found.pop("token") != ""
        return found

    def close(self) -> None:
        """End what still runs."""
        for name in self.launcher.observe():
            self.launcher.stop(name, grace_s=0)
        self.launcher.observe()
        self.calls.close()
        self.database.close()

    def _count_error(self) -> None:
        self.errors += 1

    def _count_round(self) -> None:
        self.rounds += 1


def check_history(controlled: Controlled, run_id: str) -> None:
    """Every change of state is an event, and the events lead without a gap to where it stands."""
    state = ""
    for event in controlled.runs.events(run_id):
        if event.to_state:
            assert event.from_state == state, event
            state = event.to_state
    assert state == controlled.runs.get_run(run_id).state
