"""The documents that a pod and its controller leave each other in the artifact store.

The order goes beside the result, not into it: the runner stores its own copy of the spec with what
it sorted. Reads and writes documents; judges none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikefleet.core.attempts import AttemptSpec
from spikefleet.infra.foreign_documents import MOST_BYTES
from spikefleet.infra.launchers.base import LauncherUnreachableError
from spikefleet.infra.stores.bytes.artifacts import ArtifactMissingError, ArtifactStore, live_key

_OUTCOMES = ("outcome.json", "failure/outcome.json")  # of a success, of a failure
_ORDERS = "order"
_DIGEST_CHARACTERS = 16


@dataclass(frozen=True)
class StoredDocuments:
    """Documents of attempts in one artifact store."""

    artifacts: ArtifactStore

    def write_spec(self, spec: AttemptSpec) -> tuple[str, str]:
        """Store the order of an attempt; return its key and SHA-256.

        The key follows from the bytes: an order that has changed since is another one. Raises
        LauncherUnreachableError.
        """
        data = json.dumps(spec.to_json(), sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()
        key = f"{spec.artifacts_prefix}/{_ORDERS}/{digest[:_DIGEST_CHARACTERS]}/spec.json"
        try:
            self.artifacts.put_bytes(key, data)
        except OSError as error:
            raise _away(error) from error
        return key, digest

    def orders(self, prefix: str) -> list[Mapping[str, object]]:
        """Return the orders that were stored for the attempt under ``prefix``; [] if none.

        There are several where what it was to get changed before it was started. Raises
        LauncherUnreachableError.
        """
        try:
            keys = self.artifacts.list_keys(f"{prefix}/{_ORDERS}")
        except OSError as error:
            raise _away(error) from error
        return [found for key in keys if (found := self._read(key)) is not None]

    def live(self, prefix: str) -> Mapping[str, object]:
        """Return what the attempt under ``prefix`` last told of itself; {} if nothing.

        Raises LauncherUnreachableError.
        """
        return self._read(live_key(prefix)) or {}

    def outcome(self, prefix: str) -> Mapping[str, object] | None:
        """Return the outcome of the attempt under ``prefix``; None where there is none.

        Raises LauncherUnreachableError.
        """
        for name in _OUTCOMES:
            if (found := self._read(f"{prefix}/{name}")) is not None:
                return found
        return None

    def _read(self, key: str) -> Mapping[str, object] | None:
        """A document of a pod; one that is longer than any of ours is not fetched."""
        try:
            size = self.artifacts.size(key)
            if size is None or size > MOST_BYTES:
                return None
            document: Any = json.loads(self.artifacts.get_bytes(key))
        except (ArtifactMissingError, ValueError, RecursionError):
            return None
        except OSError as error:
            raise _away(error) from error
        return document if isinstance(document, dict) else None


def _away(error: Exception) -> LauncherUnreachableError:
    return LauncherUnreachableError(f"the artifact store does not answer: {error}")
