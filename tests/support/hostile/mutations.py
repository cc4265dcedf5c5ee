"""Deterministic damage to a recording on disk: one change a number, of every kind files suffer.

Bytes are flipped, zeroed, swapped, cut and overwritten; text headers lose lines and gain absurd
values; HDF5 objects change their type, shape, place or values; files vanish or become folders.
"""

from __future__ import annotations

import json
import random
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

_TEXT = {".json", ".meta", ".oebin", ".xml", ".zarray", ".zattrs", ".zgroup", ".zmetadata"}
_HDF5 = {".h5", ".nwb", ".brw"}
_HEADER_BYTES = 1 << 14
_ABSURD_TEXT = (
    "-1", "0", "1e308", "NaN", "Infinity", "99999999999999999999", "null", "[]", "{}", '"x"',
    "true", "0.5", "[[]]", '"\\u0000"', "4096000000",
)  # fmt: skip
_ABSURD_INTEGERS = (0, -1, 1 << 31, (1 << 31) - 1, 1 << 62, 255)
_ABSURD_VALUES: tuple[Any, ...] = (
    0, -1, 1e308, float("nan"), float("inf"), 1 << 40, b"", b"nonsense", "\u2603",
    np.zeros(0), np.zeros((3, 3, 3)), np.arange(5), np.array([b"x", b"y"]),
    np.zeros(4, dtype=[("channel", "<i4"), ("x", "S3")]),
)  # fmt: skip


def mutate(recording: Path, seed: int) -> str:
    """Damage one file of the recording at ``recording``; say what was done to which."""
    rng = random.Random(seed)
    files = [recording] if recording.is_file() else _files(recording)
    files += [f for f in _files(recording.parent) if f not in files] if recording.is_file() else []
    file = rng.choice(_weighed(files))
    kind = rng.choice(_kinds(file))
    return f"{file.name}: {kind.__name__.strip('_')}: {kind(file, rng)}"


def _files(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in found if ".truth" not in path.name]


def _weighed(files: list[Path]) -> list[Path]:
    """Headers more often than the many files of samples."""
    return files + [f for f in files if f.suffix in _TEXT | _HDF5 or f.name in _TEXT] * 4


def _kinds(file: Path) -> list[Callable[[Path, random.Random], str]]:
    bytes_changed = [_flip, _zero, _swap, _cut, _overwrite, _extend]
    whole = [_remove, _empty, _make_folder]
    if file.suffix in _TEXT or file.name in _TEXT:
        return [*bytes_changed, *whole, *([_value, _value, _line, _key, _key] * 3)]
    if file.suffix in _HDF5:
        return [*bytes_changed, *bytes_changed, *([_object, _attribute, _field] * 4), _cut]
    return [*bytes_changed, *bytes_changed, *bytes_changed, _text_value, *whole]


def _place(size_bytes: int, rng: random.Random) -> int:
    """Mostly in the header, sometimes anywhere."""
    end = min(size_bytes, _HEADER_BYTES) if rng.random() < 0.8 else size_bytes
    return rng.randrange(max(1, end))


def _flip(file: Path, rng: random.Random) -> str:
    content = bytearray(file.read_bytes())
    places = [_place(len(content), rng) for _ in range(rng.randint(1, 8))]
    for place in places if content else []:
        content[place] ^= 1 << rng.randrange(8)
    file.write_bytes(content)
    return f"bits at {places}"


def _zero(file: Path, rng: random.Random) -> str:
    content = bytearray(file.read_bytes())
    place, length = _place(len(content), rng), rng.choice((1, 4, 8, 64, 512))
    length = min(length, len(content) - place)
    content[place : place + length] = bytes(max(0, length))
    file.write_bytes(content)
    return f"{length} at {place}"


def _swap(file: Path, rng: random.Random) -> str:
    content = bytearray(file.read_bytes())
    length = rng.choice((2, 4, 8, 16))
    first, second = _place(len(content), rng), _place(len(content), rng)
    one, other = content[first : first + length], content[second : second + length]
    if len(one) == len(other):
        content[first : first + length], content[second : second + length] = other, one
    file.write_bytes(content)
    return f"{length} at {first} and {second}"


def _cut(file: Path, rng: random.Random) -> str:
    size_bytes = file.stat().st_size
    kept = _place(size_bytes, rng)
    with file.open("r+b") as out:
        out.truncate(kept)
    return f"to {kept} of {size_bytes}"


def _extend(file: Path, rng: random.Random) -> str:
    more = rng.randbytes(rng.choice((1, 7, 2000)))
    with file.open("ab") as out:
        out.write(more)
    return f"by {len(more)}"


def _overwrite(file: Path, rng: random.Random) -> str:
    content = bytearray(file.read_bytes())
    value, width = rng.choice(_ABSURD_INTEGERS), rng.choice(["<i", "<q", "<h", "<d", ">i"])
    place = _place(len(content), rng)
    size = struct.calcsize(width)
    bits = 8 * size
    plain = value & ((1 << bits) - 1)
    packed = plain.to_bytes(size, "little" if width[0] == "<" else "big")
    if width.endswith("d"):
        packed = struct.pack(width, rng.choice((float("nan"), float("inf"), -1.0, 1e308)))
    content[place : place + size] = packed
    file.write_bytes(content)
    return f"{packed.hex()} at {place}"


