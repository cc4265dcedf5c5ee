"""Who must talk to whom, worked out from the objects the chart renders, and what its policies let.

A way that is needed and closed breaks an installation in the cluster only; here it breaks a test.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.house.charts import CHART, RELEASE, USES, one, pod_templates, render, run_helm
from tests.house.network import Outside, Place, Pod, is_chosen, may_reach
from tests.support.runner_profiles import order

from spikefleet.deploy import cluster
from spikefleet.deploy.rooms.wiring import RoomName
from spikefleet.infra.launchers.kubernetes.manifests import job_manifest
from spikefleet.infra.launchers.kubernetes.profiles import Runners

MINIMAL, POSTGRES = "minimal-values.yaml", "gpu-facility-values.yaml"
INSTITUTE, CLOSED_OFF = "external-services-values.yaml", "air-gapped-values.yaml"
RECORDS = {"ingest", "controller", "reporter"}  # rooms that use the run database
# Where the servers that the values files name would be.
SERVERS = {
    "s3.institute.example": Outside("10.30.0.10"),
    "db.institute.example": Outside("10.30.0.20"),
    "s3.lab.internal": Outside("192.168.10.20"),
    "s3.facility.example": Outside("203.0.113.7"),
    "s3.storage": Pod({"app": "s3"}, namespace="storage"),
    "postgres.databases": Pod({"app": "postgres"}, namespace="databases"),
}
API_SERVERS = {INSTITUTE: Outside("10.0.0.1"), CLOSED_OFF: Outside("192.168.10.2")}
DNS = Pod({"k8s-app": "kube-dns"}, namespace="kube-system")
PROMETHEUS = Pod({"app.kubernetes.io/name": "prometheus"}, namespace="monitoring")
# The label that the Gateway API's specification gives to what a Gateway is made of.
GATEWAY = "gateway.networking.k8s.io/gateway-name"
NGINX = Pod({"app.kubernetes.io/name": "ingress-nginx"}, namespace="ingress-nginx")
DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432}

Objects = list[dict[str, Any]]
Way = tuple[str, Place, Place, int]


def policies(objects: Objects) -> Objects:
    return [each for each in objects if each["kind"] == "NetworkPolicy"]


def pods(objects: Objects) -> dict[str, Pod]:
    """Every pod of the release by its name: rooms, migration, and a sort of each profile."""
    found = {name: Pod.of(template) for name, template in pod_templates(objects).items()}
    document = json.loads(one(objects, "ConfigMap", "runners")["data"]["runners.json"])
    runners = Runners.from_json(document)
    for sorter in filter(runners.offers, ("kilosort4", "lupin")):
        job = job_manifest(order(runners, backend=sorter))
        found[f"runner of {sorter}"] = Pod.of(job["spec"]["template"])
    return found


def told(objects: Objects) -> dict[str, str]:
    return dict(one(objects, "ConfigMap", "settings")["data"])


def serving(objects: Objects, address: str) -> tuple[Pod, int]:
    """The pod and the port behind ``SERVICE:PORT``."""
    name, _, port = address.partition(":")
    service = one(objects, "Service", name.removeprefix(f"{RELEASE}-"))["spec"]
    (target,) = (each["targetPort"] for each in service["ports"] if each["port"] == int(port))
    (pod,) = (
        each
        for each in pods(objects).values()
        if is_chosen({"matchLabels": service["selector"]}, each.labels)
    )
    return pod, pod.ports[target]


def server(url: str) -> tuple[Place, int]:
    """The server that a URL leads to, and its port."""
    parts = urlsplit(url)
    assert parts.hostname
    return SERVERS[parts.hostname], parts.port or DEFAULT_PORTS[parts.scheme]


def ways_inside(objects: Objects) -> Iterator[Way]:
    """Rooms dial rooms as their settings say, runners report where their profile says."""
    settings = told(objects)
    for name, template in pod_templates(objects).items():
        for room in template["spec"]["containers"][0].get("args", ()):
            for dialled in cluster._DIALS.get(RoomName(room), frozenset()):
                pod, port = serving(objects, settings[f"SPIKEFLEET_{dialled.upper()}_ADDRESS"])
                yield f"{name} calls {dialled}", pods(objects)[name], pod, port
    report = json.loads(one(objects, "ConfigMap", "runners")["data"]["runners.json"])
    for name, runner in pods(objects).items():
        if name.startswith("runner"):
            yield f"{name} reports", runner, *serving(objects, report["reportAddress"])


def ways_out(objects: Objects, api: Place) -> Iterator[Way]:
    """To the bucket, the database, names, and the cluster's API."""
    settings = told(objects)
    query = parse_qs(urlsplit(settings["SPIKEFLEET_ARTIFACTS_URL"]).query)
    database = settings.get("SPIKEFLEET_DATABASE_URL", "")
    for name, pod in pods(objects).items():
        yield f"{name} asks for a name", pod, DNS, 53
        if name != f"{RELEASE}-migrate":
            yield f"{name} reaches the bucket", pod, *server(query["endpoint"][0])
        if database and name.removeprefix(f"{RELEASE}-") in {*RECORDS, "migrate"}:
            yield f"{name} reaches the database", pod, *server(database)
    yield "the controller starts Jobs", pods(objects)[f"{RELEASE}-controller"], api, 6443


