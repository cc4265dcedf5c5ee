"""Renders the chart with helm, for the tests that read it. Skips loudly where helm is missing."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.house.source import ROOT

CHART = ROOT / "charts" / "spikefleet"
RELEASE = "lab"
# Every use the chart is made for, as whole values files.
USES = sorted(path.name for path in (CHART / "ci").glob("*-values.yaml"))


def read_yaml(path: Path) -> Any:
    """A YAML file's one document."""
    return YAML(typ="safe").load(path)


def program(name: str) -> str:
    """The path of a program beside the interpreter, else on the PATH; skips where there is none."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (`make test` and `make chart` fetch it)")
    return found


def run_helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run helm; the caller judges how it ended."""
    return subprocess.run(
        [program("helm"), *arguments], capture_output=True, text=True, check=False, timeout=120
    )


@cache
def _rendered(arguments: tuple[str, ...]) -> str:
    done = run_helm("template", RELEASE, str(CHART), "--namespace", "sorting", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(use: str, *settings: str) -> list[dict[str, Any]]:
    """The objects of a use, with single values (``a.b=JSON``) on top."""
    words = [word for value in settings for word in ("--set-json", value)]
    arguments = ("-f", str(CHART / "ci" / use), *words)
    return [each for each in YAML(typ="safe").load_all(_rendered(arguments)) if each]


def one(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The one object of a kind whose name is RELEASE-``name``."""
    (found,) = (
        each
        for each in objects
        if each["kind"] == kind and each["metadata"]["name"] == f"{RELEASE}-{name}"
    )
    return found


def rights(objects: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """What the controller's Role grants: API group, resource and verb."""
    return {
        (group, resource, verb)
        for rule in one(objects, "Role", "controller")["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def pod_templates(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pod templates of Deployments and Jobs, by the object's name."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]
        for each in objects
        if each["kind"] in ("Deployment", "Job")
    }
