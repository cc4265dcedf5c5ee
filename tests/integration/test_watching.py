"""A watch is told by the store's bell, on either database; a slow poll tells it the rest."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contracts.run_store import seed
from tests.support.about_runs import about_runs
from tests.support.postgres import postgres_server, postgres_url
from tests.support.serving import serving

from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import RunUpdate
from spikefleet.controller import servicer
from spikefleet.controller.attempt_logs import AttemptLogs
from spikefleet.controller.wishes import Wishes
from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.runs import RunState
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.run_access import RunAccess
from spikefleet.infra.stores.sql.run_values import AttemptEnd
from spikefleet.infra.stores.sql.runs import RunStore

__all__ = ["postgres_server", "postgres_url"]  # fixtures


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'runs.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def served(url: str, tmp_path: Path) -> Iterator[tuple[RunStore, SortingClient]]:
    database = Database(url)
    database.migrate()
    runs, access = RunStore(database), RunAccess(database)
    wishes = Wishes(runs, RecordingStore(database))
    logs = AttemptLogs(runs, LocalArtifacts(tmp_path / "artifacts"), lambda *_: None)
    with (
        serving(
            lambda address: servicer.registrations(
                runs, access, wishes, lambda: None, about_runs(database, logs, address)
            )
        ) as server,
        SortingClient(server.address) as client,
    ):
        yield runs, client
    database.close()


class Watch:
    """The updates of one run, as they come."""

    def __init__(self, client: SortingClient, run_id: str) -> None:
        self.seen: list[tuple[float, RunUpdate]] = []
        self._thread = threading.Thread(target=self._follow, args=(client, run_id))
        self._thread.start()

    def _follow(self, client: SortingClient, run_id: str) -> None:
        for update in client.watch(run_id):
            self.seen.append((time.monotonic(), update))

    def await_updates(self, count: int) -> None:
        deadline_s = time.monotonic() + 20
        while len(self.seen) < count and time.monotonic() < deadline_s:
            time.sleep(0.01)
        assert len(self.seen) >= count

    def join(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()


def test_an_update_arrives_at_once(
    served: tuple[RunStore, SortingClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servicer, "_WATCH_POLL_S", 60.0)  # whatever comes sooner was the bell
    runs, client = served
    run, attempt = runs.intend_attempt(seed(runs), Stage.SORT)
    watch = Watch(client, run.run_id)
    watch.await_updates(1)
    said_s = time.monotonic()
    runs.hear(attempt.attempt_id, {"fraction": 0.5})
    watch.await_updates(2)
    heard_s, update = watch.seen[1]
    assert update.run.progress == {"fraction": 0.5}
    assert heard_s - said_s < 5.0
    seed(runs, "another run wakes nobody")
    runs.request_cancel(run.run_id)
    watch.await_updates(3)
    assert watch.seen[2][1].events[-1].kind == "run.cancel_requested"  # the other run told nothing
    end_run(runs, run.run_id)
    watch.join()
    assert watch.seen[-1][1].run.state is RunState.CANCELLED


def test_what_another_process_wrote_is_seen_by_the_poll(
    served: tuple[RunStore, SortingClient], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servicer, "_WATCH_POLL_S", 0.2)
    runs, client = served
    run = seed(runs)
    watch = Watch(client, run.run_id)
    watch.await_updates(1)
    elsewhere = Database(url)
    RunStore(elsewhere).move_run(run, RunState.CANCELLED, kind="run.cancelled")
    watch.join()
    assert watch.seen[-1][1].run.state is RunState.CANCELLED
    elsewhere.close()


def end_run(runs: RunStore, run_id: str) -> None:
    (attempt,) = runs.attempts_of(run_id)
    end = AttemptEnd(AttemptState.CANCELLED, RunState.CANCELLED, kind="run.cancelled")
    runs.finish_attempt(runs.get_run(run_id), attempt, end)
