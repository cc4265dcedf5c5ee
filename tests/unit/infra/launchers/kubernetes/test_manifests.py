"""The Job of an attempt: accepted by the typed client and the published schemas, and restricted."""

import json
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes import client
from tests.support.runner_profiles import CPU, GIB, order, runners

from spikefleet.core.failures.codes import BY_EXIT_CODE
from spikefleet.infra.launchers.kubernetes.manifests import (
    ATTEMPT_ID,
    INSTANCE,
    NAME_CHARACTERS,
    failure_rules,
    job_manifest,
    job_name,
    secret_manifest,
    selector,
)
from spikefleet.infra.launchers.kubernetes.quantities import bytes_of

CLAIMED = CPU | {"scratch": {"size": "1Gi", "claim": "fast-disk"}}
ORDERS = {
    "cpu": order(),
    "gpu": order(backend="kilosort4", gpu=True),
    "retry": order(backend="kilosort4", gpu=True, number=3, gpu_class="80g", exclude_nodes=("a",)),
    "queued": order(runners(queue="lab-a", retryPriorityClass="retry"), number=2),
    "in place": order(runners(recordings={"claim": "archive", "path": "/recordings"})),
    "claim": order(runners(profiles={"default": CLAIMED}, s3Secret="")),
}


def pod_of(name: str) -> dict[str, Any]:
    return job_manifest(ORDERS[name])["spec"]["template"]["spec"]


def sorter_of(name: str) -> dict[str, Any]:
    (container,) = pod_of(name)["containers"]
    return container


def volumes_of(name: str) -> dict[str, Any]:
    return {volume["name"]: volume for volume in pod_of(name)["volumes"]}


