"""Hostile files of acquisition systems, sidecars among them, and things that are no files."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.support.formats import intan, openephys
from tests.support.formats.probes import make_noise
from tests.support.hostile.changed import changed
from tests.support.hostile.genuine import GENUINE
from tests.support.hostile.traps import (
    DEEP,
    Trap,
    Writer,
    change_json,
    lead_out,
    make_long,
    save_pickled,
)

_LAUGHS = '<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9)
)


def _meta(key: str, value: str) -> Writer:
    def change(path: Path, trap: Trap) -> None:
        meta = next(path.rglob("*.meta"))
        lines = meta.read_text().splitlines()
        kept = [line for line in lines if not line.startswith(f"{key}=")]
        meta.write_text("\n".join([*kept, f"{key}={value}"]))

    return changed("spikeglx", change)


def _oebin(change: Callable[[Any, Trap], Any]) -> Writer:
    return changed(
        "open ephys",
        lambda path, trap: change_json(
            next(path.rglob("structure.oebin")), lambda document: change(document, trap)
        ),
    )


def _stream_says(key: str, value: Any) -> Writer:
    return _oebin(lambda document, trap: document["continuous"][0].update({key: value}))


def _settings(change: Callable[[str, Trap], bytes]) -> Writer:
    """A Neuropixels recording whose genuine settings.xml was changed: they say where it lies."""

    def write(trap: Trap) -> Path:
        node = openephys.write_neuropixels(trap.folder, range(4))
        settings = node / "settings.xml"
        settings.write_bytes(change(settings.read_text(), trap))
        return node

    return write


def _entities(text: str, declared: str, used: str) -> str:
    head, _, rest = text.partition("<SETTINGS>")
    return f"{head}<!DOCTYPE SETTINGS [{declared}]><SETTINGS><NOTE>{used}</NOTE>{rest}"


def _in_ebcdic(text: str, trap: Trap) -> bytes:
    """Entities that no search for ASCII letters finds, behind an encoding that Python knows."""
    body = _entities(text, _LAUGHS, "&j;").partition("?>")[2].lstrip()
    marked = body.replace("<NOTE>", f"<NOTE>{b'NP_PROBE'.decode('cp500')}")
    return b'<?xml version="1.0" encoding="cp500"?>' + marked.encode("cp500")


def _in_utf16(text: str, trap: Trap) -> bytes:
    body = _entities(text, _LAUGHS, "&j;").partition("?>")[2].lstrip()
    marked = body.replace("<NOTE>", f"<NOTE>{b'NP_PROBE'.decode('utf-16-le')}")
    return b"\xff\xfe" + marked.encode("utf-16-le")


def _bytes(layout: str, at: int, value: bytes) -> Writer:
    """A genuine file with ``value`` at byte ``at``."""

    def change(path: Path, trap: Trap) -> None:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(value)

    return changed(layout, change)


def _text(layout: str, old: bytes, new: bytes) -> Writer:
    """The first file of a recording with other words in its header, which keeps its length."""

    def change(path: Path, trap: Trap) -> None:
        file = path if path.is_file() else sorted(path.glob("*.[nc]*"))[0]
        content = file.read_bytes()
        at = content.index(old)
        end = content.index(b"\n", at)
        file.write_bytes(content[:at] + new[: end - at].ljust(end - at) + content[end:])

    return changed(layout, change)


def _changed_neuropixels(change: Callable[[Path, Trap], Any]) -> Writer:
    def write(trap: Trap) -> Path:
        node = openephys.write_neuropixels(trap.folder, range(4))
        change(node, trap)
        return node

    return write


def _endless_groups(trap: Trap) -> Path:
    path = trap.folder / "slice.rhd"
    genuine = intan.header("rhd", ["A-000"])
    prefix = intan.group_start(genuine)
    groups = struct.pack("<h", 32767) + struct.pack("<2I3h", 0, 0, 1, 32767, 32767) * 40_000
    path.write_bytes(genuine[:prefix] + groups)
    return path


def _long_text(trap: Trap) -> Path:
    """A note that claims 60 MB, in a file that has them (as holes)."""
    path = trap.folder / "slice.rhd"
    path.write_bytes(intan.header("rhd", ["A-000"]))
    with path.open("r+b") as file:
        file.seek(48)
        file.write(struct.pack("<I", 60 << 20))
        file.truncate(64 << 20)
    return path


def _lengthen(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(100 << 20)


def _empty_blocks(trap: Trap) -> Path:
    path = GENUINE["blackrock"](trap.folder)
    with path.open("r+b") as file:
        file.seek(314 + 66 * 4)
        file.truncate()
        file.write(struct.pack("<BII", 1, 0, 0) * 1_000_001)
    return path


def _climbing_channel(trap: Trap) -> Path:
    names = ["A-000", "../../outside/secret"]
    return intan.write_attached(trap.folder / "slice.rhd", make_noise(256, 2, "uint16"), names)


def _nan_rate(trap: Trap) -> Path:
    path = trap.folder / "slice.rhd"
    body = intan.header("rhd", ["A-000"], float("nan"))
    path.write_bytes(body + bytes(4096))
    return path


def _raw(**said: Any) -> Writer:
    return changed(
        "raw binary",
        lambda path, trap: change_json(
            path.with_suffix(".json"), lambda document: document.update(said)
        ),
    )


def _special(layout: str, name: str, make: Callable[[Path], Any]) -> Writer:
    """A genuine folder with one of its files replaced by something that is no file."""

    def change(path: Path, trap: Trap) -> None:
        file = next(path.rglob(name))
        file.unlink()
        make(file)

    return changed(layout, change)


def _bind(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(file.parent, os.O_RDONLY)
        try:
            made.bind(f"/proc/self/fd/{here}/{file.name}")
        finally:
            os.close(here)


def _alone(make: Callable[[Path, Trap], Any]) -> Writer:
    def write(trap: Trap) -> Path:
        path = trap.folder / "rec.raw"
        make(path, trap)
        return path

    return write


def _legacy_link(trap: Trap) -> Path:
    path = trap.folder / "legacy"
    openephys.write_continuous(path, "CH1", make_noise(1024, 1)[:, 0])
    lead_out(path / "100_CH1.continuous", trap)
    return path


def _sidecar(change: Callable[[Path, Trap], Any], layout: str = "blackrock") -> Writer:
    return changed(layout, lambda path, trap: change(path.parent / "probe.json", trap))


VENDORS: Mapping[str, Writer] = {
    "spikeglx: more channels than atoms": _meta("nSavedChans", "9" * 30),
    "spikeglx: a rate of nothing": _meta("imSampRate", "-0.0"),
    "spikeglx: a table nested without end": _meta("~imroTbl", "(" * 1_000_000),
    "spikeglx: a header without end": changed(
        "spikeglx", lambda path, trap: make_long(next(path.rglob("*.meta")))
    ),
    "spikeglx: samples that are a link": changed(
        "spikeglx", lambda path, trap: lead_out(next(path.rglob("*.bin")), trap)
    ),
    "spikeglx: a header of NULs": changed(
        "spikeglx", lambda path, trap: next(path.rglob("*.meta")).write_bytes(bytes(4096))
    ),
    "open ephys: a stream that climbs": _stream_says("folder_name", "../../../../outside/"),
    "open ephys: a stream elsewhere": _oebin(
        lambda document, trap: document["continuous"][0].update(folder_name=str(trap.outside))
    ),
    "open ephys: channels that are text": _stream_says("channels", "x" * 1000),
    "open ephys: a structure nested without end": changed(
        "open ephys", lambda path, trap: next(path.rglob("structure.oebin")).write_text(DEEP)
    ),
    "open ephys: pickled sample numbers": changed(
        "open ephys", lambda path, trap: save_pickled(next(path.rglob("sample_numbers.npy")), trap)
    ),
    "open ephys: samples that are a link": changed(
        "open ephys", lambda path, trap: lead_out(next(path.rglob("continuous.dat")), trap)
    ),
    "open ephys: samples that are a FIFO": _special("open ephys", "continuous.dat", os.mkfifo),
    "open ephys: settings of a billion laughs": _settings(
        lambda text, trap: _entities(text, _LAUGHS, "&j;").encode()
    ),
    "open ephys: settings that name another file": _settings(
        lambda text, trap: _entities(
            text, f'<!ENTITY s SYSTEM "file://{trap.secret}">', "&s;"
        ).encode()
    ),
    "open ephys: laughs in EBCDIC": _settings(_in_ebcdic),
    "open ephys: laughs in UTF-16": _settings(_in_utf16),
    "open ephys: settings nested without end": _settings(
        lambda text, trap: text.replace("<INFO>", "<A>" * 100_000 + "<INFO>").encode()
    ),
    "open ephys: settings of 100 MB": _settings(
        lambda text, trap: text.replace("<INFO>", " " * (100 << 20) + "<INFO>").encode()
    ),
    "open ephys: settings that are a link": _changed_neuropixels(
        lambda node, trap: lead_out(node / "settings.xml", trap)
    ),
    "open ephys legacy: samples that are a link": _legacy_link,
    "open ephys legacy: a scale that is code": _text(
        "open ephys legacy", b"header.bitVolts", b"header.bitVolts = eval('1');"
    ),
    "intan: a text of gigabytes": _bytes("intan rhd", 48, struct.pack("<I", 0xFFFFFFF0)),
    "intan: more groups and channels than the file has bytes": _endless_groups,
    "intan: a text as long as a large file": _long_text,
    "intan: a header of its own without end": changed(
        "intan per signal", lambda path, trap: _lengthen(path / "info.rhd")
    ),
    "intan: a channel that climbs": _climbing_channel,
    "intan: a rate that is no number": _nan_rate,
    "intan: samples that are a FIFO": _special("intan per signal", "amplifier.dat", os.mkfifo),
    "intan: times that are a link": changed(
        "intan per signal", lambda path, trap: lead_out(path / "time.dat", trap)
    ),
    "blackrock: more channels than bytes": _bytes("blackrock", 310, b"\xff\xff\xff\xff"),
    "blackrock: a header that ends before it begins": _bytes("blackrock", 10, bytes(4)),
    "blackrock: blocks of nothing without end": _empty_blocks,
    "blackrock: a block of terabytes": _bytes("blackrock", 314 + 66 * 4 + 5, b"\xff\xff\xff\xff"),
    "neuralynx: a rate beyond numbers": _text(
        "neuralynx", b"-SamplingFrequency", b"-SamplingFrequency 1e999"
    ),
    "neuralynx: a scale that is code": _text(
        "neuralynx", b"-ADBitVolts", b"-ADBitVolts __import__('os')"
    ),
    "neuralynx: samples that are a link": changed(
        "neuralynx", lambda path, trap: lead_out(path / "CSC2.ncs", trap)
    ),
    "raw: more channels than atoms": _raw(n_channels=10**30),
    "raw: samples of objects": _raw(dtype="O"),
    "raw: a sidecar nested without end": changed(
        "raw binary", lambda path, trap: path.with_suffix(".json").write_text(DEEP)
    ),
    "raw: a sidecar that is a link": changed(
        "raw binary", lambda path, trap: lead_out(path.with_suffix(".json"), trap)
    ),
    "raw: samples that are a FIFO": _alone(lambda path, trap: os.mkfifo(path)),
    "raw: samples that are a socket": _alone(lambda path, trap: _bind(path)),
    "raw: samples that are a device": _alone(lambda path, trap: path.symlink_to("/dev/zero")),
    "raw: samples of the kernel": _alone(lambda path, trap: path.symlink_to("/proc/self/maps")),
    "raw: samples that are a link to itself": _alone(lambda path, trap: path.symlink_to(path)),
    "probe: nested without end": _sidecar(lambda file, trap: file.write_text(DEEP)),
    "probe: without end": _sidecar(lambda file, trap: make_long(file)),
    "probe: a link": _sidecar(lead_out),
    "probe: wired to channels beyond numbers": _sidecar(
        lambda file, trap: change_json(
            file,
            lambda document: document["probes"][0].update(device_channel_indices=[10**30, 1, 2, 3]),
        )
    ),
    "probe: no list of probes": _sidecar(
        lambda file, trap: change_json(file, lambda document: document.update(probes={"a": 1}))
    ),
}
"""What is tried, in words -> who writes it."""