def ways_in(objects: Objects) -> Iterator[Way]:
    """Prometheus, and what ends the connections of rigs: an ingress controller, a gateway."""
    for name, pod in pods(objects).items():
        if "metrics" in pod.ports:
            yield f"{name} is read", PROMETHEUS, pod, pod.ports["metrics"]
    for each in objects:
        if each["kind"] == "Ingress":
            for rule in each["spec"]["rules"]:
                for path in rule["http"]["paths"]:
                    backend = path["backend"]["service"]["name"]
                    yield f"rigs call {backend}", NGINX, *serving(objects, f"{backend}:7311")
        if each["kind"] == "GRPCRoute":
            (parent,) = each["spec"]["parentRefs"]
            gateway = Pod({GATEWAY: parent["name"]}, namespace=parent["namespace"])
            for rule in each["spec"]["rules"]:
                (to,) = rule["backendRefs"]
                address = f"{to['name']}:{to['port']}"
                yield f"rigs call {to['name']}", gateway, *serving(objects, address)


@pytest.mark.parametrize("use", USES)
def test_every_way_that_is_needed_is_open(use: str) -> None:
    objects = render(use)
    api = API_SERVERS.get(use, Outside("198.51.100.1"))
    ways = [*ways_inside(objects), *ways_out(objects, api), *ways_in(objects)]
    assert len(ways) > 15
    closed = [
        what
        for what, source, target, port in ways
        if not may_reach(policies(objects), source, target, port)
    ]
    assert closed == []


@pytest.mark.parametrize("use", [POSTGRES, INSTITUTE])
def test_an_entrance_leads_to_every_service_that_rigs_call(use: str) -> None:
    objects = render(use)
    called = {what for what, *_ in ways_in(objects) if what.startswith("rigs call")}
    assert called == {f"rigs call {RELEASE}-{room}" for room in RECORDS}


