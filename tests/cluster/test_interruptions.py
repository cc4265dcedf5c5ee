"""What stands around the sorts goes away and comes back: no run is lost, none is sorted twice."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import pytest
from tests.cluster.installation import RELEASE, RUNNERS, Installation, await_that
from tests.cluster.test_deaths import codes, ended, submit

from spikefleet.client.sorting import SortingClient
from spikefleet.core.runs import RunState

_SEED = 20261128


def test_a_controller_killed_at_random_moments_starts_every_sort_once(
    installation: Installation, people: SortingClient, recording: Path
) -> None:
    moments = random.Random(_SEED)
    run_id = submit(people, recording)
    for _ in range(3):
        time.sleep(moments.uniform(0.5, 8.0))
        chosen = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=controller"
        installation.kubectl("delete", "pod", "-l", chosen, "--grace-period=0", "--force")
        installation.kubectl(
            "rollout", "status", f"deployment/{RELEASE}-controller", "--timeout=120s"
        )
    run = ended(people, run_id)
    assert run.state is RunState.SUCCEEDED, (run.failure, installation.evidence())
    assert codes(people, run_id) == [""]
    assert len(installation.jobs(run_id)) == 1


@pytest.mark.parametrize("service", ["postgres", "s3"])
def test_a_service_that_starts_again_costs_no_run(
    installation: Installation, people: SortingClient, recording: Path, service: str
) -> None:
    run_id = submit(people, recording)
    installation.running_pod(run_id)
    installation.restart_service(service)
    run = ended(people, run_id)
    assert run.state is RunState.SUCCEEDED, (run.failure, installation.evidence())


def test_an_api_server_that_starts_again_costs_no_run(
    installation: Installation, people: SortingClient, recording: Path
) -> None:
    if not installation.target.restart_api:
        pytest.skip("RESTART_API names no command that restarts the API server")
    run_id = submit(people, recording)
    installation.running_pod(run_id)
    subprocess.run(["bash", "-c", installation.target.restart_api], check=True, timeout=120)
    run = ended(people, run_id)
    assert run.state is RunState.SUCCEEDED, (run.failure, installation.evidence())
    assert codes(people, run_id) == [""]


def test_an_uninstalled_release_leaves_no_sort_behind(
    installation: Installation, people: SortingClient, recording: Path
) -> None:
    """The last of the suite: it takes the installation away."""
    installation.running_pod(submit(people, recording))
    installation.uninstall()
    own = f"app.kubernetes.io/instance={RELEASE}"
    for kind in ("job", "pod", "secret", "configmap", "deployment", "service", "lease"):
        await_that(
            lambda kind=kind: not installation.objects(kind, own), 120.0, f"for the last {kind}"
        )
    assert not installation.objects("pod", RUNNERS)
