"""From a URL to an artifact store: the one place that knows which adapter serves which scheme."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.visible_text import without_secrets
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts

_S3 = "spikefleet.infra.stores.bytes.s3.artifacts_s3"
_S3_WORDS = frozenset({"endpoint", "region", "external"})


def open_artifacts(url: str, s3_credentials: Path | None = None) -> ArtifactStore:
    """Open a store; ``open_artifacts(store.url)`` is the same one.

    ``file:///folder`` or an absolute path is a folder of this machine.
    ``s3://BUCKET[/PREFIX]?endpoint=https://HOST[&region=NAME][&external=https://HOST]`` is a
    bucket, opened with the two files in ``s3_credentials``; "external" is how rigs reach it.

    Raises ValueError for any other scheme, InvalidConfigurationError for what an S3 URL lacks,
    StorageUnavailableError when the bucket does not open.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        return _open_s3(url, s3_credentials)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        path = Path(unquote(parts.path))
    elif "://" not in url:
        path = Path(url)
    else:
        raise ValueError(
            f"no artifact store serves {without_secrets(url)!r}: name a folder, file:///folder, or "
            "a bucket, s3://bucket?endpoint=https://host"
        )
    if not path.is_absolute():
        raise ValueError(
            f"{without_secrets(url)!r} is not absolute, so every process would mean another folder"
        )
    return LocalArtifacts(path)


def _open_s3(url: str, credentials: Path | None) -> ArtifactStore:
    parts = urlsplit(url)
    given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = sorted(set(given) - _S3_WORDS)
    if "@" in parts.netloc:
        raise _refused(url, "keys do not belong into it; they are in the credentials' folder")
    if not parts.netloc or "endpoint" not in given or unknown:
        wrong = f"{unknown[0]!r} is unknown" if unknown else "it names no bucket or no endpoint"
        raise _refused(url, f"{wrong}; write s3://BUCKET/PREFIX?endpoint=https://HOST")
    if credentials is None:
        raise _refused(
            url, "no credentials are given; set SPIKEFLEET_S3_CREDENTIALS to their folder"
        )
    try:
        adapter = import_module(_S3)
    except ModuleNotFoundError as error:
        raise _refused(url, f"{error.name} is not installed; pip install spikefleet[s3]") from error
    store: ArtifactStore = adapter.open_s3(
        bucket=parts.netloc,
        prefix=unquote(parts.path).strip("/"),
        credentials=credentials,
        **given,
    )
    return store


def _refused(url: str, reason: str) -> InvalidConfigurationError:
    shown = without_secrets(url)
    return InvalidConfigurationError(
        f"The artifact store {shown!r} cannot be opened: {reason}.",
        field="artifacts_url",
        value=shown,
    )
