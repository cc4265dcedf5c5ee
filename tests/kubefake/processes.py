"""A container as a real process of this machine, made from nothing but the pod's manifest.

Command, environment (with the downward API), volumes (as folders), termination message, SIGTERM and
exit code are those of the manifest, so that a mistake in it fails here. There are no namespaces: a
path under a mount is the folder's path, put into variables and arguments where it is named; memory
limits, user ids and a root that cannot be written are not enforced. A process without a handler
dies of SIGTERM here, where PID 1 of a container would not.
"""

from __future__ import annotations

import base64
import math
import os
import re
import shlex
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.kubefake.clock import VirtualClock
from tests.kubefake.quantities import read_quantity
from tests.kubefake.resources import CONFIGMAPS, SECRETS, Resource
from tests.kubefake.script import Exit, Waiting
from tests.kubefake.store import Document, ObjectStore

_MESSAGE_BYTES, _LOG_BYTES, _LOG_LINES = 4096, 2048, 80
_KILLED = 137


@dataclass(frozen=True)
class ImageStandIn:
    """What stands for an image: variables it sets, and programs by the name a command calls."""

    env: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Container:
    process: subprocess.Popen[bytes]
    log: Path
    killed: bool = False


class ProcessRuntime:
    """Starts containers of the images it knows, below ``folder``. ``close`` ends them all."""

    def __init__(
        self,
        clock: VirtualClock,
        store: ObjectStore,
        folder: Path,
        images: Mapping[str, ImageStandIn],
    ) -> None:
        self._clock, self._store = clock, store
        self._folder, self._images = folder, images
        self._running: dict[str, _Container] = {}

    def blocked(self, pod: Document) -> Waiting | None:
        """Missing image, secret, key or ConfigMap, in the kubelet's words."""
        container = pod["spec"]["containers"][0]
        if container["image"] not in self._images:
            said = f'Back-off pulling image "{container["image"]}": not found'
            return Waiting("ImagePullBackOff", said)
        for volume in pod["spec"].get("volumes", ()):
            lack = self._lack_of(pod, volume)
            if lack:
                said = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {lack}'
                return Waiting("ContainerCreating", said)
        for variable in container.get("env", ()):
            for kind, resource in (("secretKeyRef", SECRETS), ("configMapKeyRef", CONFIGMAPS)):
                wanted = (variable.get("valueFrom") or {}).get(kind)
                lack = self._lack_of_key(pod, resource, wanted) if wanted else ""
                if lack:
                    return Waiting("CreateContainerConfigError", lack)
        return None

    def start(self, pod: Document, ended: Callable[[Exit], None]) -> str:
        """Start the first container; the runtime's words where its program is missing."""
        container = pod["spec"]["containers"][0]
        home = self._folder / pod["metadata"]["uid"]
        image = self._images[container["image"]]
        mounts = dict(self._mount(pod, container, home))
        termination = home / "termination-log"
        termination.touch(mode=0o666)
        mounts[container["terminationMessagePath"]] = termination
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            **image.env,
            **self._environment(pod, container, mounts),
        }
        named = [*container.get("command", ()), *container.get("args", ())]
        command = [_placed(_expand(part, env), mounts) for part in named]
        command[0] = image.programs.get(command[0], command[0])
        log = home / "container.log"
        try:
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    env=env,
                    cwd=home,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            return f"exec: {shlex.join(command)}: {error.strerror}"
        made = _Container(process, log)
        self._running[pod["metadata"]["uid"]] = made
        reader = threading.Thread(
            target=self._await, args=(made, container, termination, ended), daemon=True
        )
        reader.start()
        return ""

    def terminate(self, pod: Document) -> None:
        """SIGTERM to the container's first process."""
        found = self._running.get(pod["metadata"]["uid"])
        if found is not None and found.process.poll() is None:
            found.process.terminate()

    def kill(self, pod: Document) -> None:
        """SIGKILL to all of its processes."""
        found = self._running.get(pod["metadata"]["uid"])
        if found is not None:
            found.killed = True
            _kill_all(found.process.pid)

    def log(self, pod: Document) -> bytes:
        """What it has printed."""
        found = self._running.get(pod["metadata"]["uid"])
        return found.log.read_bytes() if found is not None else b""

    def pid_of(self, pod: Document) -> int:
        """The container's first process, as this machine knows it. Raises KeyError."""
        return self._running[pod["metadata"]["uid"]].process.pid

    def close(self) -> None:
        """End every container, at once."""
        for found in self._running.values():
            _kill_all(found.process.pid)
            found.process.wait(10)

    def _await(
        self,
        made: _Container,
        container: Document,
        termination: Path,
        ended: Callable[[Exit], None],
    ) -> None:
        code = made.process.wait()
        code = _KILLED if made.killed else code if code >= 0 else 128 - code
        _kill_all(made.process.pid)
        raw = termination.read_bytes()[-_MESSAGE_BYTES:]
        fallback = container["terminationMessagePolicy"] == "FallbackToLogsOnError"
        if not raw and fallback and code:
            lines = made.log.read_bytes().splitlines(keepends=True)[-_LOG_LINES:]
            raw = b"".join(lines)[-_LOG_BYTES:]
        with self._clock.lock:
            ended(Exit(code, raw.decode(errors="replace")))

    # --- what the manifest asks for --------------------------------------------------------------

    def _mount(self, pod: Document, container: Document, home: Path) -> Iterator[tuple[str, Path]]:
        volumes = {one["name"]: one for one in pod["spec"].get("volumes", ())}
        for mount in container.get("volumeMounts", ()):
            folder = home / "volumes" / mount["name"]
            if not folder.exists():
                self._fill(pod, volumes[mount["name"]], folder)
            target = folder / mount["subPath"] if mount.get("subPath") else folder
            target.mkdir(parents=True, exist_ok=True)
            yield mount["mountPath"].rstrip("/"), target

    def _fill(self, pod: Document, volume: Document, folder: Path) -> None:
        folder.mkdir(parents=True)
        for kind, resource in (("secret", SECRETS), ("configMap", CONFIGMAPS)):
            if kind not in volume:
                continue
            source = volume[kind]
            name = source.get("secretName") or source.get("name")
            found = self._store.get(resource, pod["metadata"]["namespace"], name)
            for key, content in _contents(found).items():
                (folder / key).write_bytes(content)
                (folder / key).chmod(source.get("defaultMode", 0o644))

    def _environment(
        self, pod: Document, container: Document, mounts: Mapping[str, Path]
    ) -> dict[str, str]:
        made: dict[str, str] = {}
        for variable in container.get("env", ()):
            if "valueFrom" in variable:
                value = self._from(pod, container, variable["valueFrom"])
            else:
                value = _expand(variable.get("value", ""), made)
            made[variable["name"]] = _placed(value, mounts)
        return made

    def _from(self, pod: Document, container: Document, source: Mapping[str, Any]) -> str:
        if "fieldRef" in source:
            return _field(pod, source["fieldRef"]["fieldPath"])
        if "resourceFieldRef" in source:
            return _resource(container, source["resourceFieldRef"])
        for kind, resource in (("secretKeyRef", SECRETS), ("configMapKeyRef", CONFIGMAPS)):
            if kind in source:
                wanted = source[kind]
                namespace = pod["metadata"]["namespace"]
                found = self._store.get(resource, namespace, wanted["name"])
                return _contents(found)[wanted["key"]].decode()
        raise ValueError(f"no such source of a variable: {sorted(source)}")

    def _lack_of(self, pod: Document, volume: Document) -> str:
        namespace = pod["metadata"]["namespace"]
        for kind, resource in (("secret", SECRETS), ("configMap", CONFIGMAPS)):
            source = volume.get(kind)
            if source is None or source.get("optional"):
                continue
            name = source.get("secretName") or source.get("name")
            if self._store.find(resource, namespace, name) is None:
                return f'{resource.kind.lower()} "{name}" not found'
        return ""

    def _lack_of_key(self, pod: Document, resource: Resource, wanted: Mapping[str, Any]) -> str:
        found = self._store.find(resource, pod["metadata"]["namespace"], wanted["name"])
        if found is None:
            return f'{resource.kind.lower()} "{wanted["name"]}" not found'
        if wanted["key"] not in _contents(found):
            return f"couldn't find key {wanted['key']} in {resource.kind} {wanted['name']}"
        return ""


