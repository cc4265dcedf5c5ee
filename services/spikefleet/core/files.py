"""Documents and files: written whole, read within bounds, known by digest and by stamp.

Knows no document's meaning. A file's bytes are known by its SHA-256; whether somebody wrote to it
since, by its stamp, without reading it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Larger than any document written here; a larger file is not one of ours.
MAX_DOCUMENT_BYTES = 64 << 20


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document, as ``write_text``."""
    write_text(path, json.dumps(document, indent=1, sort_keys=True, default=str))


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8, as ``write_bytes``."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: temporary file, fsync, rename. Missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None when the file is missing, half-written, endless or not an object."""
    try:
        with path.open("rb") as handle:
            data = handle.read(MAX_DOCUMENT_BYTES + 1)
        document = json.loads(data.decode()) if len(data) <= MAX_DOCUMENT_BYTES else None
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def digest_document(document: Any) -> str:
    """SHA-256 (hex) of a JSON document in canonical form: sorted keys, no white space."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes. Raises OSError."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def file_stamp(status: os.stat_result) -> str:
    """How a file looks without reading it: size, times of change (ns) and inode.

    Equal stamps: nobody wrote to the file in between. Unequal ones say nothing about the bytes.
    """
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def sync(path: Path) -> None:
    """See a file's bytes, or a folder's entries, through to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
