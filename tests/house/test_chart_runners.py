"""The runner profiles that the chart writes, read by the launcher's own code."""

import json

import pytest
from tests.house.charts import RELEASE, USES, one, pod_templates, render
from tests.support.runner_profiles import order

from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.infra.launchers.kubernetes.manifests import job_manifest
from spikefleet.infra.launchers.kubernetes.profiles import Runners

MINIMAL, POSTGRES = "minimal-values.yaml", "gpu-facility-values.yaml"


@pytest.mark.parametrize("use", USES)
def test_the_launcher_reads_the_profiles_that_the_chart_writes(use: str) -> None:
    objects = render(use)
    config = one(objects, "ConfigMap", "runners")
    runners = Runners.from_json(json.loads(config["data"]["runners.json"]))
    assert runners.owner == config["metadata"]["name"]
    assert runners.instance == RELEASE
    assert one(objects, "ServiceAccount", "runner")["metadata"]["name"] == runners.service_account
    service, _, port = runners.report_address.partition(":")
    ports = one(objects, "Service", service.removeprefix(f"{RELEASE}-"))["spec"]["ports"]
    assert int(port) in {each["port"] for each in ports}
    offered = [name for name in BACKENDS if runners.offers(name)]
    assert set(BACKENDS) - set(offered) <= {"kilosort4"}
    for sorter in offered:
        assert runners.profile(sorter).image


def test_a_profile_is_laid_over_the_defaults() -> None:
    config = one(render(POSTGRES), "ConfigMap", "runners")
    runners = Runners.from_json(json.loads(config["data"]["runners.json"]))
    kilosort, other = runners.profile("kilosort4"), runners.profile("lupin")
    assert kilosort.gpu is not None
    assert [each.name for each in kilosort.gpu.classes] == ["24g", "80g"]
    assert other.gpu is None
    assert kilosort.priority_class_name == other.priority_class_name == "sorting"
    assert kilosort.active_deadline_s == 259200
    assert runners.profile("mountainsort5").memory_bytes == 64 << 30


def test_recordings_in_place_are_read_at_one_path_by_all_who_open_them() -> None:
    objects = render("air-gapped-values.yaml")
    runners = Runners.from_json(
        json.loads(one(objects, "ConfigMap", "runners")["data"]["runners.json"])
    )
    job = job_manifest(order(runners, backend="lupin"))["spec"]["template"]
    pods = pod_templates(objects) | {"runner": job}
    seeing = {}
    for name, template in pods.items():
        (container,) = template["spec"]["containers"]
        for mount in container["volumeMounts"]:
            if mount["name"] == "recordings":
                assert mount["readOnly"] is True
                seeing[name] = mount["mountPath"]
        claims = [v.get("persistentVolumeClaim") for v in template["spec"]["volumes"]]
        wanted = {"claimName": "lab-archive", "readOnly": True}
        assert (wanted in claims) == (name in seeing)
    places = dict.fromkeys((f"{RELEASE}-controller", f"{RELEASE}-preflight", "runner"))
    assert seeing == dict.fromkeys(places, "/srv/archive")


def test_only_ingest_is_told_which_folder_may_be_registered() -> None:
    claim = 'recordings.claim="archive"'
    told = {
        name: [e["value"] for e in template["spec"]["containers"][0]["env"]
               if e["name"] == "SPIKEFLEET_RECORDING_ROOT"]
        for name, template in pod_templates(render(POSTGRES, claim)).items()
    }  # fmt: skip
    assert {name for name, roots in told.items() if roots} == {f"{RELEASE}-ingest"}
    assert told[f"{RELEASE}-ingest"] == ["/recordings"]
    assert "recordings" not in one(render(POSTGRES), "ConfigMap", "runners")["data"]["runners.json"]


def test_a_sorter_is_switched_off_with_null_or_by_not_naming_it() -> None:
    def offered(*settings: str) -> list[str]:
        document = one(render("gpu-facility-values.yaml", *settings), "ConfigMap", "runners")
        runners = Runners.from_json(json.loads(document["data"]["runners.json"]))
        return [name for name in BACKENDS if runners.offers(name)]

    assert offered() == list(BACKENDS)
    assert offered("runners.profiles.kilosort4=null", "runners.profiles.lupin=null") == [
        name for name in BACKENDS if name not in ("kilosort4", "lupin")
    ]
    named = {"kilosort4", "lupin", "mountainsort5"}  # two of them by profiles of their own
    assert set(offered('runners.defaultSorters=["lupin"]')) == named


def test_the_buckets_secret_is_mounted_whole_so_that_its_authority_comes_along() -> None:
    objects = render(POSTGRES)
    document = one(objects, "ConfigMap", "runners")["data"]["runners.json"]
    job = job_manifest(order(Runners.from_json(json.loads(document)), backend="lupin"))
    pods = [*pod_templates(objects).values(), job["spec"]["template"]]
    mounted = [
        volume["secret"]
        for pod in pods
        for volume in pod["spec"]["volumes"]
        if volume["name"] == "s3"
    ]
    assert len(mounted) > 4
    assert all("items" not in secret for secret in mounted)
