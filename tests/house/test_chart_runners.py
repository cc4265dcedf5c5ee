"""The runner profiles that the chart writes, read by the launcher's own code."""

import json

import pytest
from tests.house.charts import RELEASE, USES, one, render

from spikefleet.core.sorters.catalogue import BACKENDS
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
    for sorter in BACKENDS:
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
