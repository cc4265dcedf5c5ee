"""Recipes of images, constraints, skaffold, chart and extras name the same things."""

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.house.charts import CHART, read_yaml
from tests.house.source import ROOT, project_files

from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.deploy.settings import confined_environment

IMAGES = ROOT / "images"
RECIPES = {path.name.removesuffix(".Dockerfile"): path for path in IMAGES.glob("*.Dockerfile")}
SKAFFOLD = read_yaml(ROOT / "skaffold.yaml")


def _script(name: str) -> ModuleType:
    """A script of images/, which is no part of the package."""
    spec = importlib.util.spec_from_file_location(name, IMAGES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _text(image: str) -> str:
    return RECIPES[image].read_text(encoding="utf-8")


def _extras(image: str) -> list[str]:
    (line,) = re.findall(r"requirements\.py pyproject\.toml (.+) >", _text(image))
    return list(line.split())


def _built(profile: str = "") -> dict[str, str]:
    """Dockerfile by image name, of skaffold's base or with a profile's additions."""
    artifacts = list(SKAFFOLD["build"]["artifacts"])
    for each in SKAFFOLD["profiles"]:
        if each["name"] == profile:
            artifacts += [
                patch["value"]
                for patch in each.get("patches", [])
                if patch["path"] == "/build/artifacts/-"
            ]
    return {artifact["image"]: artifact["docker"]["dockerfile"] for artifact in artifacts}


def _set_values(profile: str = "") -> dict[str, str]:
    """What skaffold gives the chart, of its base or with a profile's additions."""
    place = "/deploy/helm/releases/0/setValueTemplates"
    values = dict(SKAFFOLD["deploy"]["helm"]["releases"][0]["setValueTemplates"])
    for each in SKAFFOLD["profiles"]:
        for patch in each.get("patches", []) if each["name"] == profile else []:
            if patch["path"] == place:
                values = dict(patch["value"])
            elif patch["path"].startswith(place):
                values[patch["path"].removeprefix(f"{place}/")] = patch["value"]
    return values


def test_every_plain_yaml_file_parses() -> None:
    plain = [
        path
        for path in project_files()
        if path.suffix in (".yaml", ".yml") and "templates" not in path.parts
    ]
    assert plain
    for path in plain:
        assert read_yaml(path) is not None, path


def test_the_chart_names_the_served_rooms_of_the_plan() -> None:
    plan = (ROOT / ".importlinter").read_text(encoding="utf-8")
    line = next(line for line in plan.splitlines() if "runner |" in line)
    rooms = {name.strip() for name in line.split("|")} - {"runner"}
    assert set(read_yaml(CHART / "values.yaml")["rooms"]) == rooms


def test_the_chart_pulls_exactly_the_images_that_have_a_recipe() -> None:
    values = read_yaml(CHART / "values.yaml")
    runners = values["runners"]
    named = {values["image"]["repository"], runners["defaults"]["image"]["repository"]}
    named |= {
        profile["image"]["repository"]
        for profile in runners["profiles"].values()
        if "image" in profile
    }
    assert named == {f"spikefleet-{image}" for image in RECIPES}


def test_every_runner_profile_is_of_a_sorter() -> None:
    assert set(read_yaml(CHART / "values.yaml")["runners"]["profiles"]) - {"default"} <= set(
        BACKENDS
    )


@pytest.mark.parametrize("profile", ["", "cpu", "gpu", "ci"])
def test_skaffold_builds_images_of_the_recipes(profile: str) -> None:
    built = _built(profile)
    assert built == {image: f"images/{image.removeprefix('spikefleet-')}.Dockerfile"
                     for image in built}  # fmt: skip
    assert {Path(name).name for name in built.values()} <= {p.name for p in RECIPES.values()}
    if profile in ("gpu", "ci"):
        assert len(built) == len(RECIPES)


@pytest.mark.parametrize("profile", ["", "cpu", "gpu"])
def test_skaffold_sets_values_of_images_that_it_builds(profile: str) -> None:
    given = _set_values(profile)
    assert given
    for path, template in given.items():
        place = read_yaml(CHART / "values.yaml")
        for key in path.split(".")[:-1]:
            place = place[key]
        kind = path.rpartition(".")[2]
        assert kind in ("repository", "tag", "digest"), path
        (variable,) = re.findall(r"\.IMAGE_[A-Z]+_(\w+)}}", template)
        assert variable.replace("_", "-") in _built(profile), path
        assert place["repository"] == variable.replace("_", "-"), path


def test_skaffolds_values_files_are_there_and_its_profiles_are_those_of_the_readme() -> None:
    assert SKAFFOLD["apiVersion"] == "skaffold/v4beta13"
    assert [profile["name"] for profile in SKAFFOLD["profiles"]] == ["cpu", "gpu", "ci"]
    files = list(SKAFFOLD["deploy"]["helm"]["releases"][0]["valuesFiles"])
    files += [p["value"] for each in SKAFFOLD["profiles"] for p in each.get("patches", [])
              if "valuesFiles" in p["path"]]  # fmt: skip
    assert len(files) == 2
    assert all((ROOT / name).is_file() for name in files)


def test_every_recipe_installs_extras_that_are_there_and_its_own_constraints() -> None:
    assert {"rooms", "cpu-sorters", "kilosort4"} <= set(RECIPES)
    extras = _project()["optional-dependencies"]
    for image in RECIPES:
        assert set(_extras(image)) <= set(extras), image
        (name,) = re.findall(r"COPY images/constraints/([\w-]+)\.txt", _text(image))
        assert name == image
        assert (IMAGES / "constraints" / f"{name}.txt").is_file()


def test_every_requirement_of_an_image_is_pinned_by_its_constraints() -> None:
    script = _script("requirements")
    for image in RECIPES:
        wanted = script.requirements(ROOT / "pyproject.toml", _extras(image))
        assert len(wanted) > 10, image
        pinned = {line.partition("==")[0] for line in
                  (IMAGES / "constraints" / f"{image}.txt").read_text().splitlines()}  # fmt: skip
        names = {re.split(r"[\[<>=!~ ;]", line)[0] for line in wanted}
        assert names - pinned == set(), image


def test_extras_that_name_each_other_are_resolved_without_the_distribution_itself() -> None:
    wanted = _script("requirements").requirements(ROOT / "pyproject.toml", ["kilosort4"])
    assert any(line.startswith("kilosort>=") for line in wanted)
    assert any(line.startswith("spikeinterface>=") for line in wanted), (
        "kilosort4 > runner > science"
    )
    assert any(line.startswith("grpcio>=") for line in wanted), "what every installation needs"
    assert not any(line.startswith("spikefleet") for line in wanted)


def test_every_recipe_has_two_stages_no_root_and_our_wheel_last() -> None:
    for image in RECIPES:
        text = _text(image)
        assert re.findall(r"^FROM \$\{BASE\}( AS build)?$", text, re.MULTILINE) == [" AS build", ""]
        assert "ARG BASE=python:3.11-slim-bookworm" in text
        assert "USER 10001:10001" in text
        last = re.findall(r"^(?:RUN|COPY) .+(?:\n .+)*", text, re.MULTILINE)[-1]
        assert "--no-deps /wheels/spikefleet-" in last, image
        assert "licences.json" in last, image
        assert "--no-cache-dir" in text
        assert not re.search(r"pip install(?!.*--no-cache-dir)", text), image


def test_what_an_image_prepares_for_a_sorter_reaches_its_confined_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared = set(re.findall(r"^ENV (\w+DOWNLOADS_PATH)=", _text("kilosort4"), re.MULTILINE))
    assert prepared == {"KILOSORT_LOCAL_DOWNLOADS_PATH"}
    for name in prepared:
        monkeypatch.setenv(name, "/usr/share/kilosort")
        assert confined_environment()[name] == "/usr/share/kilosort"


def test_every_recipe_copies_only_what_is_there_and_not_ignored() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines()
              if line.startswith("!")}  # fmt: skip
    for image in RECIPES:
        for line in re.findall(r"^COPY (?!--from)(.+)$", _text(image), re.MULTILINE):
            for name in line.split()[:-1]:
                assert (ROOT / name).exists(), f"{image}: {name}"
                assert {name, *map(str, Path(name).parents)} & let_in, f"{image}: {name}"


