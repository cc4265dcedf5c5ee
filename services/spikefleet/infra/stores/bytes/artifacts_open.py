"""From a URL to an artifact store: the one place that knows which adapter serves which scheme."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from spikefleet.infra.stores.bytes.artifacts import ArtifactStore
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts


def open_artifacts(url: str) -> ArtifactStore:
    """Open ``file:///folder`` or an absolute path; ``open_artifacts(store.url)`` is the same store.

    Raises ValueError for any other scheme.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        path = Path(unquote(parts.path))
    elif "://" not in url:
        path = Path(url)
    else:
        raise ValueError(
            f"no artifact store serves {url!r}: name a folder of this machine, file:///folder"
        )
    if not path.is_absolute():
        raise ValueError(f"{url!r} is not absolute, so every process would mean another folder")
    return LocalArtifacts(path)
