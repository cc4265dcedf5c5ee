"""Deploy files, extras and rooms name the same things; nothing here needs a cluster."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.house.source import ROOT, project_files

from spikefleet.deploy.settings import Settings

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
    for path in project_files():
        if path.suffix in (".yaml", ".yml") and "templates" not in path.parts:
            assert _yaml(path) is not None, path


def test_the_chart_names_exactly_the_rooms_of_the_plan() -> None:
    assert set(_yaml(CHART / "values.yaml")["rooms"]) == _rooms_of_the_plan()


def test_every_rooms_image_is_built_with_the_extra_the_chart_names() -> None:
    built = {image: docker["buildArgs"]["EXTRA"] for image, docker in _artifacts().items()}
    for room, entry in _yaml(CHART / "values.yaml")["rooms"].items():
        assert built.get(entry["image"]) == entry["extra"], room


def test_every_image_has_its_recipe_its_extra_and_its_constraints() -> None:
    extras = _project()["optional-dependencies"]
    for image, docker in _artifacts().items():
        recipe = ROOT / docker["dockerfile"]
        arguments = docker["buildArgs"]
        assert arguments["EXTRA"] in extras, image
        declared = set(re.findall(r"^ARG (\w+)", recipe.read_text(encoding="utf-8"), re.MULTILINE))
        assert set(arguments) <= declared, image
        if "CONSTRAINTS" in arguments:
            assert (ROOT / "images/constraints" / f"{arguments['CONSTRAINTS']}.txt").is_file()


def test_every_recipe_copies_only_what_is_there() -> None:
    for recipe in sorted((ROOT / "images").glob("*.Dockerfile")):
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


def test_the_chart_renders() -> None:
    if shutil.which("helm") is None:
        pytest.skip("helm is not installed; the chart's values were checked, its templates not")
    done = subprocess.run(
        ["helm", "template", "check", str(CHART)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    kinds = {document["kind"] for document in YAML(typ="safe").load_all(done.stdout) if document}
    assert kinds == {"Service", "StatefulSet"}
