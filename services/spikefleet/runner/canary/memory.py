"""Which trials have passed before, so that the next run of the same kind need not repeat them.

A pass is remembered under everything that could break it: the image (or, outside of images, the
installed versions and the host), the parameters, the GPU's model and driver, the kind of file. Any
of them changed is another key. What is not a pass is not remembered.
"""

from __future__ import annotations

import json
import logging
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import PurePosixPath
from typing import Any

from spikefleet.core.attempts import AttemptSpec
from spikefleet.core.files import digest_document
from spikefleet.infra.stores.bytes.artifacts import POINTER, ArtifactStore

_log = logging.getLogger(__name__)

_PREFIX = "canaries"
_VERSION = 1
_GROUPS = ("recording", "sorter", "rt_sort", "waveform")
# Which part of the recording is sorted breaks nothing.
_WINDOWS = frozenset({"start_time_s", "end_time_s", "rec_chunks", "rec_chunks_s", "first_n_mins"})


@dataclass(frozen=True)
class TrialMachine:
    """What of a machine can break a sorter. Empty: not known, or there is none."""

    image_digest: str = ""
    gpu_model: str = ""
    driver_version: str = ""


def canary_key(spec: AttemptSpec, machine: TrialMachine) -> str:
    """Return the name under which a pass of this kind of run on this machine is remembered."""
    config = spec.config
    params = {group: config.get(group) for group in _GROUPS}
    recording = params["recording"]
    if isinstance(recording, Mapping):
        params["recording"] = {k: v for k, v in recording.items() if k not in _WINDOWS}
    entry = spec.parts[0].path if spec.parts else spec.recording
    return digest_document(
        {
            "version": _VERSION,
            "backend": spec.backend,
            "image": machine.image_digest or _installed(),
            "params": params,
            "gpu": [machine.gpu_model, machine.driver_version] if spec.gpu else None,
            "kind": PurePosixPath(entry).suffixes[-2:],
        }
    )


def _installed() -> list[Any]:
    """What stands for an image where there is none: host, interpreter, every installed version."""
    versions = sorted({f"{found.name}=={found.version}" for found in distributions()})
    return [platform.node(), sys.prefix, platform.python_version(), versions]


class CanaryMemory:
    """Passed trials in the artifact store. A store that is away remembers nothing and says so."""

    def __init__(self, artifacts: ArtifactStore, key: str) -> None:
        self._artifacts = artifacts
        self.pointer = f"{_PREFIX}/{key}/{POINTER}"

    def recall(self) -> str:
        """Return the attempt whose trial passed; "" when none is remembered."""
        try:
            document: Any = json.loads(self._artifacts.get_bytes(self.pointer))
        except (OSError, ValueError):
            return ""
        passed = isinstance(document, Mapping) and document.get("state") == "passed"
        return str(document.get("attempt_id") or "") if passed else ""

    def keep(self, attempt_id: str) -> None:
        """Remember that the trial of this attempt passed."""
        self._write("passed", attempt_id)

    def forget(self, attempt_id: str) -> None:
        """Trust the pass no longer: an attempt that relied on it found the environment broken."""
        self._write("forgotten", attempt_id)

    def _write(self, state: str, attempt_id: str) -> None:
        document = {"state": state, "attempt_id": attempt_id, "at": time.time()}
        try:
            self._artifacts.swap_pointer(self.pointer, document)
        except (OSError, ValueError) as error:
            _log.warning("canary.not_remembered", extra={"error": str(error)})
