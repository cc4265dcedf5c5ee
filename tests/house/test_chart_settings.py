"""The settings that the chart writes, read by the service's own code."""

import json
from pathlib import PurePosixPath
from typing import Any

import pytest
from tests.house.charts import CHART, USES, one, pod_templates, read_yaml, render

from spikefleet.deploy.settings import Settings, load_settings

MINIMAL, POSTGRES = "minimal-values.yaml", "gpu-facility-values.yaml"
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
# Settings that the chart gives itself, or that mean nothing where rooms are pods of their own.
NOT_CHOSEN = {
    "address", "data_dir", "database_url", "database_password_file", "artifacts_url",
    "s3_credentials", "metrics_port", "metrics_targets", "room_secret_file", "runners_file",
    "ingest_address", "preflight_address", "curation_address", "reporter_address",
    "controller_address", "attempt_memory_bytes", "attempt_scratch_bytes",
    "recording_root", "image_digest", "warm_s", "stop_attempts_on_exit", "until_input_ends",
    "insecure", "kubeconfig", "ca_file",
}  # fmt: skip


def _settings_of(objects: list[dict[str, Any]]) -> Settings:
    data = one(objects, "ConfigMap", "settings")["data"]
    assert all(isinstance(value, str) for value in data.values())
    return load_settings(data)


@pytest.mark.parametrize("use", USES)
def test_the_service_reads_the_settings_that_the_chart_writes(use: str) -> None:
    values = read_yaml(CHART / "ci" / use)
    settings = _settings_of(render(use))
    assert settings.artifacts_url == values["artifacts"]["url"]
    assert settings.database_url == values.get("database", {}).get("url", "")
    assert settings.address == "0.0.0.0:7311"
    assert settings.drain_s == 5
    for name, value in values.get("settings", {}).items():
        assert getattr(settings, name) == value, name


def test_large_and_broken_numbers_reach_the_service_as_numbers() -> None:
    settings = _settings_of(
        render(
            MINIMAL,
            "settings.opening_memory_bytes=17179869184",
            "settings.reconcile_interval_s=0.5",
        )
    )
    assert settings.opening_memory_bytes == 16 << 30
    assert settings.reconcile_interval_s == 0.5


def test_every_setting_is_a_value_or_is_the_charts_own() -> None:
    offered = set(SCHEMA["properties"]["settings"]["properties"])
    assert offered & NOT_CHOSEN == set()
    assert offered <= set(Settings.model_fields)
    assert set(Settings.model_fields) - offered - NOT_CHOSEN == set()


@pytest.mark.parametrize("use", USES)
def test_the_data_folder_is_made_by_the_room_and_is_no_volume_itself(use: str) -> None:
    """The root of a volume is root's and open to the pod's group: a room would refuse it."""
    objects = render(use)
    folder = one(objects, "ConfigMap", "settings")["data"]["SPIKEFLEET_DATA_DIR"]
    deployments = [each for each in objects if each["kind"] == "Deployment"]
    for template in pod_templates(deployments).values():
        (container,) = template["spec"]["containers"]
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert str(PurePosixPath(folder).parent) in mounts
        assert folder not in mounts


def test_rooms_of_one_pod_reach_each_other_without_a_service() -> None:
    """Not every cluster network leads a pod back to itself through a Service."""
    objects = render(MINIMAL)
    shared = 0
    for template in pod_templates([e for e in objects if e["kind"] == "Deployment"]).values():
        (container,) = template["spec"]["containers"]
        told = {entry["name"]: entry["value"] for entry in container["env"]}
        served = container["args"] if len(container["args"]) > 1 else []
        shared += len(served)
        for room in served:
            assert told[f"SPIKEFLEET_{room.upper()}_ADDRESS"] == "127.0.0.1:7311"
    assert shared == 3
