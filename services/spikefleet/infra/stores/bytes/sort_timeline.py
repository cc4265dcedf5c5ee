"""The timeline a sort left beside its result, as a plain document.

Curation and reporter both read it; ``signal.preparing.timeline`` defines what it means.
"""

from __future__ import annotations

import json
from typing import Any

from spikefleet.infra.stores.bytes.artifacts import ArtifactMissingError, ArtifactStore

TIMELINE_FILE = "timeline.json"


def read_timeline(store: ArtifactStore, sort_prefix: str) -> dict[str, Any]:
    """Return the document; empty where a sort left none: it was sorted from end to end."""
    try:
        document = json.loads(store.get_bytes(f"{sort_prefix}/{TIMELINE_FILE}"))
    except ArtifactMissingError:
        return {}
    except ValueError:
        return {"version": "unreadable"}
    return document if isinstance(document, dict) else {"version": "unreadable"}
