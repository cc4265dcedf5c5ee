"""The chart, rendered by helm for every use it is made for; nothing here needs a cluster."""

import json
from pathlib import Path
from typing import Any

import kubernetes
import kubernetes_validate
import pytest
from tests.house.charts import (
    CHART,
    RELEASE,
    USES,
    one,
    pod_templates,
    read_yaml,
    render,
    run_helm,
)
from tests.house.source import ROOT

MINIMAL, POSTGRES = "minimal-values.yaml", "gpu-facility-values.yaml"
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
# Kinds of other projects: their definitions are not in Kubernetes' own.
FOREIGN = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "GRPCRoute", "LocalQueue"}
CLUSTER_SCOPED = {
    "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace", "PriorityClass",
    "PersistentVolume", "StorageClass", "RuntimeClass", "ClusterQueue", "ResourceFlavor",
    "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
}  # fmt: skip


def _told(objects: list[dict[str, Any]]) -> dict[str, str]:
    return dict(one(objects, "ConfigMap", "settings")["data"])


def _closed(schema: Any, place: str = "") -> list[str]:
    """The objects of a schema that take any key."""
    found = []
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("additionalProperties") is not False:
            found.append(place)
        for key, value in schema.items():
            found += _closed(value, f"{place}/{key}")
    if isinstance(schema, list):
        for index, value in enumerate(schema):
            found += _closed(value, f"{place}/{index}")
    return found


def test_there_is_a_values_file_for_every_use() -> None:
    assert {"minimal", "gpu-facility", "external-services", "air-gapped"} <= {
        name.removesuffix("-values.yaml") for name in USES
    }


@pytest.mark.parametrize("use", USES)
def test_the_chart_passes_helms_own_check(use: str) -> None:
    done = run_helm("lint", "--strict", str(CHART), "-f", str(CHART / "ci" / use))
    assert "0 chart(s) failed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("use", USES)
def test_every_object_is_what_kubernetes_publishes(use: str) -> None:
    objects = [each for each in render(use) if each["kind"] not in FOREIGN]
    assert len(objects) > 15
    for each in objects:
        kubernetes_validate.validate(each, "1.37", strict=True)


@pytest.mark.parametrize("use", USES)
def test_every_object_is_accepted_by_the_typed_client(use: str) -> None:
    client = kubernetes.client.ApiClient()
    for each in render(use):
        if each["kind"] in FOREIGN:
            continue
        version = each["apiVersion"].rpartition("/")[2]
        kind = f"{version.capitalize()}{each['kind']}"
        model = client._ApiClient__deserialize(each, kind)
        # What the client does not know it drops, so a wrong key does not come back.
        assert client.sanitize_for_serialization(model) == each, each["metadata"]["name"]


@pytest.mark.parametrize("use", USES)
def test_no_object_belongs_to_the_whole_cluster(use: str) -> None:
    objects = render(use)
    assert {each["kind"] for each in objects} & CLUSTER_SCOPED == set()
    assert all("namespace" not in each["metadata"] for each in objects)
    assert not (CHART / "crds").exists()


@pytest.mark.parametrize("use", USES)
def test_every_pod_keeps_to_restricted(use: str) -> None:
    templates = pod_templates(render(use))
    assert templates
    for name, template in templates.items():
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] == 10001, name
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
        assert {key for volume in pod["volumes"] for key in volume if key != "name"} <= {
            "configMap", "emptyDir", "secret", "persistentVolumeClaim",
        }, name  # fmt: skip
        assert all("sizeLimit" in v["emptyDir"] for v in pod["volumes"] if "emptyDir" in v), name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name


@pytest.mark.parametrize("use", USES)
def test_every_mount_of_a_pod_has_its_volume_and_every_volume_its_source(use: str) -> None:
    objects = render(use)
    claims = {e["metadata"]["name"] for e in objects if e["kind"] == "PersistentVolumeClaim"}
    claims |= {"spikefleet-history", "lab-archive"}  # those the air-gapped values say are there
    for name, template in pod_templates(objects).items():
        pod = template["spec"]
        (container,) = pod["containers"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes), name
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims, name


@pytest.mark.parametrize("use", USES)
def test_every_service_leads_to_the_pods_that_serve_its_room(use: str) -> None:
    objects = render(use)
    served = {}
    for template in pod_templates([e for e in objects if e["kind"] == "Deployment"]).values():
        for room in template["spec"]["containers"][0]["args"]:
            assert room not in served, f"{room} is served twice"
            served[room] = template["metadata"]["labels"]
    assert set(served) == set(read_yaml(CHART / "values.yaml")["rooms"])
    for room, labels in served.items():
        service = one(objects, "Service", room)["spec"]
        assert service["selector"].items() <= labels.items(), room
        address = _told(objects)[f"SPIKEFLEET_{room.upper()}_ADDRESS"]
        assert address == f"{RELEASE}-{room}:{service['ports'][0]['port']}"


