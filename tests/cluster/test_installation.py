"""What the suite would install, looked at without a cluster: a mistake in it shows everywhere."""

import string

from ruamel.yaml import YAML
from tests.cluster.installation import GATEWAY, HERE, routes
from tests.cluster.target import Target
from tests.house.charts import CHART, run_helm


def rendered(*words: str) -> str:
    done = run_helm("template", "lab", str(CHART), "-f", str(HERE / "values.yaml"), *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_chart_takes_the_values_of_the_suite() -> None:
    kinds = {each["kind"] for each in YAML(typ="safe").load_all(rendered()) if each}
    assert "Deployment" in kinds
    assert "GRPCRoute" not in kinds, "a cluster need not know the Gateway API"


def test_every_call_of_people_has_a_route() -> None:
    led = routes(rendered("--show-only", "templates/entrance.yaml", *GATEWAY))
    assert led == {
        "spikefleet.api.v1.ControllerService": "lab-controller",
        "spikefleet.api.v1.IngestService": "lab-ingest",
        "spikefleet.api.v1.ReporterService": "lab-reporter",
    }


def test_the_services_keep_the_strictest_pod_security() -> None:
    template = string.Template((HERE / "services.yaml").read_text(encoding="utf-8"))
    words = dict.fromkeys(template.get_identifiers(), "x")
    objects = YAML(typ="safe").load(template.substitute(words))["items"]
    pods = [each["spec"] for each in objects if each["kind"] == "Pod"]
    assert len(pods) == 3
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"]
        (container,) = pod["containers"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_a_developers_own_kubeconfig_is_never_used() -> None:
    assert Target.told({"KUBECONFIG": "/home/me/.kube/config"}) is None
    given = Target.told({"TEST_CLUSTER_KUBECONFIG": "/tmp/given", "TEST_CLUSTER_IMAGES": "present"})
    assert given is not None
    assert given.pull_policy == "Never"