def _contents(found: Document) -> dict[str, bytes]:
    made = {key: text.encode() for key, text in (found.get("stringData") or {}).items()}
    for key, text in (found.get("data") or {}).items():
        made[key] = base64.b64decode(text) if found["kind"] == "Secret" else text.encode()
    return made


def _placed(text: str, mounts: Mapping[str, Path]) -> str:
    """A text that names a place under a mount names the folder instead."""
    for path in sorted(mounts, key=len, reverse=True):
        if text == path or text.startswith(f"{path}/"):
            return str(mounts[path]) + text[len(path) :]
    return text


def _expand(text: str, env: Mapping[str, str]) -> str:
    return re.sub(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)", lambda m: env.get(m[1], m[0]), text)


def _field(pod: Document, path: str) -> str:
    if found := re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path):
        return str((pod["metadata"].get(found[1]) or {}).get(found[2], ""))
    known: Mapping[str, Callable[[], object]] = {
        "metadata.name": lambda: pod["metadata"]["name"],
        "metadata.namespace": lambda: pod["metadata"]["namespace"],
        "metadata.uid": lambda: pod["metadata"]["uid"],
        "spec.nodeName": lambda: pod["spec"]["nodeName"],
        "spec.serviceAccountName": lambda: pod["spec"]["serviceAccountName"],
        "status.podIP": lambda: "127.0.0.1",
        "status.hostIP": lambda: "127.0.0.1",
    }
    return str(known[path]())


def _resource(container: Document, wanted: Mapping[str, Any]) -> str:
    kind, _, name = wanted["resource"].partition(".")
    amount = read_quantity(container["resources"][kind][name]) or 0.0
    divisor = read_quantity(wanted.get("divisor") or "1") or 1.0
    return str(math.ceil(amount / divisor))


def _kill_all(pid: int) -> None:
    """The process, its group and all that came of it, as the end of a PID namespace does."""
    try:
        offspring = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        offspring = []
    for group_kill in (lambda: os.killpg(pid, 9), *(one.kill for one in offspring)):
        try:
            group_kill()
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
