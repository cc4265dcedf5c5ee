"""Which user of this machine is behind a connection, by the kernel's own table of sockets.

A user cannot write into that table, so no password is needed. It knows connections of this
machine (and of this network namespace) only; of anybody else it says None.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

_ESTABLISHED = "01"  # a socket in any other state may have lost its owner and shows uid 0
_ORPHAN = "0"
_OVERFLOW_UID = 65534  # what a user of another user namespace looks like: nobody in particular
_NETLINK_DIAG, _DIAG_BY_FAMILY, _REQUEST = 4, 20, 1  # linux/sock_diag.h, linux/netlink.h
_NO_COOKIE = (0xFFFFFFFF, 0xFFFFFFFF)
_UID_AT, _ANSWER_BYTES = 16 + 4 + 48 + 12, 16 + 72  # linux/inet_diag.h: inet_diag_msg
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


def peer_uid(peer: str, port: int, tables: tuple[Path, ...] = _TABLES) -> int | None:
    """Return the uid of the process that called, None when the kernel does not know one.

    ``peer`` is gRPC's word (``ipv4:127.0.0.1:40112``), ``port`` the one that was called. Two
    sockets that could be meant and have different owners are nobody's.
    """
    place = _parse(peer)
    if place is None:
        return None
    if tables is _TABLES:
        asked = _ask_kernel(*place, port)
        if asked is not None:
            return None if asked == _OVERFLOW_UID else asked
        if not place[0].is_loopback:
            return None  # of another machine: no need to read every socket of this one
    wanted, remote = set(_table_words(*place)), f":{port:04X}"
    found = {
        uid for local, to, uid in _established(tables) if local in wanted and to.endswith(remote)
    }
    uid = found.pop() if len(found) == 1 else None
    return None if uid == _OVERFLOW_UID else uid


def _ask_kernel(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, own_port: int, port: int
) -> int | None:
    """Ask for the one socket from ``address`` to this machine's ``port``: microseconds, however
    many sockets there are. None where the kernel does not answer such questions, or knows none."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    local = address.packed.ljust(16, b"\0")
    query = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF)
    query += (
        struct.pack("!HH", own_port, port) + local + local + struct.pack("=III", 0, *_NO_COOKIE)
    )
    header = struct.pack("=IHHII", 16 + len(query), _DIAG_BY_FAMILY, _REQUEST, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_DIAG) as asking:
            asking.settimeout(1.0)
            asking.send(header + query)
            answer = asking.recv(4096)
    except OSError:
        return None
    if len(answer) < _ANSWER_BYTES or struct.unpack_from("=H", answer, 4)[0] != _DIAG_BY_FAMILY:
        return None
    state = answer[17]
    uid, inode = struct.unpack_from("=II", answer, _UID_AT)
    return int(uid) if state == int(_ESTABLISHED) and inode else None


def _parse(peer: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int] | None:
    kind, _, rest = unquote(peer).partition(":")
    host, _, port = rest.rpartition(":")
    if kind not in ("ipv4", "ipv6") or not port.isdigit():
        return None
    try:
        found = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found, int(port)


def _table_words(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int
) -> Iterator[str]:
    """The address as the tables write it: words of 32 bits in the machine's byte order."""
    if isinstance(address, ipaddress.IPv4Address):
        yield f"{_words(address.packed)}:{port:04X}"
        address = ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)
    yield f"{_words(address.packed)}:{port:04X}"


def _words(packed: bytes) -> str:
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed))


def _established(tables: tuple[Path, ...]) -> Iterator[tuple[str, str, int]]:
    """Yield local place, remote place and uid of every socket that is connected and owned."""
    for table in tables:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _ESTABLISHED and fields[9] != _ORPHAN:
                yield fields[1], fields[2], int(fields[7])