def test_the_stubs_are_generated_by_the_versions_that_the_distribution_names() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    for image in RECIPES:
        (line,) = re.findall(r"/build/bin/pip install (.+)", _text(image))
        given = {word.strip('"') for word in line.split() if not word.startswith("--")}
        assert given == set(build["requires"]), image


def test_one_torch_version_is_pinned_everywhere() -> None:
    names = ["Makefile", "images/constraints/embedded.txt"]
    names += [f"images/{image}.Dockerfile" for image in RECIPES if "TORCH" in _text(image)]
    names += [f"images/constraints/{image}.txt" for image in RECIPES if "TORCH" in _text(image)]
    assert len(names) == 6
    pins = {
        name: set(re.findall(r"torch==[\w.]+", (ROOT / name).read_text(encoding="utf-8")))
        for name in names
    }
    assert set(map(frozenset, pins.values())) == {frozenset(pins["Makefile"])}, pins


def test_the_constraints_agree_with_each_other() -> None:
    def pins(name: str) -> set[str]:
        lines = (IMAGES / "constraints" / f"{name}.txt").read_text().splitlines()
        return {line for line in lines if not line.startswith("#")}

    for image in RECIPES:
        assert pins(image) <= pins("embedded"), image
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[\w.!]+", pin) for pin in pins("embedded"))


def test_the_list_of_licences_tells_version_and_licence_of_what_is_installed() -> None:
    rows = {row["name"]: row for row in _script("licences").licences()}
    assert rows["spikefleet"] == {
        "name": "spikefleet", "version": _project()["version"], "licence": "MIT",
    }  # fmt: skip
    assert rows["protobuf"]["licence"] != "unknown"
    assert [name for name, row in rows.items() if not row["version"]] == []
