"""Zarr arrays (format 2) from outside: whether they are safe to decode, and all there.

A Zarr array names the codecs its chunks went through, and one of them, pickle, runs code when it
decodes. Only codecs of a list are let through, and numcodecs forgets its pickle altogether. Zarr
itself reads a missing chunk as zeros; here it is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numcodecs.registry
import numpy as np
from zarr.errors import MetadataError

from spikefleet.signal.formats.header_fields import entry, read_json, sample_type, whole
from spikefleet.signal.formats.reader_errors import corrupt, reading

COMPRESSORS = frozenset(
    {"blosc", "zstd", "lz4", "zlib", "gzip", "bz2", "lzma", "pcodec", "wavpack", "flac"}
)
"""Codecs that turn bytes into bytes and nothing else."""
FILTERS = COMPRESSORS | {
    "shuffle",
    "delta",
    "fixedscaleoffset",
    "bitround",
    "quantize",
    "astype",
    "packbits",
    "crc32",
    "crc32c",
    "adler32",
    "fletcher32",
}
_TEXTS = frozenset({"vlen-utf8"})
_MOST_CHUNK_BYTES = 512 << 20
_MOST_CHUNKS = 20_000_000
# Nothing in this process unpickles an array, whichever library asks.
numcodecs.registry.codec_registry.pop("pickle", None)


def require_plain_array(array: Path, path: Path, *, texts: bool = False) -> Mapping[str, Any]:
    """Return the metadata of the array in folder ``array`` if it is safe to decode.

    ``texts`` also lets an array of variable-length text through.

    Raises:
        InputCorruptError: ``unsafe``: objects, or a codec that is not known to be harmless;
            ``absurd``: a chunk or a shape that no recording has; ``unreadable``.
    """
    header = read_json(array / ".zarray")
    _require_plain_header(header, array.name, path, texts=texts)
    return dict(header)


def require_plain_tree(folder: Path, path: Path) -> None:
    """As ``require_plain_array`` for every array below a folder, and for its consolidated copy.

    For a folder that a foreign reader opens, which reads what it likes.
    """
    for array in sorted(folder.rglob(".zarray")):
        require_plain_array(array.parent, path)
    consolidated = folder / ".zmetadata"
    if not consolidated.is_file():
        return
    for name, header in _fields(entry(read_json(consolidated), "metadata", path), path).items():
        if name.endswith(".zarray"):
            _require_plain_header(header, name, path)
            own = folder / name
            if not own.is_file() or read_json(own) != header:
                raise corrupt(path, "unsafe", f"its .zmetadata tells of {name} what is not there.")


def _require_plain_header(header: Any, name: str, path: Path, *, texts: bool = False) -> None:
    if entry(header, "zarr_format", path) != 2:
        raise corrupt(path, "unsupported_version", f"{name} is not of Zarr's format 2.")
    shape = _counts(entry(header, "shape", path), f"the shape of {name}", path)
    chunks = _counts(entry(header, "chunks", path), f"the chunks of {name}", path, least=1)
    if len(shape) != len(chunks):
        raise corrupt(path, "unreadable", f"shape and chunks of {name} do not fit each other.")
    filters = header.get("filters") or []
    ids = [_codec_id(codec, path) for codec in (filters if isinstance(filters, list) else [None])]
    said = entry(header, "dtype", path)
    is_text = texts and said == "|O" and ids[:1] and ids[0] in _TEXTS
    allowed = [*ids[1:]] if is_text else ids
    compressor = header.get("compressor")
    unknown = [codec for codec in allowed if codec not in FILTERS]
    if compressor is not None and _codec_id(compressor, path) not in COMPRESSORS:
        unknown.append(_codec_id(compressor, path))
    if unknown or (said == "|O" and not is_text):
        what = f"the codec {unknown[0][:40]!r}" if unknown else "objects"
        raise corrupt(
            path,
            "unsafe",
            f"{name} is stored with {what}, which is not decoded: it could run code.",
        )
    itemsize = 64 if is_text else _itemsize(said, name, path)
    if math.prod(chunks) * itemsize > _MOST_CHUNK_BYTES:
        raise corrupt(path, "absurd", f"{name} is stored in chunks of {math.prod(chunks)} values.")


def _itemsize(said: Any, name: str, path: Path) -> int:
    if isinstance(said, str) and len(said) < 12 and said[1:2] in ("U", "S", "b"):
        width = whole(said[2:], f"the type of {name}", path)
        return max(1, width * (4 if said[1] == "U" else 1))
    return int(sample_type(said, f"the type of {name}", path).itemsize)


def _codec_id(codec: Any, path: Path) -> str:
    return str(entry(codec, "id", path))


def _fields(value: Any, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise corrupt(path, "unreadable", "its .zmetadata holds no table of fields.")
    return value


def _counts(value: Any, what: str, path: Path, least: int = 0) -> list[int]:
    if not isinstance(value, list) or len(value) > 8:
        raise corrupt(path, "unreadable", f"{what} is not a list of sizes.")
    return [whole(size, what, path, least=least, most=1 << 48) for size in value]


def require_all_chunks(array: Path, path: Path) -> None:
    """Check that every chunk of the array in folder ``array`` has its file.

    Raises:
        InputCorruptError: ``truncated`` (how many of how many are missing) or ``empty``; also as
            ``require_plain_array``.
    """
    header = require_plain_array(array, path)
    if 0 in header["shape"]:
        raise corrupt(path, "empty", "the array has no samples.")
    separator = "/" if header.get("dimension_separator") == "/" else "."
    counts = [
        math.ceil(size / chunk)
        for size, chunk in zip(header["shape"], header["chunks"], strict=True)
    ]
    if math.prod(counts) > _MOST_CHUNKS:
        raise corrupt(path, "absurd", f"{array.name} claims {math.prod(counts)} chunks.")
    missing = sum(
        not (array / separator.join(map(str, index))).is_file() for index in np.ndindex(*counts)
    )
    if missing:
        raise corrupt(
            path,
            "truncated",
            f"{missing} of {math.prod(counts)} chunks of {array.name} are missing.",
        )


@contextmanager
def reading_zarr(path: Path) -> Iterator[None]:
    """As ``reading``, also for what zarr says of metadata it does not understand.

    Raises:
        InputMissingError, InputCorruptError: as ``reading`` does.
    """
    with reading(path):
        try:
            yield
        except MetadataError as error:
            raise corrupt(path, "unreadable", f"its Zarr metadata is damaged ({error}).") from error
