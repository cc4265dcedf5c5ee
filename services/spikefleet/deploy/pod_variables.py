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
    artifacts_url: str  #: the store that has the order and takes the result
    secret_file: Path | None  #: holds the attempt's secret
    scratch: Path  #: may be written
    termination_log: Path | None  #: where the container runtime reads the last word
    memory_bytes: int = 0  #: the container's limit; 0: not told
    pod: str = ""  #: the pod's name
    attempt_id: str = ""  #: whose last word it is, before the order is there; "": not told
    scratch_stays: bool = False  #: the scratch volume outlives the pod


def termination_log(environment: Mapping[str, str]) -> Path | None:
    """Return where the last word goes, also where nothing else is told."""
    told = environment.get(PREFIX + "TERMINATION_LOG", "").strip()
    return Path(told) if told else None


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

    memory = told("POD_MEMORY_BYTES") or "0"
    if not memory.isascii() or not memory.isdigit():
        raise ValueError(f"{PREFIX}POD_MEMORY_BYTES is no number of bytes: {memory!r}")
    return PodVariables(
        spec_key=told("ATTEMPT_SPEC", is_needed=True),
        spec_sha256=told("ATTEMPT_SPEC_SHA256", is_needed=True),
        artifacts_url=told("ARTIFACTS_URL", is_needed=True),
        secret_file=path("ATTEMPT_SECRET_FILE"),
        scratch=Path(told("SCRATCH", is_needed=True)),
        termination_log=termination_log(environment),
        memory_bytes=int(memory),
        pod=told("POD_NAME"),
        attempt_id=told("ATTEMPT_ID"),
        scratch_stays=told("SCRATCH_STAYS") == "true",
    )
