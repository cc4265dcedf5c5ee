"""The documents that attempts leave in the store, in memory."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from spikefleet.core.attempts import AttemptSpec
from spikefleet.infra.launchers.base import LauncherUnreachableError


class Documents:
    """The store's documents, in memory."""

    def __init__(self) -> None:
        self.stored: dict[str, Mapping[str, Any]] = {}
        self.reads: list[str] = []
        self.is_away = False

    def write_spec(self, spec: AttemptSpec) -> tuple[str, str]:
        key = f"{spec.artifacts_prefix}/spec.json"
        self.stored[key] = spec.to_json()
        return key, hashlib.sha256(json.dumps(spec.to_json()).encode()).hexdigest()

    def live(self, prefix: str) -> Mapping[str, object]:
        self.reads.append("live")
        return self.stored.get(f"{prefix}/live", {})

    def outcome(self, prefix: str) -> Mapping[str, object] | None:
        self.reads.append("outcome")
        if self.is_away:
            raise LauncherUnreachableError("the store is away")
        return self.stored.get(f"{prefix}/outcome")

    def leave(self, prefix: str, name: str, document: Mapping[str, Any]) -> None:
        """What a pod writes."""
        self.stored[f"{prefix}/{name}"] = document
