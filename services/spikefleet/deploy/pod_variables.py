"""What the pod of an attempt is told: variables that the launcher's manifest sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spikefleet.deploy.settings import PREFIX


@dataclass(frozen=True)
class PodVariables:
    """What the pod of an attempt was told by its variables; see the launcher's manifests."""

    spec_key: str  #: artifact key of its order
    spec_sha256: str  #: of the order's bytes
    artifacts_url: str
    secret_file: Path | None  #: holds the attempt's secret
    scratch: Path  #: may be written
    termination_log: Path | None  #: where the container runtime reads the last word
    memory_bytes: int = 0  #: the container's limit; 0: not told
    pod: str = ""  #: the pod's name


def read_pod_variables(environment: Mapping[str, str]) -> PodVariables:
    """Return what this pod was told. Raises ValueError naming the variable that is missing."""

    def told(name: str, *, is_needed: bool = False) -> str:
        value = environment.get(PREFIX + name, "").strip()
        if is_needed and not value:
            raise ValueError(
                f"{PREFIX}{name} is not set: an attempt's pod is started by the controller, "
                "which tells it what to sort"
            )
        return value

    def path(name: str) -> Path | None:
        return Path(told(name)) if told(name) else None

    return PodVariables(
        spec_key=told("ATTEMPT_SPEC", is_needed=True),
        spec_sha256=told("ATTEMPT_SPEC_SHA256", is_needed=True),
        artifacts_url=told("ARTIFACTS_URL", is_needed=True),
        secret_file=path("ATTEMPT_SECRET_FILE"),
        scratch=Path(told("SCRATCH", is_needed=True)),
        termination_log=path("TERMINATION_LOG"),
        memory_bytes=int(told("POD_MEMORY_BYTES") or 0),
        pod=told("POD_NAME"),
    )
