"""What the chart's pods may ask of the cluster, and whom they may reach."""

import re
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.house.charts import CHART, RELEASE, USES, one, pod_templates, render, run_helm
from tests.house.source import PACKAGE

from spikefleet.deploy.leadership import lease_name

LAUNCHER = PACKAGE / "infra" / "launchers" / "kubernetes"
# The client's words where they are not the cluster's.
VERBS = {"read": "get", "replace": "update"}
RESOURCES = {
    "config_map": "configmaps",
    "pod_log": "pods/log",
    "custom_object": "workloads",
}
MINIMAL, POSTGRES = "minimal-values.yaml", "gpu-facility-values.yaml"


def _rights(objects: list[dict[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for rule in one(objects, "Role", "controller")["rules"]:
        assert rule["verbs"]
        assert "*" not in {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
        for resource in rule["resources"]:
            found.setdefault(resource, set()).update(rule["verbs"])
    return found


def test_the_controller_may_do_exactly_what_it_does() -> None:
    assert _rights(render(MINIMAL)) == {
        "jobs": {"create", "delete", "get", "list", "patch", "watch"},
        "pods": {"list", "watch"},
        "pods/log": {"get"},
        "events": {"list"},
        "secrets": {"create"},
        "configmaps": {"get"},
        "leases": {"create", "get", "update"},
    }


def test_the_controller_may_look_at_a_queue_only_where_there_is_one() -> None:
    assert "workloads" not in _rights(render(POSTGRES))
    assert _rights(render("external-services-values.yaml"))["workloads"] == {"list"}


def test_whatever_the_launcher_asks_the_cluster_it_may_ask() -> None:
    """By the names of the client's calls in its code: ``list_namespaced_job`` lists jobs."""
    code = "".join(path.read_text(encoding="utf-8") for path in LAUNCHER.glob("*.py"))
    calls = set(re.findall(r"\b([a-z]+)_namespaced_([a-z_]+)\b", code))
    assert len(calls) > 6
    rights = _rights(render("external-services-values.yaml"))
    for verb, thing in calls:
        resource = RESOURCES.get(thing, f"{thing}s")
        assert VERBS.get(verb, verb) in rights.get(resource, set()), (verb, thing)


def test_the_controller_reads_one_config_map_and_its_own_lease() -> None:
    rules = one(render(MINIMAL), "Role", "controller")["rules"]
    named = {
        (resource, verb): rule.get("resourceNames")
        for rule in rules
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert named["configmaps", "get"] == [f"{RELEASE}-runners"]
    assert named["leases", "update"] == [lease_name(RELEASE)]


def test_the_lease_of_a_release_with_a_long_name_is_the_one_its_role_names() -> None:
    release = "electrophysiology-of-the-second-floor-b-wing"
    done = run_helm("template", release, str(CHART), "-f", str(CHART / "ci" / MINIMAL))
    (role,) = (e for e in YAML(typ="safe").load_all(done.stdout) if e and e["kind"] == "Role")
    (names,) = (
        rule["resourceNames"]
        for rule in role["rules"]
        if rule["resources"] == ["leases"] and "update" in rule["verbs"]
    )
    assert names == [lease_name(release)]


@pytest.mark.parametrize("use", USES)
def test_only_the_controller_has_a_token(use: str) -> None:
    objects = render(use)
    (binding,) = (each for each in objects if each["kind"] == "RoleBinding")
    assert [subject["name"] for subject in binding["subjects"]] == [f"{RELEASE}-controller"]
    holders = {
        name: template["spec"].get("serviceAccountName")
        for name, template in pod_templates(objects).items()
        if template["spec"]["automountServiceAccountToken"] is not False
    }
    assert holders == {f"{RELEASE}-controller": f"{RELEASE}-controller"}
    for account in (each for each in objects if each["kind"] == "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
