"""The server answers the official client as a real one was recorded to."""

import json
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest
from kubernetes import client, watch
from kubernetes.client import ApiException

from tests.kubefake.access import Use
from tests.kubefake.cluster import NAMESPACE, TOKEN, KubeFake
from tests.kubefake.conftest import make_job
from tests.kubefake.script import Exit, Script

ROLE = {
    "kind": "Role",
    "rules": [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list", "create"]}],
}


def jobs(fake: KubeFake) -> client.BatchV1Api:
    return client.BatchV1Api(fake.client())


def pods(fake: KubeFake) -> client.CoreV1Api:
    return client.CoreV1Api(fake.client())


def status_of(error: ApiException) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(error.body)
    return found


def get(fake: KubeFake, path: str) -> Any:
    asked = urllib.request.Request(fake.url + path, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return answer.read()


def post(fake: KubeFake, path: str, body: Any) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    raw = json.dumps(body).encode()
    asked = urllib.request.Request(fake.url + path, data=raw, headers=headers)
    return urllib.request.urlopen(asked, timeout=10)


def test_second_job_of_a_name_is_refused_with_already_exists(fake: KubeFake) -> None:
    jobs(fake).create_namespaced_job(NAMESPACE, make_job())
    with pytest.raises(ApiException) as caught:
        jobs(fake).create_namespaced_job(NAMESPACE, make_job())
    assert caught.value.status == 409
    assert status_of(caught.value)["reason"] == "AlreadyExists"
    assert status_of(caught.value)["message"] == 'jobs.batch "attempt" already exists'


def test_job_that_ends_with_a_code_shows_code_and_message_and_then_fails(fake: KubeFake) -> None:
    fake.script = Script(exit=Exit(107, '{"v": 1}'))
    jobs(fake).create_namespaced_job(NAMESPACE, make_job())
    fake.advance(30)
    [pod] = pods(fake).list_namespaced_pod(NAMESPACE, label_selector="app=probe").items
    ended = pod.status.container_statuses[0].state.terminated
    assert (pod.status.phase, ended.exit_code, ended.message) == ("Failed", 107, '{"v": 1}')
    found = jobs(fake).read_namespaced_job("attempt", NAMESPACE).status
    assert [one.type for one in found.conditions] == ["FailureTarget", "Failed"]
    assert found.failed == 1


def test_role_that_does_not_grant_a_verb_refuses_it_even_for_what_is_not_there() -> None:
    with KubeFake(role=ROLE) as fake:
        jobs(fake).create_namespaced_job(NAMESPACE, make_job())
        with pytest.raises(ApiException) as caught:
            jobs(fake).delete_namespaced_job("absent", NAMESPACE, propagation_policy="Background")
        assert caught.value.status == 403
        assert "cannot delete resource" in status_of(caught.value)["message"]
        assert fake.access.used == {Use("batch", "jobs", "create")}


def test_stranger_without_the_token_is_unauthorized(fake: KubeFake) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{fake.url}/apis/batch/v1/jobs", timeout=10)


def test_list_in_pages_holds_every_object_once(fake: KubeFake) -> None:
    for number in range(12):
        jobs(fake).create_namespaced_job(NAMESPACE, make_job(f"j{number:02}", suspend=True))
    names, token, left = [], None, []
    while True:
        page = jobs(fake).list_namespaced_job(NAMESPACE, limit=5, _continue=token)
        names += [one.metadata.name for one in page.items]
        left.append(page.metadata.remaining_item_count)
        token = page.metadata._continue
        if not token:
            break
    assert names == [f"j{number:02}" for number in range(12)]
    assert left == [7, 2, None]


def test_watch_from_a_forgotten_version_gets_one_error_line_under_200(fake: KubeFake) -> None:
    jobs(fake).create_namespaced_job(NAMESPACE, make_job())
    fake.restart_server()
    raw = get(fake, f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs?watch=1&resourceVersion=1")
    [line] = raw.splitlines()
    event = json.loads(line)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == (
        "ERROR",
        410,
        "Expired",
    )


def test_watch_tells_what_happens_after_the_list_and_ends_at_its_timeout(fake: KubeFake) -> None:
    version = jobs(fake).list_namespaced_job(NAMESPACE).metadata.resource_version
    seen: list[tuple[str, str]] = []

    def follow() -> None:
        stream = watch.Watch().stream(
            jobs(fake).list_namespaced_job, NAMESPACE, resource_version=version, timeout_seconds=5
        )
        seen.extend((event["type"], event["object"].metadata.name) for event in stream)

    thread = threading.Thread(target=follow)
    thread.start()
    jobs(fake).create_namespaced_job(NAMESPACE, make_job())
    jobs(fake).delete_namespaced_job("attempt", NAMESPACE, propagation_policy="Background")
    while thread.is_alive():
        fake.advance(0.5)
        thread.join(0.05)
    assert seen[0] == ("ADDED", "attempt")
    assert seen[-1] == ("DELETED", "attempt")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"spec": {"completions": 3}}, 422, "spec.completions"),
        ({"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}}, 422, "spec.template"),
        ({"spec": {"backoffLimit": 3}}, 200, ""),
        (
            {"metadata": {"annotations": {"a": "b"}}, "spec": {"ttlSecondsAfterFinished": 9}},
            200,
            "",
        ),
    ],
)
def test_immutable_fields_of_a_job_are_refused_by_name(
    fake: KubeFake, body: dict[str, Any], status: int, field: str
) -> None:
    jobs(fake).create_namespaced_job(NAMESPACE, make_job())
    if status == 200:
        jobs(fake).patch_namespaced_job("attempt", NAMESPACE, body)
        return
    with pytest.raises(ApiException) as caught:
        jobs(fake).patch_namespaced_job("attempt", NAMESPACE, body)
    assert caught.value.status == status
    assert status_of(caught.value)["details"]["causes"][0]["field"] == field


def test_unknown_field_is_refused_where_the_writer_is_strict_and_dropped_otherwise(
    fake: KubeFake,
) -> None:
    wrong = make_job(backofLimit=3)
    path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(fake, f"{path}?fieldValidation=Strict", wrong)
    assert caught.value.code == 400
    assert 'unknown field \\"spec.backofLimit\\"' in caught.value.read().decode()
    assert "unknown field" in post(fake, path, wrong).headers["Warning"]
    assert "backofLimit" not in fake.job("attempt")["spec"]


def test_lease_is_written_only_by_who_read_its_newest_version(fake: KubeFake) -> None:
    leases = client.CoordinationV1Api(fake.client())
    lease = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "a"}}
    first = leases.create_namespaced_lease(NAMESPACE, lease)
    first.spec.holder_identity = "b"
    leases.replace_namespaced_lease("leader", NAMESPACE, first)
    first.spec.holder_identity = "c"
    with pytest.raises(ApiException) as caught:
        leases.replace_namespaced_lease("leader", NAMESPACE, first)
    assert (caught.value.status, status_of(caught.value)["reason"]) == (409, "Conflict")
    with pytest.raises(ApiException) as caught:
        leases.replace_namespaced_lease("leader", NAMESPACE, lease)
    assert caught.value.status == 422


def test_dry_run_validates_and_keeps_nothing(fake: KubeFake) -> None:
    made = jobs(fake).create_namespaced_job(NAMESPACE, make_job(), dry_run="All")
    assert made.spec.completions == 1
    assert jobs(fake).list_namespaced_job(NAMESPACE).items == []


def test_log_of_a_pod_is_what_its_container_printed(fake: KubeFake) -> None:
    fake.script = Script(log=b"one\ntwo\nthree\n")
    jobs(fake).create_namespaced_job(NAMESPACE, make_job())
    fake.advance(3)
    [pod] = fake.pods_of("attempt")
    name = pod["metadata"]["name"]
    assert (
        get(fake, f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/log?tailLines=2") == b"two\nthree\n"
    )
