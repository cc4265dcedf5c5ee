"""A facility changes a sorter's profile while sorts run: each is judged by what it really had."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.controlled import Controlled
from tests.support.runner_profiles import CPU, runners
from tests.support.scripted_api import scripted_api
from tests.support.scripted_cluster import (
    Cluster,
    controlled_in,
    launching,
    names_of_live,
    order_of,
    sorting,
)

from spikefleet.core.runs import Attempt, RunState
from spikefleet.infra.launchers.kubernetes.profiles import Runners

OUT_OF_MEMORY: dict[str, Any] = {
    "containerStatuses": [
        {"name": "sorter", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
    ]
}
OUT_OF_SCRATCH: dict[str, Any] = {
    "reason": "Evicted",
    "message": 'Usage of EmptyDir volume "scratch" exceeds the limit "10Gi".',
}


def profiles(most_gib: int) -> Runners:
    """Sizes from 10 GiB up to what is told, for memory and scratch alike."""
    scratch = {"size": "10Gi", "maxSize": f"{most_gib}Gi"}
    own = CPU | {"memory": "10Gi", "maxMemory": f"{most_gib}Gi", "scratch": scratch}
    return runners(profiles={"default": own}, s3Secret="")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with scripted_api() as script:
        yield Cluster(script)


@pytest.fixture
def room(cluster: Cluster, tmp_path: Path) -> Iterator[Controlled]:
    made = controlled_in(cluster, tmp_path, profiles(most_gib=10))
    yield made
    made.close()


def allow(room: Controlled, cluster: Cluster, most_gib: int) -> None:
    """A new profile: the controller is replaced by one that reads it."""
    room.launch, room.machine_of = (
        launching(cluster, profiles(most_gib)),
        profiles(most_gib).machine,
    )
    room.rebuild()


def runs_out(room: Controlled, cluster: Cluster, attempt: Attempt, of: dict[str, Any]) -> None:
    cluster.has_pod(attempt.name, "Failed", **of)
    cluster.ends(attempt.name)
    room.drive(lambda: attempt.name not in names_of_live(room))


def given_gib(room: Controlled, cluster: Cluster, attempt: Attempt) -> tuple[int, int]:
    order = order_of(room, cluster, attempt.name)
    return order.memory_limit_bytes >> 30, order.scratch_limit_bytes >> 30


@pytest.mark.parametrize(
    ("ran_out", "most_gib", "next_gib"),
    [(OUT_OF_MEMORY, 15, (15, 10)), (OUT_OF_SCRATCH, 20, (10, 20))],
    ids=["memory", "scratch"],
)
def test_a_limit_raised_while_an_attempt_runs_is_not_taken_for_what_it_had(
    room: Controlled,
    cluster: Cluster,
    ran_out: dict[str, Any],
    most_gib: int,
    next_gib: tuple[int, int],
) -> None:
    run_id = room.submit(n_jobs=1)
    first = sorting(room, run_id)
    runs_out(room, cluster, first, ran_out)
    run = room.runs.get_run(run_id)
    assert (run.state, run.lane) == (RunState.HELD, "kilosort4/needs-more")
    # Released too soon: the next attempt has the same again, and the profile comes while it runs.
    room.wishes.release("kilosort4/needs-more")
    second = sorting(room, run_id)
    assert given_gib(room, cluster, second) == (10, 10)
    allow(room, cluster, most_gib)
    runs_out(room, cluster, second, ran_out)
    third = sorting(room, run_id)
    assert given_gib(room, cluster, third) == next_gib
    assert room.runs.holds() == []
