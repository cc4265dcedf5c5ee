"""Rooms in processes of their own, as a cluster runs them, on loopback."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from spikefleet.client.sorting import SortingClient
from spikefleet.deploy.rooms.wiring import RoomName

_START_S = 60.0


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_serving(port: int, process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Wait until the health of a process says that it serves; False when it ends, or never does."""
    deadline = time.monotonic() + timeout_s
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while time.monotonic() < deadline and process.poll() is None:
            try:
                answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=2.0)
            except grpc.RpcError:
                time.sleep(0.1)
                continue
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return True
    return False


@dataclass
class RoomProcesses:
    """Groups of rooms, each group a process with a data folder of its own below ``folder``."""

    folder: Path
    groups: Sequence[tuple[RoomName, ...]]
    settings: dict[str, str]
    processes: dict[tuple[RoomName, ...], subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[tuple[RoomName, ...], int] = field(default_factory=dict)

    def start(self) -> "RoomProcesses":
        """Start every group and wait until all answer that they serve."""
        self.folder.mkdir(parents=True, exist_ok=True)
        secret = self.folder / "room-secret"
        secret.write_text(secrets.token_hex(32))
        secret.chmod(0o600)
        self.settings |= {"ROOM_SECRET_FILE": str(secret)}
        for group in self.groups:
            self.ports[group] = free_port()
            for room in group:
                self.settings[f"{room.upper()}_ADDRESS"] = self.address(room)
        for group in self.groups:
            self.start_group(group)
        for group in self.groups:
            self.wait_for(group)
        return self

    def start_group(self, group: tuple[RoomName, ...]) -> None:
        """Start one process."""
        name = "-".join(group)
        own = {"ADDRESS": f"127.0.0.1:{self.ports[group]}", "DATA_DIR": str(self.folder / name)}
        told = {f"SPIKEFLEET_{key}": value for key, value in (self.settings | own).items()}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[group] = subprocess.Popen(
                [sys.executable, "-m", "spikefleet.deploy.cluster", *group],
                env={**os.environ, **told},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_for(self, group: tuple[RoomName, ...]) -> None:
        """Wait until the group's health says that it serves."""
        if not is_serving(self.ports[group], self.processes[group], _START_S):
            raise AssertionError(self.log(group))

    def address(self, room: RoomName) -> str:
        """Where a room answers."""
        return next(f"127.0.0.1:{port}" for group, port in self.ports.items() if room in group)

    def client(self) -> SortingClient:
        """A client of the rooms that people call."""
        return SortingClient(self.address(RoomName.INGEST))

    def log(self, group: tuple[RoomName, ...]) -> str:
        """What the group has written."""
        return (self.folder / f"{'-'.join(group)}.log").read_text(errors="replace")

    def stop(self, group: tuple[RoomName, ...]) -> int:
        """SIGTERM; return the exit code."""
        self.processes[group].terminate()
        return self.processes[group].wait(60)

    def close(self) -> None:
        """End everything."""
        for process in self.processes.values():
            process.kill()
            process.wait()
