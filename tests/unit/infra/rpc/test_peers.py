"""Who is behind a connection: real sockets of this machine, and tables with strange lines."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from tests.support.strangers import STRANGER_UID, as_user

from spikefleet.infra.rpc.peers import peer_uid

_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_own_connection_is_ones_own(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = "ipv6:[" if ":" in host else "ipv4:"
    with socket.socket(family) as listening:
        try:
            listening.bind((host, 0))
        except OSError as error:
            pytest.skip(f"this machine has no {host}: {error}")
        listening.listen()
        port = listening.getsockname()[1]
        with socket.create_connection((host, port)) as calling:
            end = "]" if ":" in host else ""
            peer = f"{kind}{host}{end}:{calling.getsockname()[1]}"
            assert peer_uid(peer, port) == os.geteuid()
            assert peer_uid(peer, port + 1) is None
        assert peer_uid(peer, port) is None


def test_another_users_connection_is_the_other_users() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        with as_user(STRANGER_UID, f"127.0.0.1:{port}") as address:
            host, _, relay = address.partition(":")
            with socket.create_connection((host, int(relay))):
                accepted, peer = listening.accept()
                with accepted:
                    assert peer_uid(f"ipv4:{peer[0]}:{peer[1]}", port) == STRANGER_UID


@pytest.mark.parametrize("peer", ["", "unix:/x", "ipv4:host:1", "ipv4:1.2.3.4", "ipv6:[::1]:x"])
def test_what_is_no_place_is_nobody(peer: str) -> None:
    assert peer_uid(peer, 7311) is None


def _table(folder: Path, *rows: tuple[str, str, str, int, int]) -> tuple[Path]:
    lines = [
        f"   {n}: {local} {remote} {state} 00000000:00000000 00:0 00000000 {uid} 0 {inode} 1\n"
        for n, (local, remote, state, uid, inode) in enumerate(rows)
    ]
    path = folder / "tcp"
    path.write_text(_HEAD + "".join(lines))
    return (path,)


_LOCAL, _REMOTE, _PEER, _PORT = "0100007F:9C40", "0100007F:1C8F", "ipv4:127.0.0.1:40000", 7311


def test_a_socket_that_is_closing_has_lost_its_owner_and_names_none(tmp_path: Path) -> None:
    rows = [(_LOCAL, _REMOTE, state, 0, 0) for state in ("06", "04", "05")]
    assert peer_uid(_PEER, _PORT, _table(tmp_path, *rows)) is None
    orphan = (_LOCAL, _REMOTE, "01", 0, 0)
    assert peer_uid(_PEER, _PORT, _table(tmp_path, orphan)) is None


def test_two_possible_owners_are_nobody(tmp_path: Path) -> None:
    mine, root = (_LOCAL, _REMOTE, "01", 1000, 5), (_LOCAL, "0200007F:1C8F", "01", 0, 6)
    assert peer_uid(_PEER, _PORT, _table(tmp_path, mine)) == 1000
    assert peer_uid(_PEER, _PORT, _table(tmp_path, mine, root)) is None


def test_a_user_of_another_user_namespace_is_nobody_in_particular(tmp_path: Path) -> None:
    assert peer_uid(_PEER, _PORT, _table(tmp_path, (_LOCAL, _REMOTE, "01", 65534, 5))) is None


def test_without_tables_nobody_is_known(tmp_path: Path) -> None:
    assert peer_uid(_PEER, _PORT, (tmp_path / "absent",)) is None
