"""The door to the cluster: bounded calls through the real library, and errors of our own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.runner_profiles import order
from tests.support.scripted_api import (
    EVENTS,
    JOBS,
    PODS,
    WORKLOADS,
    Script,
    listing,
    scripted_api,
    status,
)  # fmt: skip

from spikefleet.infra.launchers.kubernetes.api import (
    PAGE,
    ClusterApi,
    ClusterConflictError,
    ClusterMissingError,
    ClusterRefusedError,
    ClusterUnreachableError,
    connect,
)
from spikefleet.infra.launchers.kubernetes.manifests import job_manifest, secret_manifest

JOB = {"metadata": {"name": "a", "uid": "u"}}


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted_api() as made:
        yield made


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def api(script: Script, pauses: list[float]) -> ClusterApi:
    opened = connect(url=script.url, namespace="sorting")
    opened.pause = pauses.append
    return opened


def test_a_list_is_read_page_by_page(api: ClusterApi, script: Script) -> None:
    script.on("GET", JOBS, listing("a", "b", proceed="next"), listing("c"))
    assert api.list_jobs("x=y") == ["a", "b", "c"]
    first, second = script.asked("GET", JOBS)
    assert first.query == {"labelSelector": "x=y", "limit": str(PAGE)}
    assert second.query == first.query | {"continue": "next"}


def test_a_list_that_grew_too_old_between_two_pages_is_begun_again(
    api: ClusterApi, script: Script
) -> None:
    expired = (410, status(410, "Expired", "the continue parameter is too old"))
    script.on(
        "GET", PODS, listing("a", proceed="t"), expired, listing("a", proceed="u"), listing("b")
    )
    assert api.list_pods("x=y") == ["a", "b"]
    script.on("GET", PODS, listing("a", proceed="t"), expired, expired)
    with pytest.raises(ClusterUnreachableError, match="changed too fast"):
        api.list_pods("x=y")


@pytest.mark.parametrize(
    "trouble", [(0, b""), (503, b"busy"), (500, b""), (429, b"{}"), (200, b'{"it')]
)
def test_trouble_that_passes_is_asked_again_after_growing_pauses(
    api: ClusterApi, script: Script, pauses: list[float], trouble: Any
) -> None:
    script.on("GET", JOBS, trouble, trouble, listing("a"))
    assert api.list_jobs("x=y") == ["a"]
    assert len(pauses) == 2
    assert 0 < pauses[0] < pauses[1] <= 5


@pytest.mark.parametrize(
    "trouble", [(0, b""), (503, b"busy"), (200, b"[]"), (200, b'{"items": 3}')]
)
def test_trouble_that_stays_ends_after_three_tries_and_says_nothing(
    api: ClusterApi, script: Script, trouble: Any
) -> None:
    script.on("GET", JOBS, trouble)
    with pytest.raises(ClusterUnreachableError):
        api.list_jobs("x=y")
    assert len(script.asked("GET", JOBS)) <= 3


def test_a_making_that_was_not_answered_is_not_repeated_by_itself(
    api: ClusterApi, script: Script
) -> None:
    script.on("POST", JOBS, (504, status(504, "Timeout", "request did not complete")))
    with pytest.raises(ClusterUnreachableError, match="request did not complete"):
        api.create_job(job_manifest(order()))
    assert len(script.asked("POST", JOBS)) == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [(404, ClusterMissingError), (409, ClusterConflictError), (403, ClusterRefusedError),
     (422, ClusterRefusedError)],
)  # fmt: skip
def test_a_refusal_keeps_code_and_words_and_is_not_repeated(
    api: ClusterApi, script: Script, code: int, kind: type[ClusterRefusedError]
) -> None:
    script.on("GET", f"{JOBS}/a", (code, status(code, "Because", "of a reason")))
    with pytest.raises(kind, match="of a reason") as caught:
        api.get_job("a")
    assert (caught.value.status, caught.value.reason) == (code, "Because")
    assert len(script.requests) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]"])
def test_a_refusal_in_no_known_form_is_one_all_the_same(
    api: ClusterApi, script: Script, body: bytes
) -> None:
    script.on("GET", f"{JOBS}/a", (403, body))
    with pytest.raises(ClusterRefusedError):
        api.get_job("a")


def test_a_used_up_quota_is_told_from_a_missing_right(api: ClusterApi, script: Script) -> None:
    for words, is_quota in (("jobs is forbidden: exceeded quota: lab", True), ("no right", False)):
        script.on("POST", JOBS, (403, status(403, "Forbidden", words)))
        with pytest.raises(ClusterRefusedError) as caught:
            api.create_job(job_manifest(order()))
        assert caught.value.is_quota is is_quota


def test_job_and_secret_are_sent_whole_and_checked_strictly(
    api: ClusterApi, script: Script
) -> None:
    script.on("POST", JOBS, (201, JOB))
    script.on("POST", "/api/v1/namespaces/sorting/secrets", (201, JOB))
    api.create_job(job_manifest(order()))
    api.create_secret(secret_manifest(order(), "u"))
    made, secret = script.requests
    assert made.body == job_manifest(order())
    assert secret.body == secret_manifest(order(), "u")
    assert made.query == secret.query == {"fieldValidation": "Strict"}


def test_a_change_is_merged_and_a_deletion_says_how_and_which(
    api: ClusterApi, script: Script
) -> None:
    script.on("PATCH", f"{JOBS}/a", (200, JOB))
    script.on("DELETE", f"{JOBS}/a", (200, JOB))
    change = {"metadata": {"labels": {"x": "y"}}, "spec": {"ttlSecondsAfterFinished": 5}}
    api.patch_job("a", change)
    api.delete_job("a", "u", policy="Foreground")
    patched, deleted = script.requests
    assert (patched.body, patched.content_type) == (change, "application/merge-patch+json")
    assert deleted.body == {"propagationPolicy": "Foreground", "preconditions": {"uid": "u"}}


def test_warnings_are_asked_for_alone(api: ClusterApi, script: Script) -> None:
    script.on("GET", EVENTS, listing("w"))
    assert api.list_warnings() == ["w"]
    assert script.requests[0].query["fieldSelector"] == "type=Warning"


def test_a_queue_that_is_not_installed_or_not_shown_has_no_words(
    api: ClusterApi, script: Script
) -> None:
    assert api.list_workloads() == []
    script.on("GET", WORKLOADS, (403, status(403, "Forbidden", "no right")))
    assert api.list_workloads() == []
    script.on("GET", WORKLOADS, listing({"spec": {}}))
    assert api.list_workloads() == [{"spec": {}}]


def test_a_log_comes_as_it_is(api: ClusterApi, script: Script) -> None:
    script.on("GET", f"{PODS}/p/log", (200, b"one\ntwo\xff\n"))
    assert b"".join(api.read_log("p", "sorter")) == b"one\ntwo\xff\n"
    assert script.requests[0].query == {"container": "sorter"}


def test_a_server_that_is_not_there_is_unreachable() -> None:
    api = connect(url="http://127.0.0.1:1", namespace="sorting")
    api.pause = lambda _s: None
    with pytest.raises(ClusterUnreachableError, match="did not answer"):
        api.get_job("a")


def test_outside_any_cluster_the_error_says_what_to_do(tmp_path: Path) -> None:
    for kubeconfig in (None, tmp_path / "absent"):
        with pytest.raises(ClusterUnreachableError, match="name a kubeconfig"):
            connect(kubeconfig=kubeconfig)


def test_a_kubeconfig_gives_address_and_namespace(tmp_path: Path, script: Script) -> None:
    script.on("GET", f"{JOBS}/a", (200, JOB))
    path = tmp_path / "config"
    path.write_text(
        f"""{{"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters":
        [{{"name": "k", "cluster": {{"server": "{script.url}"}}}}], "users": [], "contexts":
        [{{"name": "c", "context": {{"cluster": "k", "user": "", "namespace": "sorting"}}}}]}}"""
    )
    assert connect(kubeconfig=path).get_job("a") == JOB
