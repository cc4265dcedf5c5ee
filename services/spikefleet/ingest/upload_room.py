"""How much of the disk uploads may fill: all of them together, and one user's.

An upload announces its length when it is opened and may never grow beyond it, so that what a user
has announced is what that caller may fill. The operator has no limit.
"""

from __future__ import annotations

from dataclasses import dataclass

from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.infra.stores.sql.upload_values import Upload
from spikefleet.infra.stores.sql.uploads import UploadStore
from spikefleet.ingest.staging import Staging

MOST_OPEN = 256
_SHARE = 0.75


@dataclass(frozen=True)
class UploadRoom:
    """Refuses what has no room. A user has ``most_open`` uploads and a ``share`` of the room."""

    staging: Staging
    uploads: UploadStore
    most_open: int = MOST_OPEN
    share: float = _SHARE

    def require(self, size_bytes: int) -> None:
        """Refuse bytes that do not fit on the disk. Raises RpcProblem DISK_FULL."""
        room_bytes = self.staging.room_bytes()
        if size_bytes > room_bytes:
            raise disk_full(size_bytes, room_bytes)

    def require_share(self, upload: Upload) -> None:
        """Drop an upload just opened that goes beyond its owner's share.

        Raises RpcProblem TOO_MANY_UPLOADS, DISK_FULL.
        """
        held = self.uploads.open_of(upload.owner)
        share_bytes = int(self.share * (self.staging.room_bytes() + held.received_bytes))
        problem: RpcProblem | None = None
        if held.count > self.most_open:
            problem = RpcProblem(
                "TOO_MANY_UPLOADS", f"{self.most_open} uploads of this user are open already."
            )
        elif held.announced_bytes > share_bytes:
            problem = disk_full(held.announced_bytes, share_bytes)
        if problem is not None:
            self.uploads.abort(upload.upload_id)
            raise problem


def disk_full(size_bytes: int, room_bytes: int) -> RpcProblem:
    """The refusal of ``size_bytes`` where there is room for ``room_bytes``."""
    room_bytes = max(0, room_bytes)
    return RpcProblem(
        "DISK_FULL",
        f"the service's disk has room for {room_bytes / 1e6:.1f} MB of uploads and "
        f"{size_bytes / 1e6:.1f} MB are to come",
        metadata={"needed_bytes": str(size_bytes), "room_bytes": str(room_bytes)},
    )
