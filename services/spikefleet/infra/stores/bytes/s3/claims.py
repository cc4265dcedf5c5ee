"""Who may write a key, told by the bucket alone: one writer at a time, on any S3 server.

``If-None-Match: *`` refuses a key that exists, but some servers let several writers that race win,
and others ignore it. So a writer first puts a claim beside the key, under a name of its own, and
then lists the claims: of two writers that race, the one whose claim came second sees the other's.
Whoever sees another claim does not write: the smallest name waits until it is alone, any other one
takes its claim away and tries again. It needs what every S3 server promises: what was written is
listed by whoever asks later.

A claim older than ``STALE_S``, by the server's clock, was left by a writer that died. One that only
slept that long finds the key taken: claims keep racers apart, the look at the key latecomers.
"""

from __future__ import annotations

import hashlib
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from spikefleet.core.failures.errors import StorageUnavailableError
from spikefleet.infra.stores.bytes.s3.bucket import S3Bucket

FOLDER = ".claims"
STALE_S = 120.0
_PATIENCE_S = 180.0
_LONGEST_PAUSE_S = 1.0


@contextmanager
def claimed(bucket: S3Bucket, key: str) -> Iterator[None]:
    """Hold the only claim on ``key``. Raises StorageUnavailableError when it cannot be had."""
    folder = f"{FOLDER}/{hashlib.sha256(key.encode()).hexdigest()}"
    mine = f"{folder}/{uuid.uuid4().hex}"
    try:
        _become_alone(bucket, folder, mine)
        yield
    finally:
        bucket.remove(mine)


def _become_alone(bucket: S3Bucket, folder: str, mine: str) -> None:
    give_up_at, pause_s = time.monotonic() + _PATIENCE_S, 0.02
    now = bucket.put(mine, b"")
    while others := _others(bucket, folder, mine, now):
        if time.monotonic() > give_up_at:
            raise StorageUnavailableError(
                f"another writer keeps its claim on a key ({others[0]})",
                store=bucket.place.bucket,
                operation="claim",
            )
        gives_way = min(others) < mine
        if gives_way:
            bucket.remove(mine)
        time.sleep(pause_s * (0.5 + random.random()))
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        # Written again, also by the one that waits: its claim must not become stale meanwhile.
        now = bucket.put(mine, b"")


def _others(bucket: S3Bucket, folder: str, mine: str, now: datetime | None) -> list[str]:
    """Return the live claims beside ours, smallest name first."""
    oldest = now - timedelta(seconds=STALE_S) if now else None
    return sorted(
        key
        for key, written_at in bucket.list_below(folder)
        if key != mine and (oldest is None or written_at is None or written_at > oldest)
    )
