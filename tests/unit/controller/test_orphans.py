"""What cannot be cleared away holds up no other, and is tried again."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spikefleet.controller.orphans import Orphans
from spikefleet.core.attempts import AttemptSpec
from spikefleet.core.runs import LogPart
from spikefleet.infra.launchers.base import LauncherUnreachableError, Observation, Phase, Slots
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.runs import RunStore

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=2)
SEEN = {
    "a-live": Observation("a-live", Phase.RUNNING),
    "b-ended": Observation("b-ended", Phase.EXITED),
    "c-live": Observation("c-live", Phase.RUNNING),
    "d-ended": Observation("d-ended", Phase.EXITED),
}


class Stubborn:
    """A cluster that refuses to touch some of its attempts; the others are stopped and dropped."""

    def __init__(self, refused: set[str]) -> None:
        self.refused = refused
        self.done: list[tuple[str, str]] = []

    def start(self, spec: AttemptSpec, *, secret: str = "") -> None:
        raise AssertionError("nothing is started here")

    def observe(self) -> dict[str, Observation]:
        return SEEN

    def stop(self, name: str, *, grace_s: float) -> None:
        self._do("stop", name)

    def forget(self, name: str) -> None:
        self._do("forget", name)

    def mark_unknown(self, name: str, since: datetime) -> datetime:
        return LONG_AGO

    def read_log(self, name: str, offset: int, most_bytes: int) -> LogPart | None:
        return None

    def free_slots(self) -> Slots:
        return Slots(0, 0)

    def _do(self, what: str, name: str) -> None:
        if name in self.refused:
            raise LauncherUnreachableError(f"{name} cannot be touched")
        self.done.append((what, name))


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[RunStore]:
    database = Database(f"sqlite:///{tmp_path / 'runs.db'}")
    database.migrate()
    yield RunStore(database)
    database.close()


def test_one_that_cannot_be_cleared_away_holds_up_no_other_and_is_tried_again(
    runs: RunStore, caplog: pytest.LogCaptureFixture
) -> None:
    launcher = Stubborn({"a-live", "b-ended"})
    orphans = Orphans(runs, launcher, lambda: NOW)
    orphans.sweep(set(), SEEN)
    assert launcher.done == [("stop", "c-live"), ("forget", "d-ended")]
    assert caplog.messages.count("attempt.not_cleared") == 2
    launcher.refused.clear()
    orphans.sweep(set(), SEEN)
    assert ("stop", "a-live") in launcher.done
    assert ("forget", "b-ended") in launcher.done


def test_what_the_records_count_as_live_is_left_alone(runs: RunStore) -> None:
    launcher = Stubborn(set())
    Orphans(runs, launcher, lambda: NOW).sweep(set(SEEN), SEEN)
    assert launcher.done == []
