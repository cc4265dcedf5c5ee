"""Parts that come at a signed address after their object was made: who takes them, and the answer.

S3 ends an upload with its object: a later part is refused. OpenStack Swift takes it, and the object
whose part was replaced cannot be read any more. There an object is copied to a key for which no
address was signed, in ranges that are its parts: the server answers each with the MD5 of what it
copied, so that a part that changed meanwhile is found. The bytes stay inside the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from spikefleet.core.failures.errors import StorageUnavailableError
from spikefleet.infra.stores.bytes.s3.bucket import S3Bucket, S3Part

_AT_ONCE = 4


def are_refused(bucket: S3Bucket, key: str) -> bool:
    """Make an object of one part at ``key``, send the part again, and remove all of it.

    True only where the server says that the upload is no more. Raises StorageUnavailableError.
    """
    upload_id = bucket.begin(key)
    try:
        bucket.complete(key, upload_id, [bucket.put_part(key, upload_id, 1, b"first")])
        try:
            bucket.put_part(key, upload_id, 1, b"later")
        except FileNotFoundError:
            return True
        except StorageUnavailableError:
            if bucket.head(key) is None:  # it is the server that fails, not the part
                raise
        return False
    finally:
        bucket.remove(key)


def copy_in_parts(bucket: S3Bucket, key: str, to_key: str, parts: Sequence[S3Part]) -> list[int]:
    """Make ``to_key`` of the parts of ``key``; one that was begun before is continued.

    Returns the numbers of parts that are not as told, and makes nothing then. Raises
    StorageUnavailableError.
    """
    begun = sorted(entry[1] for entry in bucket.list_uploads(to_key) if entry[0] == to_key)
    upload_id = begun[0] if begun else bucket.begin(to_key)
    there = set(bucket.list_parts(to_key, upload_id)) if begun else set()
    starts = {}
    at = 0
    for part in parts:
        starts[part.number] = at
        at += part.size_bytes

    def copy(part: S3Part) -> S3Part:
        if part in there:
            return part
        start = starts[part.number]
        source = (key, start, start + part.size_bytes - 1)
        return bucket.copy_part(to_key, upload_id, part.number, source)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="copy") as pool:
        running = [pool.submit(copy, part) for part in parts]
        try:
            copied = [one.result() for one in running]
        finally:
            for one in running:
                one.cancel()
    wrong = [part.number for part, made in zip(parts, copied, strict=True) if part != made]
    if not wrong:
        bucket.complete(to_key, upload_id, parts)
    return wrong
