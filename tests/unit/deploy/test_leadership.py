"""The name of the lease is the one that the chart's Role lets a controller write."""

import json

import pytest
from tests.house.charts import one, render

from spikefleet.deploy.leadership import lease_name


def test_lease_is_the_one_that_the_role_names() -> None:
    objects = render("minimal-values.yaml")
    document = one(objects, "ConfigMap", "runners")["data"]["runners.json"]
    instance = json.loads(document)["instance"]
    rules = one(objects, "Role", "controller")["rules"]
    [named] = [rule["resourceNames"] for rule in rules if "update" in rule["verbs"]]
    assert named == [lease_name(instance)]


@pytest.mark.parametrize(
    ("instance", "name"),
    [("lab", "lab-controller"), ("x" * 39 + "-y", "x" * 39 + "-controller")],
)
def test_long_releases_are_cut_as_the_chart_cuts_them(instance: str, name: str) -> None:
    assert lease_name(instance) == name
