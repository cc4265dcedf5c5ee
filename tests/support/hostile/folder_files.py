"""Hostile SpikeInterface folders, Zarr groups and archives of our own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.support.hostile.changed import changed
from tests.support.hostile.genuine import GENUINE
from tests.support.hostile.traps import (
    DEEP,
    Trap,
    Writer,
    change_json,
    lead_out,
    make_long,
    pickled,
    save_pickled,
)

from spikefleet.core.files import digest_document


def _si(change: Callable[[Path, Trap], Any]) -> Writer:
    return changed("spikeinterface folder", change)


def _kwargs(**said: Any) -> Writer:
    def change(path: Path, trap: Trap) -> None:
        filled = {key: _filled(value, trap) for key, value in said.items()}
        change_json(path / "binary.json", lambda document: document["kwargs"].update(filled))

    return _si(change)


def _filled(value: Any, trap: Trap) -> Any:
    return [str(trap.secret)] if value == ["SECRET"] else value


def _header(text: str) -> Writer:
    return _si(lambda path, trap: (path / "binary.json").write_text(text) and None)


def _named_class(path: Path, trap: Trap) -> None:
    change_json(path / "binary.json", lambda document: document.update({"class": "os.system"}))


def _array_of(path: Path) -> Path:
    """The folder of samples in a Zarr group."""
    found = path / "traces_seg0"
    return found if found.is_dir() else path / "acquisition" / "probe0" / "data"


def _zarray(**said: Any) -> Callable[[Path, Trap], None]:
    return lambda path, trap: change_json(
        _array_of(path) / ".zarray", lambda document: document.update(said)
    )


def _pickled_chunks(path: Path, trap: Trap) -> None:
    """Samples that went through the pickle codec: to decode a chunk is to run it."""
    _zarray(filters=[{"id": "pickle", "protocol": 5}], compressor=None, dtype="|O")(path, trap)
    for chunk in _array_of(path).iterdir():
        if not chunk.name.startswith("."):
            chunk.write_bytes(pickled(trap))


def _pickled_property(path: Path, trap: Trap) -> None:
    folder = path / "properties" / "label"
    folder.mkdir(parents=True)
    header = {
        "zarr_format": 2, "shape": [4], "chunks": [4], "dtype": "|O", "compressor": None,
        "fill_value": None, "filters": [{"id": "pickle", "protocol": 5}], "order": "C",
    }  # fmt: skip
    (folder / ".zarray").write_text(json.dumps(header))
    (folder / "0").write_bytes(pickled(trap))


def _consolidated(path: Path, trap: Trap) -> None:
    """A .zmetadata that names the pickle codec, beside arrays that do not."""
    own = json.loads((path / "traces_seg0" / ".zarray").read_text())
    own.update(dtype="|O", filters=[{"id": "pickle", "protocol": 5}])
    metadata = {".zgroup": {"zarr_format": 2}, "traces_seg0/.zarray": own}
    text = json.dumps({"metadata": metadata, "zarr_consolidated_format": 1})
    (path / ".zmetadata").write_text(text)


def _linked_chunk(path: Path, trap: Trap) -> None:
    chunk = next(c for c in sorted(_array_of(path).iterdir()) if not c.name.startswith("."))
    lead_out(chunk, trap)


def _archive(change: Callable[[dict[str, Any], Trap], Any]) -> Writer:
    """An archive whose manifest was changed and signed anew."""

    def write(trap: Trap) -> Path:
        path = GENUINE["archive"](trap.folder)
        document = json.loads((path / "archive.json").read_text())
        document.pop("digest")
        change(document, trap)
        document["digest"] = digest_document(document)
        (path / "archive.json").write_text(json.dumps(document))
        return path

    return write


def _traces(**said: Any) -> Writer:
    return _archive(lambda document, trap: document["streams"][0]["traces"].update(said))


def _kept_elsewhere(document: dict[str, Any], trap: Trap) -> None:
    document.update(streams=[], entry="../../outside/secret")


def _archived_pickle(trap: Trap) -> Path:
    path = GENUINE["archive"](trap.folder)
    stream = next(path.rglob("traces_seg0")).parent
    _pickled_property(stream, trap)
    return path


def _archived_link(trap: Trap) -> Path:
    path = GENUINE["archive"](trap.folder)
    lead_out(next(path.rglob("0.0")), trap)
    return path


def _only_pickles(trap: Trap) -> Path:
    path = trap.folder / "rec"
    path.mkdir()
    for name in ("cached.pkl", "provenance.pickle", "recording.pkl"):
        (path / name).write_bytes(pickled(trap))
    return path


def _deep_probes(path: Path, trap: Trap) -> None:
    for name in ("probe.json", "probegroup.json"):
        (path / name).write_text(DEEP)


def _fifo_property(path: Path, trap: Trap) -> None:
    os.mkfifo(path / "properties" / "waits.npy")


FOLDERS: Mapping[str, Writer] = {
    "si: a property of pickled objects": _si(
        lambda path, trap: save_pickled(path / "properties" / "label.npy", trap)
    ),
    "si: a property that is nothing but a pickle": _si(
        lambda path, trap: (path / "properties" / "label.npy").write_bytes(pickled(trap)) and None
    ),
    "si: a pickle among the properties": _si(
        lambda path, trap: (path / "properties" / "label.pkl").write_bytes(pickled(trap)) and None
    ),
    "si: pickled times": _si(
        lambda path, trap: save_pickled(path / "times_cached_seg0.npy", trap, 3000)
    ),
    "si: a class that runs programs": _si(_named_class),
    "si: samples that climb": _kwargs(file_paths=["../../outside/secret"]),
    "si: samples at an absolute path": _kwargs(file_paths=["SECRET"]),
    "si: a name with NUL": _kwargs(file_paths=["traces\0.raw"]),
    "si: a name with a line's end": _kwargs(file_paths=["traces\n../secret.raw"]),
    "si: more channels than atoms": _kwargs(num_channels=10**30),
    "si: samples of objects": _kwargs(dtype="O"),
    "si: samples of a gigabyte each": _kwargs(dtype="V1000000000"),
    "si: samples far behind the end": _kwargs(file_offset=1 << 60),
    "si: a header nested without end": _header(DEEP),
    "si: a header without end": _si(lambda path, trap: make_long(path / "binary.json")),
    "si: samples that are a link": _si(
        lambda path, trap: lead_out(path / "traces_cached_seg0.raw", trap)
    ),
    "si: probes nested without end": _si(_deep_probes),
    "si: a property that is a FIFO": _si(_fifo_property),
    "si: nothing but pickles": _only_pickles,
    "zarr: pickled samples": changed("spikeinterface zarr", _pickled_chunks),
    "zarr: a property of pickled objects": changed("spikeinterface zarr", _pickled_property),
    "zarr: a codec nobody knows": changed(
        "spikeinterface zarr", _zarray(compressor={"id": "os.system", "command": "touch mark"})
    ),
    "zarr: metadata of its own": changed("spikeinterface zarr", _consolidated),
    "zarr: chunks of terabytes": changed("spikeinterface zarr", _zarray(chunks=[1 << 40, 4])),
    "zarr: samples of text": changed(
        "spikeinterface zarr", _zarray(dtype="|O", filters=[{"id": "vlen-utf8"}])
    ),
    "zarr: format 3": changed("spikeinterface zarr", _zarray(zarr_format=3)),
    "zarr: a chunk that is a link": changed("spikeinterface zarr", _linked_chunk),
    "zarr: attributes nested without end": changed(
        "spikeinterface zarr", lambda path, trap: (path / ".zattrs").write_text(DEEP) and None
    ),
    "nwb zarr: pickled samples": changed("nwb on zarr", _pickled_chunks),
    "nwb zarr: chunks of terabytes": changed("nwb on zarr", _zarray(chunks=[1 << 40, 4])),
    "archive: an entry that climbs": _archive(_kept_elsewhere),
    "archive: a stream elsewhere": _archive(
        lambda document, trap: document["streams"][0].update(folder="/etc")
    ),
    "archive: the pickle codec": _traces(codec={"id": "pickle", "protocol": 5}),
    "archive: chunks of terabytes": _traces(chunk_frames=1 << 40),
    "archive: samples of objects": _traces(dtype="|O"),
    "archive: a claim of terabytes": _traces(n_frames=1 << 40),
    "archive: a rate that is text": _archive(
        lambda document, trap: document["streams"][0].update(sampling_rate_hz="__import__('os')")
    ),
    "archive: a pickled property": _archived_pickle,
    "archive: a chunk that is a link": _archived_link,
}
"""What is tried, in words -> who writes it."""