def test_rooms_that_share_an_sqlite_file_share_a_process() -> None:
    deployments = pod_templates(render(MINIMAL))
    args = deployments[f"{RELEASE}-controller"]["spec"]["containers"][0]["args"]
    assert set(args) == {"controller", "ingest", "reporter"}
    assert f"{RELEASE}-ingest" not in deployments
    assert f"{RELEASE}-ingest" in pod_templates(render(POSTGRES))


@pytest.mark.parametrize("use", USES)
def test_who_writes_one_volume_or_decides_is_never_there_twice(use: str) -> None:
    objects = render(use)
    for each in objects:
        if each["kind"] != "Deployment":
            continue
        volumes = each["spec"]["template"]["spec"]["volumes"]
        is_alone = "controller" in each["metadata"]["name"] or any(
            not volume["persistentVolumeClaim"].get("readOnly")
            for volume in volumes
            if "persistentVolumeClaim" in volume
        )
        if is_alone:
            assert each["spec"]["replicas"] == 1
            assert each["spec"]["strategy"] == {"type": "Recreate"}
        else:
            budget = one(
                objects, "PodDisruptionBudget", each["metadata"]["name"][len(RELEASE) + 1 :]
            )
            assert budget["spec"]["maxUnavailable"] == 1


def test_a_digest_of_one_image_is_not_put_on_another() -> None:
    digest = "sha256:" + "a" * 64
    objects = render(
        MINIMAL,
        f'runners.defaults.image.digest="{digest}"',
        'runners.profiles.lupin.image.repository="mine"',
    )
    document = one(objects, "ConfigMap", "runners")["data"]["runners.json"]
    profiles = json.loads(document)["profiles"]
    assert profiles["default"]["image"].endswith("@" + digest)
    assert profiles["lupin"]["image"] == "mine:" + read_yaml(CHART / "Chart.yaml")["appVersion"]


def test_images_of_a_mirror_are_taken_by_digest_from_there() -> None:
    objects = render("air-gapped-values.yaml")
    images = {t["spec"]["containers"][0]["image"] for t in pod_templates(objects).values()}
    runners = json.loads(one(objects, "ConfigMap", "runners")["data"]["runners.json"])
    images |= {profile["image"] for profile in runners["profiles"].values()}
    assert len(images) == 3
    for image in images:
        assert image.startswith("registry.lab.internal:5000/mirror/spikefleet-")
        assert "@sha256:" in image
    secrets = {e["name"] for e in one(objects, "Deployment", "controller")["spec"]["template"]
               ["spec"]["imagePullSecrets"]}  # fmt: skip
    assert secrets == set(runners["profiles"]["default"]["imagePullSecrets"]) == {"mirror-login"}


def test_the_values_are_closed_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    assert _closed(SCHEMA) == []
    for wrong in ("colour=red", "settings.warm_s=3", "rooms.ingest.sise=1", "runners.gpu=1"):
        done = run_helm("template", RELEASE, str(CHART), "-f", str(CHART / "ci" / MINIMAL),
                        "--set", wrong)  # fmt: skip
        assert done.returncode != 0, wrong
        assert "additional propert" in done.stderr.lower(), done.stderr


def test_a_password_in_the_url_and_a_missing_bucket_are_refused() -> None:
    url = "database.url=postgresql://sorter:geheim@db/runs"
    done = run_helm(
        "template", RELEASE, str(CHART), "-f", str(CHART / "ci" / MINIMAL), "--set", url
    )
    assert done.returncode != 0
    assert "does not match pattern" in done.stderr
    done = run_helm("template", RELEASE, str(CHART))
    assert done.returncode != 0
    assert "artifacts.url is needed" in done.stderr


@pytest.mark.parametrize("use", USES)
def test_the_database_is_migrated_before_an_upgrade_where_there_is_a_server(use: str) -> None:
    objects = render(use)
    has_server = "SPIKEFLEET_DATABASE_URL" in _told(objects)
    jobs = [each for each in objects if each["kind"] == "Job"]
    assert len(jobs) == has_server
    for job in jobs:
        assert "pre-upgrade" in job["metadata"]["annotations"]["helm.sh/hook"]
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["command"][-1] == "--migrate"
        told = {entry["name"]: entry["value"] for entry in container["env"]}
        url = "SPIKEFLEET_DATABASE_URL"
        assert told[url] == _told(objects)[url]


def test_what_the_chart_makes_up_is_one_secret_that_can_be_named_instead() -> None:
    made = [each["metadata"]["name"] for each in render(MINIMAL) if each["kind"] == "Secret"]
    assert made == [f"{RELEASE}-rooms"]
    assert not [e for e in render("external-services-values.yaml") if e["kind"] == "Secret"]


def test_the_chart_is_released_with_the_distribution() -> None:
    version = f'version = "{read_yaml(CHART / "Chart.yaml")["appVersion"]}"'
    assert version in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
