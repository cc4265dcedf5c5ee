"""The rooms as the chart deploys them, each pod a process of this machine, before a fake cluster.

Command, arguments, variables, volumes, Services and the Role are those of the rendered chart, so a
mistake in it fails here. Replaced are only what a machine without a cluster cannot have: addresses
become ports of loopback, paths of mounts become folders, the bucket becomes a folder, and the
token of the controller becomes a kubeconfig.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubernetes import client
from tests.house.charts import RELEASE, one, pod_templates
from tests.kubefake.cluster import NAMESPACE, KubeFake, kubeconfig
from tests.support.room_processes import free_port, is_serving

_START_S = 90.0
_SERVICES = Path(__file__).resolve().parents[2] / "services"


@dataclass
class ChartRooms:
    """The Deployments of ``objects`` below ``folder``; sorts run as Jobs of ``fake``."""

    folder: Path
    objects: list[dict[str, Any]]
    fake: KubeFake
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    def start(self) -> ChartRooms:
        """Put the chart's objects into the cluster, start every pod, wait until all serve."""
        self.folder.mkdir(parents=True, exist_ok=True)
        deployments = pod_templates([e for e in self.objects if e["kind"] == "Deployment"])
        self.ports = {name: free_port() for name in deployments}
        self._install()
        for name, template in deployments.items():
            self._start(name, template)
        for name in deployments:
            self._wait_for(name)
        return self

    def address(self, room: str) -> str:
        """Where the Service of a room leads."""
        wanted = one(self.objects, "Service", room)["spec"]["selector"]
        templates = pod_templates([e for e in self.objects if e["kind"] == "Deployment"])
        (pod,) = (name for name, template in templates.items()
                  if wanted.items() <= template["metadata"]["labels"].items())  # fmt: skip
        return f"127.0.0.1:{self.ports[pod]}"

    def log(self, pod: str) -> str:
        """What a pod has written."""
        return (self.folder / f"{pod}.log").read_text(errors="replace")

    def stop(self) -> dict[str, int]:
        """SIGTERM to every pod; return the exit codes."""
        for process in self.processes.values():
            process.terminate()
        return {name: process.wait(60) for name, process in self.processes.items()}

    def close(self) -> None:
        """End everything."""
        for process in self.processes.values():
            process.kill()
            process.wait()

    @property
    def store(self) -> str:
        """The folder that stands for the bucket, as a URL."""
        return (self.folder / "bucket").absolute().as_uri()

    def _placed(self, text: str, mounts: Mapping[str, Path]) -> str:
        """The text with addresses and paths of this machine."""
        for room in ("ingest", "preflight", "curation", "reporter", "controller"):
            text = text.replace(f"{RELEASE}-{room}:7311", self.address(room))
        for path, folder in mounts.items():
            if text == path or text.startswith(f"{path}/"):
                return str(folder) + text[len(path) :]
        return text

    def _install(self) -> None:
        core = client.CoreV1Api(self.fake.client())
        config = one(self.objects, "ConfigMap", "runners")
        data = {key: self._placed(text, {}) for key, text in config["data"].items()}
        core.create_namespaced_config_map(NAMESPACE, {**config, "data": data})
        bucket = json.loads(data["runners.json"])["s3Secret"]
        keys = {"access-key": "key", "secret-key": "secret"}
        secret = {"metadata": {"name": bucket}, "stringData": keys}
        core.create_namespaced_secret(NAMESPACE, secret)
        self.fake.access.role = one(self.objects, "Role", "controller")
        self.fake.access.used.clear()

    def _start(self, name: str, template: dict[str, Any]) -> None:
        pod = template["spec"]
        (container,) = pod["containers"]
        folders = {volume["name"]: self._volume(name, volume) for volume in pod["volumes"]}
        mounts = {m["mountPath"]: folders[m["name"]] for m in container["volumeMounts"]}
        told = dict(one(self.objects, "ConfigMap", "settings")["data"])
        told |= {entry["name"]: entry["value"] for entry in container["env"]}
        own = f"127.0.0.1:{self.ports[name]}"
        told = {key: self._placed(value, mounts) for key, value in told.items()}
        told = {key: value.replace("127.0.0.1:7311", own) for key, value in told.items()}
        told |= {
            "SPIKEFLEET_ADDRESS": own,
            "SPIKEFLEET_METRICS_PORT": "0",
            "SPIKEFLEET_ARTIFACTS_URL": self.store,
            "SPIKEFLEET_DRAIN_S": "0",
        }
        if pod["automountServiceAccountToken"]:
            told["SPIKEFLEET_KUBECONFIG"] = str(self._kubeconfig())
        command = [*container["command"], *container["args"]]
        assert command[0] == "python"
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *command[1:]],
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_SERVICES), **told},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _volume(self, pod: str, volume: dict[str, Any]) -> Path:
        """The folder of a volume, with what a Secret or a ConfigMap of the chart puts there."""
        folder = self.folder / pod / str(volume["name"])
        folder.mkdir(parents=True)
        folder.chmod(0o2777)  # as the kubelet makes a volume of a pod that has a group
        if "configMap" in volume:
            name = volume["configMap"]["name"].removeprefix(f"{RELEASE}-")
            for key, text in one(self.objects, "ConfigMap", name)["data"].items():
                (folder / key).write_text(self._placed(text, {}), encoding="utf-8")
        if "secret" in volume:
            for item in volume["secret"].get("items", ()):
                name = volume["secret"]["secretName"].removeprefix(f"{RELEASE}-")
                content = base64.b64decode(one(self.objects, "Secret", name)["data"][item["key"]])
                (folder / item["path"]).write_bytes(content)
        return folder

    def _kubeconfig(self) -> Path:
        path = self.folder / "kubeconfig.json"
        path.write_text(json.dumps(kubeconfig(self.fake.url)), encoding="utf-8")
        return path

    def _wait_for(self, pod: str) -> None:
        if not is_serving(self.ports[pod], self.processes[pod], _START_S):
            raise AssertionError(self.log(pod))
