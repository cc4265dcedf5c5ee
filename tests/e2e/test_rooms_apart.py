"""The main job with rooms in processes of their own, on PostgreSQL."""

import pytest
from tests.e2e.conftest import SORTER
from tests.support.postgres import postgres_server, postgres_url
from tests.support.room_processes import RoomProcesses

from spikefleet.core.runs import RunState
from spikefleet.deploy.rooms.wiring import RoomName

__all__ = ["postgres_server", "postgres_url"]  # fixtures

pytestmark = pytest.mark.slow
DOORS = (RoomName.INGEST, RoomName.REPORTER, RoomName.CONTROLLER)
WORKERS = ((RoomName.PREFLIGHT,), (RoomName.CURATION,))


def test_rooms_in_processes_of_their_own_do_the_main_job(
    tmp_path,
    postgres_url,
    recording,
):
    rooms = RoomProcesses(
        tmp_path / "rooms",
        [DOORS, *WORKERS],
        {"DATABASE_URL": postgres_url, "ARTIFACTS_URL": (tmp_path / "artifacts").as_uri()},
    ).start()
    try:
        with rooms.client() as client:
            (run_id,) = client.submit(recording, SORTER, in_place=False).run_ids
            (run,) = client.wait([run_id], timeout_s=240)
            assert run.state is RunState.SUCCEEDED, run.failure
            assert run.result["n_units_curated"] > 0
            assert {f.path.name for f in client.fetch(run_id, tmp_path / "out")} >= {"report.html"}
        assert [rooms.stop(group) for group in (DOORS, *WORKERS)] == [0, 0, 0]
        assert "rooms.stopped" in rooms.log(DOORS)
    finally:
        rooms.close()
