"""What the pods of each sorter look like: image, sizes, GPU, and where they may run.

One JSON document, which the operator's chart renders and the controller reads once. A key that is
not known is refused, so that a typo changes nothing in silence. Holds values; makes no manifest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from spikefleet.core.policy.sizes import SizeRange, SorterMachine
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.infra.launchers.kubernetes.quantities import bytes_of

DEFAULT = "default"
_VERSION = 1
_SHARINGS = ("exclusive", "mig", "shared")


class RunnersFileError(ValueError):
    """The document of runner profiles cannot be used; the message names the place in it."""


@dataclass(frozen=True)
class GpuClass:
    """GPUs of one size, and the labels of the nodes that have them."""

    name: str
    node_selector: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GpuWish:
    """The GPU of a pod. ``classes`` go from the smallest to the largest; () is any node."""

    resource_name: str = "nvidia.com/gpu"
    count: int = 1
    sharing: str = "exclusive"
    classes: tuple[GpuClass, ...] = ()


@dataclass(frozen=True)
class ScratchWish:
    """The scratch volume: an emptyDir of ``size_bytes`` at first, or the named claim."""

    size_bytes: int
    max_size_bytes: int
    claim: str = ""


@dataclass(frozen=True)
class RunnerProfile:
    """Everything about the pods of one sorter that a facility decides."""

    image: str  #: tag or digest
    cpus: int  #: cores asked for, and threads of the sorter
    memory_bytes: int  #: limit of a first attempt
    max_memory_bytes: int  #: limit that no retry passes
    scratch: ScratchWish  #: where the recording and the sorter's files lie
    shm_bytes: int  #: /dev/shm; counts against the memory limit
    gpu: GpuWish | None = None  #: None: a sorter without a GPU
    image_pull_policy: str = "IfNotPresent"  #: when its node fetches the image
    image_pull_secrets: tuple[str, ...] = ()  #: names of Secrets
    node_selector: Mapping[str, str] = field(default_factory=dict)  #: labels its node must have
    tolerations: tuple[Mapping[str, Any], ...] = ()  #: as a pod writes them
    priority_class_name: str = ""  #: "" is the namespace's default
    runtime_class_name: str = ""  #: such as nvidia; "" is the node's default
    termination_grace_period_s: int = 90  #: from SIGTERM to SIGKILL
    active_deadline_s: int = 0  #: longest life of a pod from its start; 0 is none
    env: Mapping[str, str] = field(default_factory=dict)  #: further environment variables

    @property
    def sizes(self) -> SizeRange:
        """From what a first attempt gets to what a retry may get at most."""
        return SizeRange(
            memory_bytes=self.memory_bytes,
            most_memory_bytes=self.max_memory_bytes,
            scratch_bytes=0 if self.scratch.claim else self.scratch.size_bytes,
            most_scratch_bytes=0 if self.scratch.claim else self.scratch.max_size_bytes,
            gpu_classes=tuple(each.name for each in self.gpu.classes) if self.gpu else (),
            is_gpu_shared=self.gpu is not None and self.gpu.sharing == "shared",
        )


@dataclass(frozen=True)
class SharedRecordings:
    """A volume of recordings that are sorted where they are; its pods may only read it."""

    claim: str  #: name of the PersistentVolumeClaim
    path: str  #: where rooms and sorts see it, the same in every pod


@dataclass(frozen=True)
class Runners:
    """The whole document. ``profiles`` holds one for every sorter named, and ``default``."""

    instance: str  #: the release; Jobs of other releases are not seen
    owner: str  #: ConfigMap that owns every Job, so that uninstalling leaves none
    service_account: str  #: of the pods; it may do nothing
    profiles: Mapping[str, RunnerProfile]  #: by sorter
    namespace: str = ""  #: "" is that of the controller's pod
    report_address: str = ""  #: host:port of the controller for runners
    s3_secret: str = ""  #: Secret with access-key and secret-key; "" is none
    queue: str = ""  #: LocalQueue of Kueue; "" is none
    retry_priority_class: str = ""  #: WorkloadPriorityClass of second and later attempts
    recordings: SharedRecordings | None = None  #: None: every recording was uploaded
    default_sorters: tuple[str, ...] | None = None  #: who takes ``default``; None: every other

    KEYS: ClassVar[tuple[str, ...]] = (
        "version", "namespace", "instance", "owner", "serviceAccount", "reportAddress", "s3Secret",
        "queue", "retryPriorityClass", "recordings", "defaultSorters", "profiles",
    )  # fmt: skip

    def offers(self, backend: str) -> bool:
        """Say whether the sorter has a profile of its own or takes the default one."""
        if backend in self.profiles:
            return True
        takes_default = self.default_sorters is None or backend in self.default_sorters
        return DEFAULT in self.profiles and takes_default

    def profile(self, backend: str) -> RunnerProfile:
        """Return the sorter's profile, else the default one. Raises RunnersFileError for none."""
        if not self.offers(backend):
            raise RunnersFileError(
                f"there is no runner profile for {backend}, and it does not take {DEFAULT}; "
                "add it to the runners of the installation"
            )
        return self.profiles.get(backend) or self.profiles[DEFAULT]

    def machine(self, backend: str) -> SorterMachine:
        """Return what the sorter's pods get; nothing where it has no profile to be started with."""
        if not self.offers(backend):
            return SorterMachine(SizeRange())
        profile = self.profile(backend)
        return SorterMachine(profile.sizes, profile.gpu is not None, profile.cpus)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Runners:
        """Read the document. Raises RunnersFileError, which names the place of the mistake."""
        if document.get("version") != _VERSION:
            raise RunnersFileError(f"version {document.get('version')!r} is not understood")
        top = _Part(document, "runners", cls.KEYS)
        profiles = {
            str(name): _profile(_Part(each, f"profiles.{name}", _PROFILE_KEYS))
            for name, each in top.table("profiles").items()
        }
        if not profiles:
            raise RunnersFileError("runners.profiles: at least one profile is needed")
        default_sorters = top.optional(
            "defaultSorters", lambda: tuple(map(str, top.list("defaultSorters")))
        )
        _require_sorters("runners.profiles", set(profiles) - {DEFAULT})
        _require_sorters("runners.defaultSorters", set(default_sorters or ()))
        return cls(
            instance=top.text("instance"),
            owner=top.text("owner"),
            service_account=top.text("serviceAccount"),
            profiles=profiles,
            namespace=top.text("namespace", ""),
            report_address=top.text("reportAddress", ""),
            s3_secret=top.text("s3Secret", ""),
            queue=top.text("queue", ""),
            retry_priority_class=top.text("retryPriorityClass", ""),
            recordings=top.optional("recordings", lambda: _recordings(top)),
            default_sorters=default_sorters,
        )

    @classmethod
    def read(cls, path: Path) -> Runners:
        """Read the file at ``path``. Raises OSError, RunnersFileError."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunnersFileError(f"{path} is no JSON: {error}") from error
        if not isinstance(document, dict):
            raise RunnersFileError(f"{path} holds no JSON object")
        return cls.from_json(document)


_PROFILE_KEYS = (
    "image", "imagePullPolicy", "imagePullSecrets", "cpus", "memory", "maxMemory", "gpu", "scratch",
    "shm", "nodeSelector", "tolerations", "priorityClassName", "runtimeClassName",
    "terminationGracePeriodSeconds", "activeDeadlineSeconds", "env",
)  # fmt: skip


class _Part:
    """One JSON object of the document; every reading checks the kind and names the place."""

    def __init__(self, document: object, place: str, known: tuple[str, ...]) -> None:
        if not isinstance(document, Mapping):
            raise RunnersFileError(f"{place}: an object is needed")
        unknown = sorted(set(map(str, document)) - set(known))
        if unknown:
            raise RunnersFileError(
                f"{place}: unknown {', '.join(unknown)}; known are {', '.join(known)}"
            )
        self._document, self._place = document, place

    def _read(self, key: str, kind: type, default: Any = None) -> Any:
        value = self._document.get(key, default)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise RunnersFileError(f"{self._place}.{key}: {value!r} is no {kind.__name__}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value = str(self._read(key, str, default))
        if default is None and not value:
            raise RunnersFileError(f"{self._place}.{key}: it may not be empty")
        return value

    def number(self, key: str, default: int | None = None) -> int:
        value = int(self._read(key, int, default))
        if value < 0:
            raise RunnersFileError(f"{self._place}.{key}: it may not be negative")
        return value

    def bytes(self, key: str, default: str | None = None) -> int:
        try:
            return bytes_of(self.text(key, default))
        except ValueError as error:
            raise RunnersFileError(f"{self._place}.{key}: {error}") from error

    def table(self, key: str) -> Mapping[str, Any]:
        return dict(self._read(key, Mapping, {}))

    def texts(self, key: str) -> Mapping[str, str]:
        table = self.table(key)
        if not all(isinstance(value, str) for value in table.values()):
            raise RunnersFileError(f"{self._place}.{key}: every value must be a text")
        return table

    def list(self, key: str) -> tuple[Any, ...]:
        return tuple(self._read(key, list, []))

    def part(self, key: str, known: tuple[str, ...]) -> _Part:
        return _Part(self._document.get(key, {}), f"{self._place}.{key}", known)

    def optional(self, key: str, make: Callable[[], Any]) -> Any:
        return None if self._document.get(key) is None else make()

    def fail(self, key: str, why: str) -> RunnersFileError:
        return RunnersFileError(f"{self._place}.{key}: {why}")


def _require_sorters(place: str, names: set[str]) -> None:
    """Refuse a name that is no sorter's: mistyped, it would switch a sorter off in silence."""
    unknown = sorted(names - set(BACKENDS))
    if unknown:
        raise RunnersFileError(
            f"{place}: {', '.join(unknown)} is no sorter; known are {', '.join(BACKENDS)}"
        )