@pytest.mark.parametrize("name", ORDERS)
def test_the_typed_client_knows_every_key_of_the_job(name: str) -> None:
    manifest = job_manifest(ORDERS[name])
    typed = client.V1Job.from_dict(manifest)
    assert typed is not None
    assert client.ApiClient().sanitize_for_serialization(typed) == manifest


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("version", ["1.31", "1.36"])
def test_the_published_schema_accepts_job_and_secret(name: str, version: str) -> None:
    for manifest in (job_manifest(ORDERS[name]), secret_manifest(ORDERS[name], "uid")):
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("name", ORDERS)
def test_every_pod_is_restricted(name: str) -> None:
    pod, sorter = pod_of(name), sorter_of(name)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert sorter["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    kinds = {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]}
    assert kinds <= {"emptyDir", "secret", "persistentVolumeClaim"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()


def test_nothing_is_repeated_by_the_cluster_and_nothing_expires_before_its_outcome() -> None:
    spec = job_manifest(order())["spec"]
    assert (spec["backoffLimit"], spec["completions"], spec["parallelism"]) == (0, 1, 1)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert "ttlSecondsAfterFinished" not in spec
    assert "activeDeadlineSeconds" not in spec


def test_every_rule_names_the_container_or_the_disruption_and_fails_the_job() -> None:
    codes, disruption, rest = failure_rules()
    told = codes["onExitCodes"]
    assert set(told["values"]) == BY_EXIT_CODE.keys() - {113}
    assert disruption["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert (rest["onExitCodes"]["operator"], rest["onExitCodes"]["values"]) == ("NotIn", [0])
    for rule in (codes, rest):
        assert rule["onExitCodes"]["containerName"] == "sorter"
        assert rule["onExitCodes"]["values"] == sorted(rule["onExitCodes"]["values"])
        assert len(rule["onExitCodes"]["values"]) <= 255
    assert {rule["action"] for rule in failure_rules()} == {"FailJob"}


def test_the_job_says_whose_it_is_and_goes_with_its_installation() -> None:
    metadata = job_manifest(order())["metadata"]
    assert metadata["annotations"][ATTEMPT_ID] == "attempt-1"
    assert metadata["labels"][INSTANCE] == "lab"
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "lab-runners", "uid": "owner-uid"}
    assert metadata["ownerReferences"] == [owner]
    found = dict(pair.split("=") for pair in selector(runners()).split(","))
    template = job_manifest(order())["spec"]["template"]["metadata"]["labels"]
    assert found.items() <= metadata["labels"].items()
    assert found.items() <= template.items()


def test_a_queue_is_named_on_the_job_alone_and_only_where_there_is_one() -> None:
    queued = job_manifest(ORDERS["queued"])
    assert queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "lab-a"
    assert queued["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "retry"
    assert "kueue.x-k8s.io/queue-name" not in queued["spec"]["template"]["metadata"]["labels"]
    assert "suspend" not in queued["spec"]
    first = job_manifest(order(runners(queue="lab-a", retryPriorityClass="retry")))
    assert "kueue.x-k8s.io/priority-class" not in first["metadata"]["labels"]
    assert "kueue" not in json.dumps(job_manifest(ORDERS["cpu"])["metadata"])


def test_the_pod_is_told_where_its_order_lies_and_what_it_is() -> None:
    sorter = sorter_of("gpu")
    said = {entry["name"]: entry.get("value") for entry in sorter["env"]}
    assert sorter["command"] == ["python", "-m", "spikefleet.deploy.pod"]
    assert "args" not in sorter
    assert said["SPIKEFLEET_ATTEMPT_SPEC"].endswith("/attempts/sort-1/spec.json")
    assert said["SPIKEFLEET_ATTEMPT_ID"] == order().spec.attempt_id
    assert said["SPIKEFLEET_ATTEMPT_SPEC_SHA256"] == "0f" * 32
    assert said["SPIKEFLEET_IMAGE_DIGEST"] == "sha256:" + "ab" * 32
    assert said["OMP_NUM_THREADS"] == "4"
    assert said["MKL_DEBUG_CPU_TYPE"] == "5"
    fields = {entry["name"]: entry["valueFrom"] for entry in sorter["env"] if "valueFrom" in entry}
    assert fields["SPIKEFLEET_NODE_NAME"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    memory = fields["SPIKEFLEET_POD_MEMORY_BYTES"]["resourceFieldRef"]
    assert memory == {"containerName": "sorter", "resource": "limits.memory"}


def test_only_a_pod_on_a_claim_is_told_that_its_scratch_stays() -> None:
    told = {name: {e["name"]: e.get("value") for e in sorter_of(name)["env"]} for name in ORDERS}
    assert told["claim"]["SPIKEFLEET_SCRATCH_STAYS"] == "true"
    assert "SPIKEFLEET_SCRATCH_STAYS" not in told["cpu"]


def test_the_secret_of_the_attempt_is_no_value_of_the_job_and_goes_with_it() -> None:
    assert "5ec2e7" not in json.dumps(job_manifest(order()))
    secret = secret_manifest(order(), "job-uid")
    assert secret["stringData"] == {"secret": "5ec2e7"}
    assert secret["metadata"]["ownerReferences"][0]["uid"] == "job-uid"
    mounted = volumes_of("cpu")["attempt"]["secret"]
    assert mounted == {"secretName": secret["metadata"]["name"], "defaultMode": 0o440}


def test_another_secret_has_another_name() -> None:
    names = {order().secret_name, ORDERS["gpu"].secret_name}
    assert names == {order().secret_name}
    changed = order()
    assert type(changed)(changed.spec, "", "", changed.runners, "", "b").secret_name not in names


def test_a_store_without_a_secret_mounts_none() -> None:
    assert "s3" not in volumes_of("claim")
    names = {entry["name"] for entry in sorter_of("claim")["env"]}
    assert "SPIKEFLEET_S3_CREDENTIALS" not in names
    assert "SPIKEFLEET_S3_CREDENTIALS" in {entry["name"] for entry in sorter_of("cpu")["env"]}


def test_recordings_in_place_can_be_read_and_not_be_written() -> None:
    source = {"claimName": "archive", "readOnly": True}
    assert volumes_of("in place")["recordings"]["persistentVolumeClaim"] == source
    (mount,) = (m for m in sorter_of("in place")["volumeMounts"] if m["name"] == "recordings")
    assert mount == {"name": "recordings", "mountPath": "/recordings", "readOnly": True}
    assert "recordings" not in volumes_of("cpu")


def test_memory_and_scratch_are_those_of_the_attempt_and_no_more_than_the_largest() -> None:
    def sizes(**changes: Any) -> tuple[int, int]:
        pod = job_manifest(order(**changes))["spec"]["template"]["spec"]
        scratch = next(volume for volume in pod["volumes"] if volume["name"] == "scratch")
        resources = pod["containers"][0]["resources"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"]
        memory = bytes_of(resources["limits"]["memory"])
        return memory // GIB, bytes_of(scratch["emptyDir"]["sizeLimit"]) // GIB

    assert sizes() == (16, 100)
    assert sizes(memory_limit_bytes=24 * GIB, scratch_limit_bytes=300 * GIB) == (24, 300)
    assert sizes(memory_limit_bytes=999 * GIB, scratch_limit_bytes=9999 * GIB) == (64, 1024)


def test_room_for_scratch_is_asked_of_the_node_and_a_claim_asks_none() -> None:
    asked = sorter_of("cpu")["resources"]
    assert bytes_of(asked["requests"]["ephemeral-storage"]) == 102 * GIB
    assert bytes_of(asked["limits"]["ephemeral-storage"]) == 106 * GIB
    assert "ephemeral-storage" not in sorter_of("claim")["resources"]["limits"]
    claim = volumes_of("claim")["scratch"]["persistentVolumeClaim"]
    assert claim == {"claimName": "fast-disk"}


def test_a_gpu_is_asked_for_by_its_resource_and_its_class_by_label() -> None:
    for name, size in (("gpu", "24g"), ("retry", "80g")):
        assert sorter_of(name)["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert pod_of(name)["nodeSelector"] == {"pool": "sorting", "gpu.memory": size}
        assert pod_of(name)["runtimeClassName"] == "nvidia"


def test_an_attempt_without_a_gpu_sees_none() -> None:
    said = {entry["name"]: entry.get("value") for entry in sorter_of("cpu")["env"]}
    assert (said["NVIDIA_VISIBLE_DEVICES"], said["CUDA_VISIBLE_DEVICES"]) == ("void", "")
    assert "nvidia.com/gpu" not in sorter_of("cpu")["resources"]["limits"]
    assert "CUDA_VISIBLE_DEVICES" not in {entry["name"] for entry in sorter_of("gpu")["env"]}


def test_a_pod_leaves_a_lost_node_after_a_minute_and_keeps_the_profiles_tolerations() -> None:
    tolerations = pod_of("gpu")["tolerations"]
    seconds = {each["key"]: each.get("tolerationSeconds") for each in tolerations}
    assert seconds == {
        "node.kubernetes.io/not-ready": 60,
        "node.kubernetes.io/unreachable": 60,
        "nvidia.com/gpu": None,
    }


def test_nodes_with_faults_are_avoided_where_there_are_others() -> None:
    rules = pod_of("retry")["affinity"]["nodeAffinity"]
    (term,) = rules["preferredDuringSchedulingIgnoredDuringExecution"]
    expected = {"key": "metadata.name", "operator": "NotIn", "values": ["a"]}
    assert term["preference"]["matchFields"] == [expected]
    assert "affinity" not in pod_of("gpu")


def test_the_deadline_is_the_pods_so_that_waiting_for_room_does_not_count() -> None:
    assert pod_of("gpu")["activeDeadlineSeconds"] == 259200
    assert "activeDeadlineSeconds" not in pod_of("cpu")


def test_a_name_that_fits_is_kept() -> None:
    assert job_name("s-0123456789abcdef-sort-12") == "s-0123456789abcdef-sort-12"


@given(st.text(min_size=1, max_size=120))
def test_every_name_becomes_one_that_a_job_may_have(name: str) -> None:
    found = job_name(name)
    assert found == job_name(name)
    assert len(found) <= NAME_CHARACTERS
    assert all(c.isascii() and (c.isdigit() or c.islower() or c == "-") for c in found)
    assert found[0] != "-"
    assert found[-1] != "-"


@given(st.lists(st.text(min_size=1, max_size=80), unique=True, max_size=20))
def test_two_attempts_never_share_a_name(names: list[str]) -> None:
    assert len({job_name(name) for name in names}) == len(names)
