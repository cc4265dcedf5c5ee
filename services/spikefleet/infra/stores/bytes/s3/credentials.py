"""The keys of a bucket and the authorities trusted for its certificate, from a mounted folder."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from spikefleet.core.failures.errors import InvalidConfigurationError

_AUTHORITIES = "ca.crt"


@dataclass(frozen=True)
class S3Credentials:
    """An access key and its secret, and the authorities trusted for the server (PEM; None: all)."""

    access_key: str
    secret_key: str
    ca_file: Path | None = None

    def __repr__(self) -> str:
        return f"S3Credentials({self.access_key!r}, secret hidden)"


def read_credentials(folder: Path) -> S3Credentials:
    """Read ``access-key`` and ``secret-key`` from a folder, as a mounted secret shows them.

    A file ``ca.crt`` beside them holds the authorities that are trusted for the bucket's
    certificate, in place of the public ones. Raises InvalidConfigurationError when a key is missing
    or empty, or ``ca.crt`` holds no certificate.
    """
    found = []
    for name in ("access-key", "secret-key"):
        try:
            text = (folder / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            text = ""
        if not text:
            raise InvalidConfigurationError(
                f"The S3 credentials lack a file {name!r} in {folder}. Mount the secret there.",
                field="s3_credentials",
                value=str(folder),
            )
        found.append(text)
    access_key, secret_key = found
    return S3Credentials(access_key, secret_key, _read_authorities(folder))


def _read_authorities(folder: Path) -> Path | None:
    file = folder / _AUTHORITIES
    if not file.exists():
        return None
    try:
        ssl.create_default_context(cafile=str(file))
    except OSError as error:
        raise InvalidConfigurationError(
            f"{file} holds no certificates (PEM) that can be read: {error}.",
            field="s3_credentials",
            value=str(file),
        ) from error
    return file
