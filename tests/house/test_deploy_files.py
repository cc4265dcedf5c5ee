"""Deploy files, extras and rooms name the same things; nothing here needs a cluster."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.house.source import ROOT, project_files

from spikefleet.deploy.settings import Settings, load_settings

CHART = ROOT / "charts" / "spikefleet"


def _yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _rooms_of_the_plan() -> set[str]:
    plan = (ROOT / ".importlinter").read_text(encoding="utf-8")
    line = next(line for line in plan.splitlines() if "runner |" in line)
    return {name.strip() for name in line.split("|")}


def _artifacts() -> dict[str, dict[str, Any]]:
    return {
        artifact["image"]: artifact["docker"]
        for artifact in _yaml(ROOT / "skaffold.yaml")["build"]["artifacts"]
    }


def test_every_plain_yaml_file_parses() -> None:
    plain = [
        path
        for path in project_files()
        if path.suffix in (".yaml", ".yml") and "templates" not in path.parts
    ]
    assert plain
    for path in plain:
        assert _yaml(path) is not None, path


def test_the_chart_names_exactly_the_rooms_of_the_plan() -> None:
    assert set(_yaml(CHART / "values.yaml")["rooms"]) == _rooms_of_the_plan()


def test_every_rooms_image_is_built_with_the_extra_the_chart_names() -> None:
    built = {image: docker["buildArgs"]["EXTRA"] for image, docker in _artifacts().items()}
    rooms = _yaml(CHART / "values.yaml")["rooms"]
    assert rooms
    for room, entry in rooms.items():
        assert built.get(entry["image"]) == entry["extra"], room


def test_every_image_has_its_recipe_its_extra_and_its_constraints() -> None:
    extras = _project()["optional-dependencies"]
    artifacts = _artifacts()
    assert artifacts
    for image, docker in artifacts.items():
        recipe = ROOT / docker["dockerfile"]
        arguments = docker["buildArgs"]
        assert arguments["EXTRA"] in extras, image
        declared = set(re.findall(r"^ARG (\w+)", recipe.read_text(encoding="utf-8"), re.MULTILINE))
        assert set(arguments) <= declared, image
        if "CONSTRAINTS" in arguments:
            assert (ROOT / "images/constraints" / f"{arguments['CONSTRAINTS']}.txt").is_file()


def test_every_recipe_copies_only_what_is_there() -> None:
    recipes = sorted((ROOT / "images").glob("*.Dockerfile"))
    assert recipes
    for recipe in recipes:
        for line in re.findall(r"^COPY (?!--from)(.+)$", recipe.read_text(), re.MULTILINE):
            for source in line.split()[:-1]:
                name = source.replace("${CONSTRAINTS}", "room")
                assert (ROOT / name).exists(), f"{recipe.name}: {source}"


def test_the_chart_is_released_with_the_distribution() -> None:
    chart = _yaml(CHART / "Chart.yaml")
    assert chart["appVersion"] == _project()["version"]


def test_every_setting_of_the_chart_is_a_setting_of_the_service() -> None:
    template = (CHART / "templates" / "statefulset.yaml").read_text(encoding="utf-8")
    named = {name.lower() for name in re.findall(r"SPIKEFLEET_([A-Z_]+)$", template, re.MULTILINE)}
    named |= set(_yaml(CHART / "values.yaml")["settings"])
    assert named - set(Settings.model_fields) == set()


def test_one_torch_version_is_pinned_everywhere() -> None:
    pins = {
        name: set(re.findall(r"torch==[\w.]+", (ROOT / name).read_text(encoding="utf-8")))
        for name in (
            "Makefile",
            "images/runner-kilosort4.Dockerfile",
            "images/constraints/embedded.txt",
            "images/constraints/kilosort4.txt",
        )
    }
    assert set(map(frozenset, pins.values())) == {frozenset(pins["Makefile"])}, pins


def test_the_constraints_agree_with_each_other() -> None:
    def pins(name: str) -> set[str]:
        lines = (ROOT / "images/constraints" / f"{name}.txt").read_text().splitlines()
        return {line for line in lines if not line.startswith("#")}

    assert pins("room") | pins("kilosort4") <= pins("embedded")
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.!]+", pin) for pin in pins("embedded"))


def _helm(*arguments: str) -> str:
    """Run helm on the chart; what it prints. `make chart` puts helm beside the interpreter."""
    beside = Path(sys.executable).with_name("helm")
    helm = str(beside) if beside.exists() else shutil.which("helm")
    if helm is None:
        pytest.skip("helm is not installed (`make chart` fetches it); the templates were not read")
    done = subprocess.run([helm, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _render(*values: str) -> dict[str, Any]:
    """The chart's objects by kind."""
    settings = [word for value in values for word in ("--set", value)]
    documents = YAML(typ="safe").load_all(_helm("template", "check", str(CHART), *settings))
    return {document["kind"]: document for document in documents if document}


def test_the_chart_passes_helms_own_check() -> None:
    assert "0 chart(s) failed" in _helm("lint", "--strict", str(CHART))


def test_the_chart_renders_what_a_pod_needs() -> None:
    objects = _render()
    assert set(objects) == {"Service", "StatefulSet"}
    service, pods = objects["Service"]["spec"], objects["StatefulSet"]["spec"]
    labels = pods["template"]["metadata"]["labels"]
    assert pods["selector"]["matchLabels"] == labels == service["selector"]
    assert pods["replicas"] == 1
    (container,) = pods["template"]["spec"]["containers"]
    assert {port["targetPort"] for port in service["ports"]} == {
        port["name"] for port in container["ports"]
    }
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {claim["metadata"]["name"] for claim in pods["volumeClaimTemplates"]}


def test_the_chart_gives_the_service_settings_it_accepts() -> None:
    (container,) = _render()["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert all(isinstance(value, str) for value in environment.values())
    settings = load_settings(environment)
    assert settings.address.endswith(":7311")
    assert (settings.metrics_port, settings.data_dir) == (9311, Path("/data"))


def test_the_chart_takes_its_values() -> None:
    objects = _render(
        "settings.upload_idle_s=60", "storage.className=fast", "image.tag=v9", "ports.grpc=8000"
    )
    pods = objects["StatefulSet"]["spec"]
    (container,) = pods["template"]["spec"]["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert load_settings(environment).upload_idle_s == 60
    assert load_settings(environment).address == "0.0.0.0:8000"
    assert container["image"].endswith(":v9")
    assert container["readinessProbe"]["grpc"]["port"] == 8000
    assert pods["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast"
    (claim,) = _render()["StatefulSet"]["spec"]["volumeClaimTemplates"]
    assert "storageClassName" not in claim["spec"], "empty is the cluster's default class"


def test_the_chart_writes_numbers_as_the_service_reads_them(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        "settings: {attempt_memory_bytes: 17179869184, reconcile_interval_s: 0.5, cpu_slots: 3}\n"
    )
    documents = YAML(typ="safe").load_all(_helm("template", "c", str(CHART), "-f", str(values)))
    (pods,) = (document for document in documents if document["kind"] == "StatefulSet")
    (container,) = pods["spec"]["template"]["spec"]["containers"]
    settings = load_settings({entry["name"]: entry["value"] for entry in container["env"]})
    assert settings.attempt_memory_bytes == 16 << 30
    assert (settings.reconcile_interval_s, settings.cpu_slots) == (0.5, 3)