def _value(file: Path, rng: random.Random) -> str:
    """Replace one value of a text by an absurd one."""
    text = file.read_text(encoding="utf-8", errors="surrogateescape")
    found = list(re.finditer(r"(?<=[:=,\[\s(])(-?\d[\d.eE+-]*|\"[^\"]*\"|true|false|null)", text))
    if not found:
        return "nothing to replace"
    hit, put = rng.choice(found), rng.choice(_ABSURD_TEXT)
    changed = text[: hit.start()] + put + text[hit.end() :]
    file.write_text(changed, encoding="utf-8", errors="surrogateescape")
    return f"{hit.group()!r} at {hit.start()} by {put}"


def _text_value(file: Path, rng: random.Random) -> str:
    """Replace a number or a word in a text header of fixed size; the rest keeps its place."""
    content = bytearray(file.read_bytes())
    found = list(re.finditer(rb"[\w.+-]{1,24}", bytes(content[:_HEADER_BYTES])))
    if not found:
        return "no text"
    hit, put = rng.choice(found), rng.choice(_ABSURD_TEXT).encode()
    length = hit.end() - hit.start()
    content[hit.start() : hit.end()] = put[:length].ljust(length)
    file.write_bytes(content)
    return f"{hit.group()!r} at {hit.start()} by {put!r}"


def _line(file: Path, rng: random.Random) -> str:
    lines = file.read_bytes().splitlines(keepends=True)
    if not lines:
        return "no line"
    at = rng.randrange(len(lines))
    if rng.random() < 0.5:
        lines[at : at + 1] = [lines[at], lines[at]]
    else:
        del lines[at]
    file.write_bytes(b"".join(lines))
    return f"line {at}"


def _key(file: Path, rng: random.Random) -> str:
    """Remove, empty or replace one entry of a JSON document, wherever it is nested."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return _line(file, rng)
    places: list[tuple[Any, Any]] = []
    _collect(document, places)
    if not places:
        return "nothing in it"
    table, key = rng.choice(places)
    if rng.random() < 0.4:
        del table[key]
        said = f"{key!r} removed"
    else:
        table[key] = json.loads(rng.choice(_ABSURD_TEXT))
        said = f"{key!r} is {table[key]!r}"
    file.write_text(json.dumps(document), encoding="utf-8")
    return said


def _collect(document: Any, places: list[tuple[Any, Any]]) -> None:
    entries = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in entries:
        places.append((document, key))
        if isinstance(value, dict | list):
            _collect(value, places)


def _object(file: Path, rng: random.Random) -> str:
    """Remove, rename, reshape or replace one object of an HDF5 file."""
    with h5py.File(file, "r+") as opened:
        names: list[str] = []
        opened.visit(names.append)
        name = rng.choice(names)
        what = rng.choice(("removed", "moved", "a group", "a claim", "a value", "a link"))
        other = rng.choice(names)
        if what == "moved":
            opened.move(name, "elsewhere")
        else:
            del opened[name]
            if what == "a group":
                opened.create_group(name)
            elif what == "a claim":
                opened.create_dataset(name, shape=(4, 1 << 40), chunks=(4, 1024), dtype="<u2")
            elif what == "a value":
                opened[name] = rng.choice(_ABSURD_VALUES)
            elif what == "a link":
                opened[name] = h5py.SoftLink(f"/{other}")
    return f"{name} {what}"


def _attribute(file: Path, rng: random.Random) -> str:
    with h5py.File(file, "r+") as opened:
        found: list[tuple[str, str]] = [("/", key) for key in opened.attrs]
        opened.visititems(lambda name, item: found.extend((name, key) for key in item.attrs))
        if not found:
            return "no attribute"
        name, key = rng.choice(found)
        if rng.random() < 0.3:
            del opened[name].attrs[key]
            return f"{name} lost {key}"
        value = rng.choice(_ABSURD_VALUES)
        opened[name].attrs[key] = value
        return f"{name}.{key} is {value!r}"


def _field(file: Path, rng: random.Random) -> str:
    """Change one value inside a dataset, or one column of a table."""
    with h5py.File(file, "r+") as opened:
        names: list[str] = []
        opened.visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        name = rng.choice(names)
        data = opened[name]
        if data.dtype.names:
            table = data[()]
            column = rng.choice(data.dtype.names)
            kept = [part for part in data.dtype.names if part != column]
            if rng.random() < 0.5 and kept:
                del opened[name]
                opened[name] = table[kept]
                return f"{name} lost {column}"
            value: Any = rng.choice((0, -1, 2**31 - 1))
            if table.size and table.dtype[column].kind in "iuf":
                table[column].reshape(-1)[rng.randrange(table.size)] = (
                    value if table.dtype[column].kind != "u" else abs(value)
                )
            data[...] = table
            return f"{name}.{column} has {value}"
        if data.dtype.kind not in "iuf" or not data.size or data.size > 1 << 22:
            del opened[name]
            opened[name] = rng.choice(_ABSURD_VALUES)
            return f"{name} replaced"
        values = data[()]
        flat = np.atleast_1d(values).reshape(-1)
        limits = [0, 1] if values.dtype.kind == "u" else [0, -1, 1]
        ends = np.iinfo(values.dtype) if values.dtype.kind in "iu" else np.finfo(values.dtype)
        value = rng.choice([*limits, ends.max, ends.min])
        flat[rng.randrange(flat.size)] = value
        data[...] = flat.reshape(values.shape)
        return f"{name} has {value}"


def _remove(file: Path, rng: random.Random) -> str:
    file.unlink()
    return "gone"


def _empty(file: Path, rng: random.Random) -> str:
    file.write_bytes(b"")
    return "no bytes"


def _make_folder(file: Path, rng: random.Random) -> str:
    file.unlink()
    file.mkdir()
    return "a folder"