@pytest.mark.parametrize("use", USES)
def test_everything_is_closed_before_ways_are_opened(use: str) -> None:
    objects = render(use)
    closed = one(objects, "NetworkPolicy", "closed")["spec"]
    assert closed["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(closed)
    for pod in pods(objects).values():
        assert is_chosen(closed["podSelector"], pod.labels)


@pytest.mark.parametrize("use", USES)
def test_a_runner_reaches_its_bucket_and_the_controller_and_nobody_else(use: str) -> None:
    objects = render(use)
    rules, all_pods = policies(objects), pods(objects)
    runner = all_pods["runner of lupin"]
    controller = all_pods[f"{RELEASE}-controller"]
    for name, pod in all_pods.items():
        assert may_reach(rules, runner, pod, 7311) == (pod == controller), name
        assert not may_reach(rules, pod, runner, 9101) or not name.startswith("runner"), name
    assert not may_reach(rules, runner, Outside("198.51.100.1"), 6443)
    assert not may_reach(rules, runner, Outside("203.0.113.9"), 22)


def test_only_rooms_that_keep_records_reach_the_database() -> None:
    objects = render(POSTGRES)
    place, port = server(told(objects)["SPIKEFLEET_DATABASE_URL"])
    reaching = {
        name.removeprefix(f"{RELEASE}-")
        for name, pod in pods(objects).items()
        if may_reach(policies(objects), pod, place, port)
    }
    assert reaching == {*RECORDS, "migrate"}


def test_the_api_of_the_cluster_is_for_the_controller_alone() -> None:
    objects = render(POSTGRES)
    reaching = {
        name
        for name, pod in pods(objects).items()
        if may_reach(policies(objects), pod, Outside("198.51.100.1"), 6443)
    }
    assert reaching == {f"{RELEASE}-controller"}


def test_rigs_of_a_network_reach_the_rooms_that_answer_people() -> None:
    objects = render(INSTITUTE, 'network.rigs=[{"ipBlock": {"cidr": "10.20.0.0/16"}}]')
    reached = {
        name.removeprefix(f"{RELEASE}-")
        for name, pod in pods(objects).items()
        if may_reach(policies(objects), Outside("10.20.3.4"), pod, 7311)
    }
    assert reached == RECORDS
    stranger = Pod({"app": "shell"}, namespace="elsewhere")
    assert not may_reach(policies(objects), stranger, pods(objects)[f"{RELEASE}-ingest"], 7311)


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("s3://b?endpoint=https://host.example", 443),
        ("s3://b/p?region=eu&endpoint=http://host.example&external=https://x:9", 80),
        ("s3://b?endpoint=http://[fd00::1]:9000/", 9000),
        ("s3://b?endpoint=https%3A%2F%2Fhost.example%3A8443", 8443),
    ],
)
def test_the_way_to_the_bucket_follows_its_url(url: str, port: int) -> None:
    objects = render(MINIMAL, f"artifacts.url={json.dumps(url)}")
    (_, rule) = one(objects, "NetworkPolicy", "artifacts")["spec"]["egress"]
    assert [each["port"] for each in rule["ports"]] == [port]


@pytest.mark.parametrize(
    ("url", "ports"),
    [
        ("postgresql://me@host/name", [5432]),
        ("postgresql+psycopg://me@host:6432/name?sslmode=require", [6432]),
        ("postgres://one:5433,two:5434/name", [5433, 5434]),
        ("postgresql://me@/name?host=one:5435&host=two", [5435, 5432]),
        ("postgresql://me@[fd00::2]:7000/name", [7000]),
    ],
)
def test_the_way_to_the_database_follows_its_url(url: str, ports: list[int]) -> None:
    objects = render(POSTGRES, f"database.url={json.dumps(url)}")
    (rule,) = one(objects, "NetworkPolicy", "database")["spec"]["egress"]
    assert [each["port"] for each in rule["ports"]] == ports


def test_a_named_port_wins_where_a_service_leads_to_another_one() -> None:
    objects = render(MINIMAL, "network.artifacts.ports=[9001]")
    (_, rule) = one(objects, "NetworkPolicy", "artifacts")["spec"]["egress"]
    assert [each["port"] for each in rule["ports"]] == [9001]


@pytest.mark.parametrize("use", [POSTGRES, INSTITUTE])
def test_an_entrance_whose_pods_nobody_named_is_refused(use: str) -> None:
    done = run_helm("template", RELEASE, str(CHART), "-f", str(CHART / "ci" / use),
                    "--set-json", "network.entrance=[]")  # fmt: skip
    assert done.returncode != 0
    assert re.search(r"network\.entrance names the pods", done.stderr), done.stderr
    # Where everybody may come in there is nobody to name.
    assert render(use, "network.entrance=[]", "network.rigs=[]")
    assert render(use, "network.entrance=[]", "network.enabled=false")
