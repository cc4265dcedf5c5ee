"""Two processes on one run: real runners, a real controller's door, and one result."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.contracts.run_store import fail, seed
from tests.contracts.run_store_leases import SetClock
from tests.support.about_runs import about_runs
from tests.support.attempts import RunningAttempt, make_spec, start_attempt, wait_for
from tests.support.serving import serving

from spikefleet.controller.attempt_logs import AttemptLogs
from spikefleet.controller.servicer import registrations
from spikefleet.controller.wishes import Wishes
from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.runs import Attempt, RunState
from spikefleet.infra.stores.bytes.artifacts import ArtifactMissingError, verify_prefix
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.infra.stores.bytes.verified import VerifiedBytes
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.run_access import RunAccess
from spikefleet.infra.stores.sql.runs import LeaseTerms, RunStore

LEASE_S = 60.0
CONCURRENT = 94


@dataclass
class Desk:
    """One run in a store whose door is served; attempts are started as the test says."""

    place: Path
    runs: RunStore
    access: RunAccess
    clock: SetClock
    address: str = ""

    def __post_init__(self) -> None:
        self.run_id = seed(self.runs).run_id
        self.artifacts = LocalArtifacts(self.place / "artifacts")
        self.started: list[RunningAttempt] = []

    def intend(self) -> Attempt:
        _, attempt = self.runs.intend_attempt(self.runs.get_run(self.run_id), Stage.SORT)
        return attempt

    def start(self, attempt: Attempt, behaviour: str, *, folder: str = "a") -> RunningAttempt:
        spec = make_spec(
            self.place,
            attempt.name,
            run_id=self.run_id,
            attempt_id=attempt.attempt_id,
            number=attempt.number,
            artifacts_url=self.artifacts.url,
            artifacts_prefix=self.prefix(attempt),
            report_address=self.address,
        )
        root = self.place / f"{attempt.name}-{folder}"
        self.access.keep_secret(attempt.attempt_id, "told")
        self.started.append(start_attempt(spec, behaviour, root, secret="told"))
        return self.started[-1]

    def lose(self, attempt: Attempt) -> None:
        """End the attempt as one that nobody saw end."""
        run = self.runs.get_run(self.run_id)
        ending = fail(AttemptState.FAILED, RunState.QUEUED)
        self.runs.finish_attempt(run, attempt, replace(ending, holder_may_live=True))

    def prefix(self, attempt: Attempt) -> str:
        return attempt.place.prefix

    def left_s(self) -> float:
        lease = self.runs.lease_of(self.run_id)
        return lease.left_s if lease is not None else 0.0

    def is_leased(self) -> bool:
        return self.left_s() > 0

    def results(self) -> list[str]:
        """Prefixes of sorts with a manifest, every byte verified."""
        found = []
        for attempt in self.runs.attempts_of(self.run_id):
            try:
                VerifiedBytes(self.artifacts).verify(self.prefix(attempt))
            except ArtifactMissingError:
                continue
            found.append(self.prefix(attempt))
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    database = Database(f"sqlite:///{tmp_path / 'runs.db'}")
    database.migrate()
    clock = SetClock()
    runs = RunStore(database, terms=LeaseTerms(LEASE_S, clock))
    wishes = Wishes(runs, RecordingStore(database))
    access = RunAccess(database)
    logs = AttemptLogs(runs, LocalArtifacts(tmp_path / "artifacts"), lambda *_: None)

    def doors(address: str):  # type: ignore[no-untyped-def]
        about = about_runs(database, logs, address)
        return registrations(runs, access, wishes, lambda: None, about)

    with serving(doors) as served:
        made = Desk(tmp_path, runs, access, clock, served.address)
        yield made
        for attempt in made.started:
            if attempt.process.poll() is None:
                attempt.process.send_signal(signal.SIGCONT)
                attempt.process.terminate()
                attempt.process.wait(20)
    database.close()


@pytest.mark.parametrize("has_controller", [True, False])
def test_of_two_processes_of_one_attempt_one_sorts(desk: Desk, has_controller: bool) -> None:
    desk.address = desk.address if has_controller else ""
    attempt = desk.intend()
    both = [desk.start(attempt, "succeed", folder=name) for name in ("a", "b")]
    outcomes = [process.finish() for process in both]
    assert sorted(outcome.exit_code for outcome in outcomes) == [0, CONCURRENT]
    [loser] = [outcome.failure for outcome in outcomes if outcome.failure]
    assert loser.code is FailureCode.CONCURRENT_SORT
    assert loser.evidence["reason"] == "other_process"
    assert loser.evidence["holder_pid"] in [process.process.pid for process in both]
    assert desk.results() == [desk.prefix(attempt)]


def test_a_second_process_in_one_folder_touches_nothing(desk: Desk) -> None:
    first = desk.start(desk.intend(), "succeed_when_told")
    first.child_pid()
    before = first.folder.started.read_bytes()
    root = first.folder.root
    (root / "cgroup" / "memory.events").unlink()
    (root / "cgroup").rmdir()
    spec = first.folder.spec.read_bytes()
    second = start_attempt(make_spec(desk.place), "succeed", root)
    first.folder.spec.write_bytes(spec)
    assert second.process.wait(20) == CONCURRENT
    assert first.folder.started.read_bytes() == before
    assert not first.folder.outcome.exists()
    (root / "go").touch()
    assert first.finish().exit_code == 0


def test_a_stopped_holder_that_wakes_late_cannot_overwrite_the_winner(desk: Desk) -> None:
    first = desk.intend()
    sleeper = desk.start(first, "succeed_when_told")
    child = sleeper.child_pid()
    os.kill(sleeper.process.pid, signal.SIGSTOP)
    desk.lose(first)
    too_early = desk.intend()
    refused = desk.start(too_early, "succeed").finish()
    assert refused.exit_code == CONCURRENT
    assert refused.failure is not None
    assert refused.failure.evidence["reason"] == "held"
    assert refused.failure.evidence["holder_pid"] == sleeper.process.pid
    assert 0 < refused.failure.evidence["wait_s"] <= LEASE_S
    desk.lose(too_early)
    desk.clock.skip(LEASE_S + 1)
    assert not desk.is_leased()
    winner = desk.intend()
    assert desk.start(winner, "succeed").finish().exit_code == 0
    # The child finishes while its parent sleeps, so that the parent wakes up before its upload.
    (sleeper.folder.root / "go").touch()
    wait_for(lambda: Path(f"/proc/{child}/stat").read_text().split()[2] == "Z")
    os.kill(sleeper.process.pid, signal.SIGCONT)
    late = sleeper.finish()
    assert late.exit_code == CONCURRENT
    assert late.failure is not None
    assert late.failure.evidence["reason"] == "superseded"
    assert desk.results() == [desk.prefix(winner)]
    with pytest.raises(ArtifactMissingError):
        verify_prefix(desk.artifacts, desk.prefix(first))
    [event] = [e for e in desk.runs.events(desk.run_id) if e.kind == "lease.reclaimed"]
    assert (event.body["old_token"], event.body["token"]) == (1, 3)
    assert f"/{sleeper.process.pid}/" in event.body["old_holder"]


def test_a_killed_holder_is_reclaimed_after_its_lease_and_not_before(desk: Desk) -> None:
    first = desk.intend()
    killed = desk.start(first, "sleep_quietly")
    child = killed.child_pid()
    killed.process.kill()
    killed.process.wait()
    os.kill(child, signal.SIGKILL)
    desk.lose(first)
    lease = desk.runs.lease_of(desk.run_id)
    assert lease is not None
    desk.clock.skip(lease.left_s - 0.5)
    second = desk.intend()
    assert desk.start(second, "succeed").finish().exit_code == CONCURRENT
    desk.lose(second)
    desk.clock.skip(0.5)
    assert desk.start(desk.intend(), "succeed").finish().exit_code == 0


def test_a_lease_is_renewed_for_as_long_as_the_sort_lasts(desk: Desk) -> None:
    running = desk.start(desk.intend(), "succeed_when_told")
    for _ in range(3):
        wait_for(lambda: desk.left_s() == LEASE_S)
        desk.clock.skip(LEASE_S - 1)
        assert desk.is_leased()
    (running.folder.root / "go").touch()
    assert running.finish().exit_code == 0


def test_a_controller_that_is_away_stops_nothing(desk: Desk) -> None:
    desk.address = "127.0.0.1:1"
    attempt = desk.intend()
    assert desk.start(attempt, "succeed").finish().exit_code == 0
    assert desk.results() == [desk.prefix(attempt)]
