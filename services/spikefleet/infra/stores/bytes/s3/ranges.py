"""A long object brought to this machine by several connections at once, each with ranges of it.

One connection gives what one connection gives; a node that stages a recording has more than that to
use. A connection that breaks costs what it had not written yet. Judges no bytes.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from spikefleet.core.failures.errors import StorageUnavailableError
from spikefleet.infra.stores.bytes.s3.bucket import S3Bucket

RANGE_BYTES = 64 << 20
_AT_ONCE = 4
_CHUNK_BYTES = 1 << 20
_RESUMES = 8


def fetch_ranges(bucket: S3Bucket, key: str, size_bytes: int, descriptor: int) -> None:
    """Write the object's bytes into an open file, in any order.

    Raises StorageUnavailableError, FileNotFoundError, OSError.
    """
    os.truncate(descriptor, size_bytes)  # a disk that cannot hold it says so at the first write
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ranges") as pool:
        fetch = partial(_fetch_range, bucket, key, size_bytes, descriptor)
        running = [pool.submit(fetch, start) for start in range(0, size_bytes, RANGE_BYTES)]
        try:
            for one in running:
                one.result()
        finally:
            for one in running:
                one.cancel()


def _fetch_range(bucket: S3Bucket, key: str, size_bytes: int, descriptor: int, start: int) -> None:
    at, end, resumes = start, min(start + RANGE_BYTES, size_bytes), _RESUMES
    while True:
        try:
            with bucket.opened(key, at, end - at) as stream:
                while at < end and (chunk := stream.read(min(_CHUNK_BYTES, end - at))):
                    os.pwrite(descriptor, chunk, at)
                    at += len(chunk)
        except StorageUnavailableError:
            if not resumes:
                raise
        if at == end:
            return
        resumes -= 1
        if resumes < 0:
            raise StorageUnavailableError(
                f"the bucket gave {at - start} of {end - start} bytes of {key} and ended",
                store=bucket.place.endpoint,
                operation=f"read of {key}",
            )
