"""What the operator's pages tell to type: objects, values and manifests that are really there."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML
from tests.house.charts import CHART, RELEASE, one, read_yaml, render, run_helm
from tests.house.source import ROOT

PAGES = sorted((ROOT / "docs" / "operations").glob("*.md"))
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
INSTALL, RUN = (ROOT / "docs" / "operations" / name for name in ("install.md", "run.md"))
MINIMAL, POSTGRES = "minimal-values.yaml", "gpu-facility-values.yaml"
KINDS = {"deployment": "Deployment", "service": "Service", "job": "Job", "secret": "Secret"}


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page, without the indentation of the list they stand in."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", page.read_text(encoding="utf-8"),
                       re.MULTILINE | re.DOTALL)  # fmt: skip
    return ["".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))
            for indent, text in found]  # fmt: skip


def test_every_object_that_a_command_names_is_one_of_the_chart() -> None:
    made = {
        (each["kind"], each["metadata"]["name"])
        for use in (MINIMAL, POSTGRES)
        for each in render(use)
    }
    named = set(re.findall(rf"\b(deployment|service|job)/({RELEASE}-[a-z]+)", TEXT))
    assert len(named) >= 4
    assert {(KINDS[kind], name) for kind, name in named} <= made


def test_every_value_that_a_page_names_is_one_of_the_chart() -> None:
    """``network.rigs``, ``gpu.classes`` of a profile, ``rooms.ROOM.resources``."""
    values = read_yaml(CHART / "values.yaml")
    gpu = values["runners"]["profiles"]["kilosort4"]["gpu"]
    profile = values["runners"]["defaults"] | {"gpu": gpu, "priorityClassName": "", "image": {}}
    roots = values | {"gpu": gpu, "scratch": profile["scratch"], "storage": {"size": ""}}
    unknown = []
    for words in re.findall(r"`([a-zA-Z]+(?:\.[a-zA-Z_0-9]+)+)(?::[^`]*)?`", TEXT):
        first, *rest = words.split(".")
        if first not in roots or first == "settings":
            continue
        place: Any = roots[first]
        for key in rest:
            if first == "runners" and place is values["runners"]["profiles"]:
                place = profile
            elif first == "rooms" and key == "ROOM":
                place = values["rooms"]["reporter"] | values["rooms"]["ingest"]
            elif isinstance(place, dict) and key in place:
                place = place[key]
            elif place == {} and key == "digest":
                place = ""
            else:
                unknown.append(words)
                break
    assert unknown == []


def test_the_values_to_begin_with_install_the_chart(tmp_path: Path) -> None:
    (text,) = blocks(INSTALL, "yaml")
    (tmp_path / "values.yaml").write_text(text.replace("HOST", "s3.lab.internal"), encoding="utf-8")
    done = run_helm("template", RELEASE, str(CHART), "-f", str(tmp_path / "values.yaml"))
    assert done.returncode == 0, done.stderr
    made = [each for each in YAML(typ="safe").load_all(done.stdout) if each]
    (image,) = {
        container["image"]
        for each in made
        if each["kind"] == "Deployment"
        for container in each["spec"]["template"]["spec"]["containers"]
    }
    assert image == "registry.lab.internal/spikefleet-rooms:v1"


def test_the_pod_that_brings_a_database_back_may_be_made_where_pods_are_restricted() -> None:
    (text,) = (each for each in blocks(RUN, "bash") if "kind: Pod" in each)
    pod = YAML(typ="safe").load(text.partition("<<'EOF'\n")[2].partition("EOF\n")[0])
    kubernetes_validate.validate(pod, "1.37", strict=True)
    deployment = one(render(MINIMAL), "Deployment", "controller")["spec"]["template"]["spec"]
    ours, (restored,) = deployment["containers"][0], pod["spec"]["containers"]
    assert restored["securityContext"] == ours["securityContext"]
    for key, value in pod["spec"]["securityContext"].items():
        assert deployment["securityContext"][key] == value, key
    (volume,) = pod["spec"]["volumes"]
    assert {"name": "data", **{k: v for k, v in volume.items() if k != "name"}} in (
        deployment["volumes"]
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_speaks_of_one_release_and_one_namespace(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    of_a_namespace = r"kubectl (?:exec|logs|get (?:jobs|pods|events)|rollout|scale|top|cp)\b"
    assert re.findall(of_a_namespace, text) == []
    assert set(re.findall(r"kubectl -n (\S+)", text)) <= {"sorting"}
