"""What befalls several objects at once: quotas, lost nodes, owners, times to live."""

import pytest
from kubernetes import client

from tests.kubefake.cluster import NAMESPACE, KubeFake
from tests.kubefake.conftest import make_job
from tests.kubefake.resources import EVENTS, RESOURCEQUOTAS, SECRETS
from tests.kubefake.script import Exit, OnSigterm, Script

POLICY = {
    "rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    ]
}
STAYS = Script(runs_s=None, on_sigterm=OnSigterm(Exit(113, "taken away")))


def jobs(fake: KubeFake) -> client.BatchV1Api:
    return client.BatchV1Api(fake.client())


def words(fake: KubeFake, reason: str) -> list[str]:
    found = fake.store.list(EVENTS, NAMESPACE)
    return [one["message"] for one in found if one["reason"] == reason]


def patient(**spec: object) -> dict[str, object]:
    """A Job whose pod is given up five seconds after its node was."""
    job = make_job(**spec)
    toleration = {
        "key": "node.kubernetes.io/unreachable",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 5,
    }
    job["spec"]["template"]["spec"]["tolerations"] = [toleration]
    return job


def test_used_up_quota_shows_in_events_alone_and_passes_with_room(fake: KubeFake) -> None:
    fake.script = Script(runs_s=20)
    quota = {"metadata": {"name": "lab"}, "spec": {"hard": {"pods": "1"}}}
    fake.put(RESOURCEQUOTAS, {"kind": "ResourceQuota", **quota})
    for name in ("first", "second"):
        jobs(fake).create_namespaced_job(NAMESPACE, make_job(name))
    fake.advance(10)
    told = words(fake, "FailedCreate")
    assert len(told) > 1, "a pod's name is in the words, so every try is an event of its own"
    expected = "exceeded quota: lab, requested: pods=1, used: pods=1, limited: pods=1"
    assert all(one.endswith(expected) for one in told)
    assert fake.job("second")["status"].get("conditions") is None
    assert fake.pods_of("second") == []
    fake.advance(120)
    assert fake.job("second")["status"]["succeeded"] == 1


@pytest.mark.parametrize("with_policy", [False, True])
def test_job_of_a_lost_node_goes_on_at_once_without_a_policy_and_never_with_one(
    fake: KubeFake, with_policy: bool
) -> None:
    fake.script = STAYS
    more = {"podFailurePolicy": POLICY} if with_policy else {"backoffLimit": 1}
    jobs(fake).create_namespaced_job(NAMESPACE, patient(**more))
    fake.advance(5)
    fake.lose_node()
    fake.advance(40)
    [pod] = fake.pods_of("attempt")
    assert "deletionTimestamp" not in pod["metadata"], "nothing at all for forty seconds"
    fake.advance(60)
    lost = fake.pods_of("attempt")[0]
    assert lost["status"]["phase"] == "Running"
    assert "running" in lost["status"]["containerStatuses"][0]["state"]
    assert lost["metadata"]["deletionTimestamp"]
    assert len(fake.pods_of("attempt")) == (1 if with_policy else 2)
    fake.restore_node()
    fake.advance(3)
    ends = [
        one.document["status"]["containerStatuses"][0]["state"]["terminated"]["message"]
        for one in fake.store.history
        if one.kind == "DELETED" and one.resource.kind == "Pod"
    ]
    assert ends == ["taken away"], "the end is told when the node is back"


def test_nobody_is_evicted_when_no_node_is_left(fake: KubeFake) -> None:
    fake.script = STAYS
    jobs(fake).create_namespaced_job(NAMESPACE, patient())
    fake.advance(5)
    fake.lose_node(evict=False)
    fake.advance(600)
    [pod] = fake.pods_of("attempt")
    assert "deletionTimestamp" not in pod["metadata"]
    assert fake.job("attempt")["status"]["active"] == 1
    assert fake.job("attempt")["status"]["ready"] == 0


def test_pod_of_a_deleted_node_is_failed_with_its_container_still_running(fake: KubeFake) -> None:
    fake.script = STAYS
    jobs(fake).create_namespaced_job(NAMESPACE, make_job())
    fake.advance(5)
    fake.delete_node()
    fake.advance(60)
    [last] = [
        one.document["status"]
        for one in fake.store.history
        if one.kind == "DELETED" and one.resource.kind == "Pod"
    ]
    assert last["phase"] == "Failed"
    assert "running" in last["containerStatuses"][0]["state"]
    assert "DeletionByPodGC" in {one.get("reason") for one in last["conditions"]}
    assert [one["type"] for one in fake.job("attempt")["status"]["conditions"]][-1] == "Failed"


def test_secret_that_a_job_owns_goes_with_it(fake: KubeFake) -> None:
    made = jobs(fake).create_namespaced_job(NAMESPACE, make_job())
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": "attempt",
        "uid": made.metadata.uid,
    }
    secret = {"metadata": {"name": "hush", "ownerReferences": [owner]}}
    client.CoreV1Api(fake.client()).create_namespaced_secret(NAMESPACE, secret)
    fake.advance(20)
    assert fake.store.find(SECRETS, NAMESPACE, "hush") is not None
    jobs(fake).delete_namespaced_job("attempt", NAMESPACE, propagation_policy="Background")
    fake.advance(20)
    assert fake.store.find(SECRETS, NAMESPACE, "hush") is None
    assert fake.pods_of("attempt") == []


def test_finished_job_with_a_time_to_live_goes_when_it_is_given_one(fake: KubeFake) -> None:
    jobs(fake).create_namespaced_job(NAMESPACE, make_job())
    fake.advance(7 * 86400)
    assert fake.job("attempt")["status"]["succeeded"] == 1, "no time to live, no end"
    jobs(fake).patch_namespaced_job("attempt", NAMESPACE, {"spec": {"ttlSecondsAfterFinished": 60}})
    fake.advance(120)
    assert jobs(fake).list_namespaced_job(NAMESPACE).items == []
