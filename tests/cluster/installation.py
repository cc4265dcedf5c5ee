"""The chart in a namespace of its own, and what a person would do there with kubectl and helm."""

from __future__ import annotations

import json
import secrets
import string
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from tests.cluster.entrance import Entrance, port_forward
from tests.cluster.target import Target
from tests.house.charts import CHART, program

from spikefleet.client.sorting import SortingClient

T = TypeVar("T")
RELEASE = "lab"
HERE = Path(__file__).parent
RUNNERS = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=runner"
# Rendered for its routes only: the cluster need not know the Gateway API.
GATEWAY = (
    "--set",
    "gateway.enabled=true,gateway.parentRefs[0].name=any",
    "--set-json",
    'network.entrance=[{"podSelector":{}}]',
)
_RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


def await_that(what: Callable[[], T], timeout_s: float, words: str = "") -> T:
    """Wait until something is true and return it; AssertionError when it has not become so."""
    deadline = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain {words}"
        time.sleep(1.0)
    return found


@dataclass
class Installation:
    """A namespace that is made and removed by the suite, with the chart and its services in it."""

    target: Target
    folder: Path
    namespace: str = field(default_factory=lambda: f"spikefleet-test-{secrets.token_hex(3)}")
    entrance: Entrance | None = None

    def start(self) -> Installation:
        """Install and wait until every room answers."""
        self.kubectl("create", "namespace", self.namespace, namespaced=False)
        self.kubectl("label", "namespace", self.namespace, _RESTRICTED, namespaced=False)
        template = string.Template((HERE / "services.yaml").read_text(encoding="utf-8"))
        services = template.substitute(
            secret=secrets.token_hex(16),
            s3_image=self.target.s3_image,
            s3_key=self.target.s3_key,
            postgres_image=self.target.postgres_image,
            rooms_image=f"{self.target.registry}spikefleet-rooms:{self.target.tag}",
            pull_policy=self.target.pull_policy,
        )
        self.kubectl("apply", "-f", "-", given=services)
        self.kubectl("wait", "--for=condition=Ready", "--timeout=180s", "pod", "-lpart=service")
        made = "--for=jsonpath={.status.phase}=Succeeded"
        self.kubectl("wait", made, "--timeout=180s", "pod/make-bucket")
        self.helm("install")
        for deployment in self.objects("deployment"):
            self._await_rollout(deployment["metadata"]["name"])
        self._open()
        return self

    def helm(self, verb: str, *words: str) -> str:
        """Install or upgrade the chart with the suite's values."""
        own = ["-f", str(HERE / "values.yaml"), "--set", f"image.tag={self.target.tag}"]
        own += ["--set", f"image.registry={self.target.registry}"]
        own += ["--set", f"image.pullPolicy={self.target.pull_policy}"]
        return self._call("helm", verb, RELEASE, str(CHART), *own, *words)

    def uninstall(self) -> None:
        """Take the chart away, as an operator does; the namespace stays."""
        self._call("helm", "uninstall", RELEASE, "--wait", "--timeout", "3m")

    def kubectl(self, *words: str, given: str = "", namespaced: bool = True) -> str:
        """Run kubectl; AssertionError with what it said when it fails."""
        where = ["--namespace", self.namespace] if namespaced else []
        return self._run([*self._kubectl, *where, *words], given)

    def objects(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """The objects of a kind."""
        chosen = ["-l", selector] if selector else []
        return list(json.loads(self.kubectl("get", kind, "-o", "json", *chosen))["items"])

    def jobs(self, run_id: str = "") -> list[dict[str, Any]]:
        """The Jobs of sorts, of one run where it is named."""
        return self.objects("job", RUNNERS + (f",spikefleet.dev/run-id={run_id}" if run_id else ""))

    def running_pod(self, run_id: str, timeout_s: float = 180.0) -> str:
        """The name of the run's pod, as soon as it runs."""
        chosen = f"{RUNNERS},spikefleet.dev/run-id={run_id}"

        def running() -> str:
            pods = self.objects("pod", chosen)
            names = [p["metadata"]["name"] for p in pods if p["status"]["phase"] == "Running"]
            return names[0] if names else ""

        return await_that(running, timeout_s, "for the pod of a sort")

    def client(self) -> SortingClient:
        """A client as a rig has it, through the entrance."""
        assert self.entrance is not None
        return SortingClient(self.entrance.address)

    def restart_service(self, name: str) -> None:
        """Let the container of a service start again and wait until it is ready."""
        before = self._starts(name)
        self.kubectl("exec", name, "--", "touch", "/tmp/restart")
        await_that(lambda: self._starts(name) > before, 90.0, f"for {name} to start again")
        self.kubectl("wait", "--for=condition=Ready", "--timeout=90s", f"pod/{name}")

    def evidence(self) -> str:
        """What a person would look at first when something is wrong."""
        told = [self.kubectl("get", "pods,jobs", "-o", "wide")]
        told.append(self.kubectl("get", "events", "--sort-by=.lastTimestamp")[-4000:])
        for pod in self.objects("pod"):
            name = pod["metadata"]["name"]
            if any(not each["ready"] for each in pod["status"].get("containerStatuses", ())):
                told.append(f"{name}: {self.kubectl('logs', name, '--tail=15')}")
        told.append(self.kubectl("logs", f"deployment/{RELEASE}-controller", "--tail=40"))
        return "\n".join(told)

    def close(self) -> None:
        """Remove the namespace with everything in it."""
        if self.entrance is not None:
            self.entrance.close()
        self.kubectl("delete", "namespace", self.namespace, "--wait=false", namespaced=False)

    @property
    def _kubectl(self) -> list[str]:
        return [program("kubectl"), "--kubeconfig", str(self.target.kubeconfig)]

    def _call(self, name: str, *words: str) -> str:
        where = ["--kubeconfig", str(self.target.kubeconfig), "--namespace", self.namespace]
        return self._run([program(name), *words, *where], "")

    def _run(self, words: list[str], given: str) -> str:
        done = subprocess.run(
            words, input=given or None, capture_output=True, text=True, check=False, timeout=400
        )
        assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout

    def _await_rollout(self, deployment: str) -> None:
        try:
            self.kubectl("rollout", "status", f"deployment/{deployment}", "--timeout=240s")
        except AssertionError as error:
            raise AssertionError(self.evidence()) from error

    def _starts(self, pod: str) -> int:
        (status,) = json.loads(self.kubectl("get", "pod", pod, "-o", "json"))["status"][
            "containerStatuses"
        ]
        return int(status["restartCount"])

    def _open(self) -> None:
        folder = self.folder
        folder.mkdir(parents=True, exist_ok=True)
        rendered = self.helm("template", "--show-only", "templates/entrance.yaml", *GATEWAY)
        kubectl = [*self._kubectl, "--namespace", self.namespace]
        self.entrance = Entrance(
            {
                service: port_forward(kubectl, room, folder / f"{service}.log")
                for service, room in routes(rendered).items()
            }
        )


def routes(rendered: str) -> dict[str, str]:
    """The Service that each gRPC service is led to, by the chart's GRPCRoute."""
    (route,) = (each for each in YAML(typ="safe").load_all(rendered) if each)
    return {
        rule["matches"][0]["method"]["service"]: rule["backendRefs"][0]["name"]
        for rule in route["spec"]["rules"]
    }
