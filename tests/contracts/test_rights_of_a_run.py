"""The whole run's account of rights: what it takes down, and which differences it tells."""

import pytest
from kubernetes import client
from tests.house.charts import render, rights
from tests.kubefake.cluster import NAMESPACE, KubeFake
from tests.support import rights_of_a_run

from spikefleet.infra.launchers.kubernetes.api import ClusterApi

JOBS, PODS = ("batch", "jobs", "list"), ("", "pods", "list")


def test_what_the_controllers_code_asks_is_taken_down_and_what_a_test_asks_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: set[tuple[str, str, str]] = set()
    monkeypatch.setattr(rights_of_a_run, "USED", used)
    with KubeFake() as fake:
        client.CoreV1Api(fake.client()).list_namespaced_pod(NAMESPACE)
        assert used == set()
        ClusterApi(fake.client(), NAMESPACE).list_jobs("app=none")
        assert used == {JOBS}


def test_a_worker_hands_over_what_it_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    output: dict[str, object] = {}
    monkeypatch.setattr(rights_of_a_run, "USED", {JOBS})
    rights_of_a_run.hand_over(output)
    monkeypatch.setattr(rights_of_a_run, "USED", {PODS})
    rights_of_a_run.take_over(output)
    assert {JOBS, PODS} == rights_of_a_run.USED


def test_a_right_that_is_missing_and_one_that_is_idle_are_told() -> None:
    queue = ("kueue.x-k8s.io", "workloads", "list")
    compare = rights_of_a_run.compare
    assert compare({JOBS, PODS}, least={JOBS, PODS}, most={JOBS, PODS, queue}) == []
    (missing,) = compare({JOBS, ("", "nodes", "list")}, least=set(), most={JOBS})
    assert missing.endswith("does not grant what was used: list nodes")
    (idle,) = compare({JOBS}, least={JOBS, PODS}, most={JOBS, PODS, queue})
    assert idle.endswith("grants what no test used: list pods")


def test_the_role_of_an_installation_with_a_queue_has_one_right_more() -> None:
    least, most = (
        rights(render(use)) for use in ("minimal-values.yaml", "external-services-values.yaml")
    )
    assert most - least == {("kueue.x-k8s.io", "workloads", "list")}
    assert least < most
