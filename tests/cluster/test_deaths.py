"""How a sort's pod can end or not begin, and what its owner sees then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cluster.installation import RUNNERS, Installation, await_that
from tests.e2e.conftest import SORTER

from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import RunView
from spikefleet.core.runs import RunState

_SORTED_S = 300.0
_SEEN_S = 120.0


def submit(people: SortingClient, recording: Path, sorter: str = SORTER) -> str:
    (run_id,) = people.submit(recording, sorter, in_place=False).run_ids
    return run_id


def ended(people: SortingClient, run_id: str) -> RunView:
    (run,) = people.wait([run_id], timeout_s=_SORTED_S)
    return run


def step(people: SortingClient, run_id: str) -> str:
    return str(people.get(run_id).run.progress.get("step", ""))


def codes(people: SortingClient, run_id: str) -> list[str]:
    """How the attempts to sort ended, in order; "" for one without a failure."""
    attempts = [a for a in people.get(run_id).attempts if a.stage == "sort"]
    return [str(a.failure.code) if a.failure else "" for a in attempts]


def exit_codes(installation: Installation, run_id: str) -> list[int]:
    """How the containers of a run's pods ended."""
    pods = installation.objects("pod", f"{RUNNERS},spikefleet.dev/run-id={run_id}")
    states = [pod["status"]["containerStatuses"][0]["state"] for pod in pods]
    return [int(state["terminated"]["exitCode"]) for state in states]


def test_a_sort_that_outgrows_its_memory_ends_as_a_lack_of_memory(
    people: SortingClient, recording: Path
) -> None:
    run = ended(people, submit(people, recording, "tridesclous2"))
    assert run.state is RunState.FAILED, run
    assert run.failure is not None
    assert str(run.failure.category) == "resource"
    assert set(codes(people, run.run_id)) <= {"host_out_of_memory", "host_memory_watchdog"}


def test_a_sort_that_outgrows_its_scratch_says_that_the_disk_is_full(
    people: SortingClient, recording: Path
) -> None:
    run_id = submit(people, recording, "lupin")
    await_that(lambda: "disk_exhaustion" in codes(people, run_id), _SORTED_S, "for a full scratch")
    people.cancel(run_id)


def test_an_image_that_is_not_there_is_named_and_waited_for(
    people: SortingClient, recording: Path
) -> None:
    run_id = submit(people, recording, "spykingcircus2")
    await_that(lambda: "image cannot be fetched" in step(people, run_id), _SEEN_S)
    assert "spikefleet-is-not-there" in step(people, run_id)
    people.cancel(run_id)
    assert ended(people, run_id).state is RunState.CANCELLED


def test_a_secret_that_is_missing_is_named_and_the_sort_goes_on_when_it_is_back(
    installation: Installation, people: SortingClient, recording: Path
) -> None:
    kept = json.loads(installation.kubectl("get", "secret", "bucket", "-o", "json"))
    kept["metadata"] = {"name": "bucket", "labels": kept["metadata"]["labels"]}
    installation.kubectl("delete", "secret", "bucket")
    try:
        run_id = submit(people, recording)
        await_that(lambda: 'secret "bucket" not found' in step(people, run_id), _SEEN_S)
    finally:
        installation.kubectl("apply", "-f", "-", given=json.dumps(kept))
    run = ended(people, run_id)
    assert run.state is RunState.SUCCEEDED, run.failure


def test_a_pod_that_is_deleted_is_replaced_by_another_attempt(
    installation: Installation, people: SortingClient, recording: Path
) -> None:
    run_id = submit(people, recording)
    installation.kubectl("delete", "pod", installation.running_pod(run_id), "--wait=false")
    run = ended(people, run_id)
    assert run.state is RunState.SUCCEEDED, (run.failure, installation.evidence())
    assert codes(people, run_id) in (["attempt_interrupted", ""], ["disrupted", ""])
    assert len(installation.jobs(run_id)) == 2


def test_a_pod_that_is_told_to_end_leaves_its_evidence(
    installation: Installation, people: SortingClient, recording: Path
) -> None:
    run_id = submit(people, recording)
    pod = installation.running_pod(run_id)
    installation.kubectl("exec", pod, "--", "python", "-c", "import os; os.kill(1, 15)")
    run = ended(people, run_id)
    assert run.state is RunState.SUCCEEDED, (run.failure, installation.evidence())
    assert codes(people, run_id) == ["attempt_interrupted", ""]
    assert sorted(exit_codes(installation, run_id)) == [0, 113]


def test_a_sort_waits_while_the_only_node_is_cordoned(
    installation: Installation, people: SortingClient, recording: Path
) -> None:
    nodes = json.loads(installation.kubectl("get", "nodes", "-o", "json", namespaced=False))
    open_nodes = [
        n["metadata"]["name"] for n in nodes["items"] if not n["spec"].get("unschedulable")
    ]
    if len(open_nodes) != 1:
        pytest.skip(f"{len(open_nodes)} nodes take pods: they may be others' too, none is cordoned")
    installation.kubectl("cordon", open_nodes[0], namespaced=False)
    try:
        run_id = submit(people, recording)
        await_that(lambda: "waits for a node" in step(people, run_id), _SEEN_S)
    finally:
        installation.kubectl("uncordon", open_nodes[0], namespaced=False)
    run = ended(people, run_id)
    assert run.state is RunState.SUCCEEDED, run.failure
