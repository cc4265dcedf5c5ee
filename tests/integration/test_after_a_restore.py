"""Records brought back from a copy know less than the cluster and the store do."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.controlled import Controlled
from tests.support.scripted_api import scripted_api
from tests.support.scripted_cluster import Cluster, controlled_in, order_of, publish, sorting

from spikefleet.core.attempts import Stage
from spikefleet.core.runs import Attempt, AttemptPlace, RunState
from spikefleet.infra.launchers.kubernetes.manifests import RECORDED


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with scripted_api() as script:
        yield Cluster(script)


@pytest.fixture
def room(cluster: Cluster, tmp_path: Path) -> Iterator[Controlled]:
    made = controlled_in(cluster, tmp_path)
    made.recording("a")
    yield made
    made.close()


def back_up(room: Controlled) -> Path:
    """A copy of the database, as the operator makes it."""
    copy = room.folder / "copy.db"
    with sqlite3.connect(room.folder / "spikefleet.db") as connection:
        connection.execute("VACUUM INTO ?", [str(copy)])
    return copy


def restore(room: Controlled, copy: Path) -> None:
    """Put the copy in the database's place while no controller runs, and start one."""
    room.database.close()
    database = room.folder / "spikefleet.db"
    for old in room.folder.glob("spikefleet.db-*"):
        old.unlink()
    shutil.copyfile(copy, database)
    room.rebuild()


def succeeds(room: Controlled, cluster: Cluster, attempt: Attempt) -> None:
    """Let the pod of a sort store its result and end."""
    publish(room, attempt, room.folder / attempt.name)
    cluster.has_pod(attempt.name, phase="Succeeded")
    cluster.ends(attempt.name, "Complete")


def sorted_after_the_copy(room: Controlled, cluster: Cluster) -> tuple[Path, str, Attempt]:
    """A copy of empty records; the id of a run that they do not know, and its ended sort."""
    copy = back_up(room)
    run_id = room.submit()
    first = sorting(room, run_id)
    succeeds(room, cluster, first)
    return copy, run_id, first


def test_a_run_that_the_restored_records_lost_is_sorted_again_beside_its_ended_job(
    room: Controlled, cluster: Cluster
) -> None:
    copy, run_id, first = sorted_after_the_copy(room, cluster)
    assert room.finish(run_id).state is RunState.SUCCEEDED
    assert RECORDED in cluster.jobs[first.name]["metadata"]["labels"]
    restore(room, copy)
    assert room.submit() == run_id
    second = sorting(room, run_id)
    assert (second.number, cluster.made) == (2, [first.name, second.name])
    succeeds(room, cluster, second)
    run = room.finish(run_id)
    assert run.state is RunState.SUCCEEDED
    assert run.result["sort_prefix"] == second.place.prefix
    assert room.current(run_id)["sort"] == second.place.prefix
    assert (room.runs.holds(), cluster.deleted, room.errors) == ([], [], 0)


def test_a_sort_that_still_runs_for_lost_records_is_neither_taken_over_nor_stopped(
    room: Controlled, cluster: Cluster
) -> None:
    copy = back_up(room)
    run_id = room.submit()
    first = sorting(room, run_id)
    cluster.has_pod(first.name)
    restore(room, copy)
    room.submit()
    second = sorting(room, run_id)
    assert order_of(room, cluster, second.name).attempt_id == second.attempt_id
    assert (second.number, cluster.deleted) == (2, [])


def test_an_attempt_newer_than_the_records_of_its_run_is_passed_over(
    room: Controlled, cluster: Cluster
) -> None:
    run_id = room.submit()
    first = sorting(room, run_id)
    copy = back_up(room)
    cluster.has_pod(first.name, "Failed", reason="NodeLost")
    cluster.ends(first.name)
    room.drive(lambda: len(cluster.made) == 2)
    restore(room, copy)
    room.drive(lambda: len(cluster.made) == 3)
    assert [name[-1] for name in cluster.made] == ["1", "2", "3"]


def test_an_ended_job_of_the_run_makes_room_where_the_store_was_lost_as_well(
    room: Controlled, cluster: Cluster
) -> None:
    copy, run_id, first = sorted_after_the_copy(room, cluster)
    room.finish(run_id)
    shutil.rmtree(room.folder / "artifacts")
    restore(room, copy)
    room.submit()
    again = sorting(room, run_id)
    assert (again.number, cluster.made) == (1, [first.name, again.name])
    assert again.attempt_id != first.attempt_id
    assert order_of(room, cluster, again.name).attempt_id == again.attempt_id
    assert cluster.deleted == [(first.name, "Background")]
    assert room.runs.holds() == []


@pytest.mark.parametrize("stage", [Stage.CURATE, Stage.REPORT])
def test_what_a_lost_attempt_of_another_room_stored_is_not_taken_for_the_new_result(
    room: Controlled, cluster: Cluster, stage: Stage
) -> None:
    run_id = room.submit()
    room.artifacts.put_bytes(f"{AttemptPlace(run_id, stage, 1).prefix}/manifest.json", b"{}")
    succeeds(room, cluster, sorting(room, run_id))
    room.finish(run_id)
    assert room.current(run_id)[str(stage)] == AttemptPlace(run_id, stage, 2).prefix
