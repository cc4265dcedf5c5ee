"""A whole controller whose sorts are Jobs: what the cluster does to them, and what the run says."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.controlled import Controlled
from tests.support.runner_profiles import attempt as make_attempt
from tests.support.scripted_api import (
    JOBS,
    SECRETS,
    Answer,
    Request,
    listing,
    scripted_api,
    status,
)
from tests.support.scripted_cluster import (
    Cluster,
    controlled_in,
    names_of_live,
    order_of,
    publish,
    sorting,
)

from spikefleet.cli.following import what_it_says
from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.runs import RunState
from spikefleet.infra.stores.bytes.artifacts import live_key

UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/2 nodes are available: 2 Insufficient memory. preemption: none.",
}
SCHEDULED = {"type": "PodScheduled", "status": "True"}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with scripted_api() as script:
        yield Cluster(script)


@pytest.fixture
def room(cluster: Cluster, tmp_path: Path) -> Iterator[Controlled]:
    made = controlled_in(cluster, tmp_path)
    yield made
    made.close()


def test_a_sort_that_succeeds_as_a_job_goes_through_and_its_job_is_recorded(
    room: Controlled, cluster: Cluster, tmp_path: Path
) -> None:
    run_id = room.submit()
    attempt = sorting(room, run_id)
    assert order_of(room, cluster, attempt.name).attempt_id == attempt.attempt_id
    cluster.has_pod(attempt.name)
    room.drive_rounds(2)
    publish(room, attempt, tmp_path / "result")
    cluster.has_pod(attempt.name, phase="Succeeded")
    cluster.ends(attempt.name, "Complete")
    assert room.finish(run_id).state is RunState.SUCCEEDED
    assert cluster.made == [attempt.name]
    assert "spikefleet.dev/recorded" in cluster.jobs[attempt.name]["metadata"]["labels"]
    assert cluster.deleted == []
    assert room.errors == 0


def test_a_sort_that_waits_for_room_says_so_to_its_owner(
    room: Controlled, cluster: Cluster
) -> None:
    run_id = room.submit()
    attempt = sorting(room, run_id)
    cluster.has_pod(attempt.name, "Pending", conditions=[UNSCHEDULABLE])
    room.drive_rounds(2)
    said = "sort, waits for a node with room for it: 2 Insufficient memory"
    assert what_it_says(room.runs.get_run(run_id)) == said
    room.clock.skip(30 * 86400)
    room.drive_rounds(2)
    assert what_it_says(room.runs.get_run(run_id)) == said


def test_an_image_that_is_not_there_holds_the_run_with_words_and_takes_the_job_away(
    room: Controlled, cluster: Cluster
) -> None:
    run_id = room.submit()
    attempt = sorting(room, run_id)
    reason = {"reason": "ErrImagePull", "message": "manifest unknown"}
    cluster.has_pod(
        attempt.name,
        "Pending",
        conditions=[SCHEDULED],
        containerStatuses=[{"name": "sorter", "state": {"waiting": reason}}],
        startTime=room.clock().isoformat(),
    )
    room.drive_rounds(2)
    assert room.runs.get_run(run_id).state is RunState.RUNNING
    room.clock.skip(601)
    run = room.finish(run_id)
    assert run.state is RunState.HELD
    (hold,) = room.runs.holds()
    assert hold.reason.startswith("Its image cannot be fetched (ErrImagePull): manifest unknown.")
    assert cluster.deleted == [(attempt.name, "Background")]


def test_a_start_without_an_answer_makes_one_job_in_the_end(
    room: Controlled, cluster: Cluster
) -> None:
    def carried_out_in_silence(asked: Request) -> Answer:
        cluster.take(asked)
        return 504, status(504, "Timeout", "request did not complete")

    cluster.script.on("POST", JOBS, carried_out_in_silence, cluster.take)
    run_id = room.submit()
    attempt = sorting(room, run_id)
    room.drive(lambda: len(cluster.script.asked("POST", SECRETS)) == 1)
    room.drive_rounds(3)
    assert list(cluster.jobs) == [attempt.name]
    assert [a.number for a in room.runs.attempts_of(run_id) if a.stage is Stage.SORT] == [1]
    assert room.errors == 0


def test_a_cluster_that_lets_nothing_be_started_costs_no_try_and_the_run_says_why(
    room: Controlled, cluster: Cluster
) -> None:
    words = 'jobs.batch is forbidden: User "lab" cannot create resource "jobs"'
    cluster.script.on("POST", JOBS, (403, status(403, "Forbidden", words)))
    run_id = room.submit()
    attempt = sorting(room, run_id)
    for _ in range(20):
        room.clock.skip(30)
        room.drive_rounds(2)
    said = f"sort, the cluster does not let it be started: {words}"
    assert what_it_says(room.runs.get_run(run_id)) == said
    cluster.script.on("POST", JOBS, cluster.take)
    room.clock.skip(61)
    room.drive(lambda: cluster.made)
    assert cluster.made == [attempt.name]
    assert room.errors == 0


def test_an_api_server_that_is_away_ends_no_sort_and_stops_no_other_stage(
    room: Controlled, cluster: Cluster
) -> None:
    run_id = room.submit()
    attempt = sorting(room, run_id)
    cluster.has_pod(attempt.name)
    room.drive_rounds(2)
    cluster.script.on("GET", JOBS, (503, b""))
    room.runs.request_cancel(run_id)
    other = room.submit("b")
    while "preflight" not in room.runs.get_run(other).result:
        room.reconciler.step()
    for _ in range(3):
        room.reconciler.step()
    assert room.runs.get_run(run_id).state is RunState.RUNNING
    assert cluster.deleted == []
    assert cluster.made == [attempt.name]
    cluster.script.on("GET", JOBS, lambda _: listing(*cluster.kept()))
    room.drive(lambda: room.runs.get_run(run_id).state is RunState.CANCELLED)
    assert cluster.deleted == [(attempt.name, "Foreground")]


def test_a_restarted_controller_takes_its_jobs_over(room: Controlled, cluster: Cluster) -> None:
    run_id = room.submit()
    attempt = sorting(room, run_id)
    cluster.has_pod(attempt.name)
    room.rebuild()
    room.drive_rounds(3)
    assert cluster.made == [attempt.name]
    assert cluster.deleted == []
    assert [a.name for a in room.runs.live_attempts()] == [attempt.name]


def test_a_job_of_a_stranger_holds_its_run_alone_and_is_not_touched(
    room: Controlled, cluster: Cluster
) -> None:
    stranger = {"metadata": {"uid": "s", "annotations": {"spikefleet.dev/attempt-id": "other"}}}
    run_id = room.submit()
    name = f"s-{run_id.removeprefix('run-')}-sort-1"
    cluster.script.on("POST", JOBS, (409, status(409, "AlreadyExists", "it is there")))
    cluster.script.on("GET", f"{JOBS}/{name}", (200, stranger))
    assert room.finish(run_id).state is RunState.HELD
    (hold,) = room.runs.holds()
    assert "is not this attempt's" in hold.reason
    assert hold.lane == "kilosort4/name-taken"
    assert cluster.script.asked("DELETE") == []


def test_an_attempt_killed_for_memory_is_followed_by_a_job_with_more(
    room: Controlled, cluster: Cluster
) -> None:
    run_id = room.submit(n_jobs=1)
    given = []
    for _ in range(3):
        attempt = sorting(room, run_id)
        given.append(order_of(room, cluster, attempt.name).memory_limit_bytes >> 30)
        ended = {"exitCode": 137, "reason": "OOMKilled", "startedAt": "2026-11-28T12:00:00Z"}
        cluster.has_pod(
            attempt.name,
            "Failed",
            containerStatuses=[{"name": "sorter", "state": {"terminated": ended}}],
        )
        cluster.ends(attempt.name)
        room.drive(lambda name=attempt.name: name not in names_of_live(room))
        if room.is_settled(run_id):
            break
    run = room.runs.get_run(run_id)
    assert given == [16, 24]
    assert (run.state, run.lane) == (RunState.HELD, "kilosort4/needs-more")


def test_after_a_lost_node_the_next_job_avoids_it_and_the_old_one_is_taken_away(
    room: Controlled, cluster: Cluster
) -> None:
    run_id = room.submit()
    attempt = sorting(room, run_id)
    cluster.has_pod(attempt.name, node="node-b")
    due = room.clock().isoformat()
    cluster.pods[attempt.name]["metadata"]["deletionTimestamp"] = due
    room.drive_rounds(2)
    assert cluster.made == [attempt.name]
    room.clock.skip(700)
    room.drive(lambda: len(cluster.made) == 2)
    assert cluster.deleted == [(attempt.name, "Background")]
    assert order_of(room, cluster, cluster.made[1]).exclude_nodes == ("node-b",)
    pod = cluster.jobs[cluster.made[1]]["spec"]["template"]["spec"]
    assert "node-b" in json.dumps(pod["affinity"])


def test_a_cancelled_sort_is_deleted_with_its_pod(room: Controlled, cluster: Cluster) -> None:
    run_id = room.submit()
    attempt = sorting(room, run_id)
    cluster.has_pod(attempt.name)
    room.drive_rounds(2)
    room.runs.request_cancel(run_id)
    room.drive(lambda: room.runs.get_run(run_id).state is RunState.CANCELLED)
    assert cluster.deleted == [(attempt.name, "Foreground")]


def test_readings_of_a_pod_that_does_not_report_are_shown(
    room: Controlled, cluster: Cluster
) -> None:
    run_id = room.submit()
    attempt = sorting(room, run_id)
    cluster.has_pod(attempt.name)
    heartbeat = {
        "attempt_id": attempt.attempt_id,
        "at": room.clock().timestamp() + 60,
        "progress": {"step": "detect", "fraction": 0.5},
    }
    room.artifacts.swap_pointer(live_key(attempt.place.prefix), {"heartbeat": heartbeat})
    room.clock.skip(30)
    room.drive_rounds(2)
    assert room.runs.get_run(run_id).progress["step"] == "detect"


def test_an_end_without_any_pod_left_is_known_by_the_rule_that_matched(
    room: Controlled, cluster: Cluster
) -> None:
    run_id = room.submit()
    attempt = sorting(room, run_id)
    message = "Container sorter for pod ns/p failed with exit code 80 matching FailJob rule at 0"
    cluster.ends(attempt.name, message=message)
    run = room.finish(run_id)
    assert run.state is RunState.SKIPPED
    assert run.failure is not None
    assert run.failure.code is FailureCode.INSUFFICIENT_ACTIVITY


def test_a_job_that_no_record_knows_is_marked_and_left_alone_for_a_day_across_restarts(
    room: Controlled, cluster: Cluster
) -> None:
    unknown = make_attempt(name="s-from-a-lost-database-sort-1")
    launcher = room.launcher
    launcher.start(unknown, secret="5ec2e7")
    cluster.has_pod(unknown.name)
    room.drive_rounds(2)
    notes = cluster.jobs[unknown.name]["metadata"]["annotations"]
    since = notes["spikefleet.dev/unknown-since"]
    room.clock.skip(23 * 3600)
    room.rebuild()
    room.drive_rounds(3)
    assert cluster.deleted == []
    assert notes["spikefleet.dev/unknown-since"] == since
    room.clock.skip(2 * 3600)
    room.drive_rounds(2)
    assert cluster.deleted == [(unknown.name, "Foreground")]