def _recordings(top: _Part) -> SharedRecordings:
    part = top.part("recordings", ("claim", "path"))
    path = part.text("path")
    if not path.startswith("/"):
        raise part.fail("path", f"{path!r} is not absolute")
    return SharedRecordings(part.text("claim"), path)


def _profile(part: _Part) -> RunnerProfile:
    memory = part.bytes("memory")
    cpus = part.number("cpus", 1)
    most = part.bytes("maxMemory", part.text("memory"))
    if most < memory:
        raise part.fail("maxMemory", "it may not be less than memory")
    if cpus < 1:
        raise part.fail("cpus", "at least one is needed")
    return RunnerProfile(
        image=part.text("image"),
        cpus=cpus,
        memory_bytes=memory,
        max_memory_bytes=most,
        scratch=_scratch(part),
        shm_bytes=part.bytes("shm", "1Gi"),
        gpu=part.optional("gpu", lambda: _gpu(part)),
        image_pull_policy=part.text("imagePullPolicy", "IfNotPresent"),
        image_pull_secrets=tuple(str(name) for name in part.list("imagePullSecrets")),
        node_selector=part.texts("nodeSelector"),
        tolerations=part.list("tolerations"),
        priority_class_name=part.text("priorityClassName", ""),
        runtime_class_name=part.text("runtimeClassName", ""),
        termination_grace_period_s=part.number("terminationGracePeriodSeconds", 90),
        active_deadline_s=part.number("activeDeadlineSeconds", 0),
        env=part.texts("env"),
    )


def _scratch(part: _Part) -> ScratchWish:
    scratch = part.part("scratch", ("size", "maxSize", "claim"))
    size = scratch.bytes("size", "20Gi")
    most = scratch.bytes("maxSize", scratch.text("size", "20Gi"))
    if most < size:
        raise scratch.fail("maxSize", "it may not be less than size")
    return ScratchWish(size, most, scratch.text("claim", ""))


def _gpu(part: _Part) -> GpuWish:
    gpu = part.part("gpu", ("resourceName", "count", "sharing", "classes"))
    sharing = gpu.text("sharing", "exclusive")
    if sharing not in _SHARINGS:
        raise gpu.fail("sharing", f"{sharing!r} is none of {', '.join(_SHARINGS)}")
    count = gpu.number("count", 1)
    if count < 1:
        raise gpu.fail("count", "at least one is needed; leave gpu out for a sorter without one")
    classes = []
    for index, each in enumerate(gpu.list("classes")):
        entry = _Part(each, f"gpu.classes[{index}]", ("name", "nodeSelector"))
        classes.append(GpuClass(entry.text("name"), entry.texts("nodeSelector")))
    return GpuWish(gpu.text("resourceName", "nvidia.com/gpu"), count, sharing, tuple(classes))
