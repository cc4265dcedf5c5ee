"""What a rig tells of the parts it put into the store, and how that is compared with what came."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from spikefleet.core.rooms.uploads import UploadedPart
from spikefleet.core.submissions import ManifestFile
from spikefleet.core.text import counted
from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.infra.stores.bytes.artifacts import StoredPart
from spikefleet.infra.stores.sql.upload_values import Upload

_MD5 = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

ToldParts = Mapping[str, Sequence[StoredPart]]  # of every file that has bytes, by its path


def part_places(upload: Upload, file: ManifestFile) -> Iterator[tuple[int, int]]:
    """Yield first byte and length of every part of a file."""
    for offset in range(0, file.size_bytes, upload.part_size_bytes):
        yield offset, min(upload.part_size_bytes, file.size_bytes - offset)


def told_files(upload: Upload, told: Sequence[ManifestFile]) -> tuple[ManifestFile, ...]:
    """Return the upload's files with the digests that the rig tells. Raises RpcProblem."""
    digests = {file.path: file.sha256.lower() for file in told}
    for file in upload.files:
        if not _SHA256.fullmatch(digests.get(file.path, "")):
            raise RpcProblem(
                "INVALID_ARGUMENT", f"{file.path!r} comes without its SHA-256", field="files"
            )
    return tuple(replace(file, sha256=digests[file.path]) for file in upload.files)


def told_parts(upload: Upload, parts: Sequence[UploadedPart]) -> dict[str, list[StoredPart]]:
    """Return the parts that each file must be made of.

    Raises RpcProblem where one is not told.
    """
    digests = {(part.path, part.offset_bytes): part.md5.lower() for part in parts}
    found: dict[str, list[StoredPart]] = {}
    for file in upload.files:
        for number, (offset, size_bytes) in enumerate(part_places(upload, file), start=1):
            md5 = digests.get((file.path, offset), "")
            if not _MD5.fullmatch(md5):
                raise RpcProblem(
                    "INVALID_ARGUMENT",
                    f"the part of {file.path} at byte {offset} comes without its MD5",
                    field="parts",
                )
            found.setdefault(file.path, []).append(StoredPart(number, size_bytes, md5))
    return found


def uploaded_parts(upload: Upload, told: ToldParts) -> list[UploadedPart]:
    """Return parts of the store as parts of the upload."""
    return [
        UploadedPart(path, offset, part.size_bytes, "", md5=part.md5)
        for path, parts in told.items()
        for part in parts
        for offset in [(part.number - 1) * upload.part_size_bytes]
    ]


def compare_parts(
    upload: Upload, path: str, told: Sequence[StoredPart], there: Sequence[StoredPart]
) -> None:
    """Refuse a file of which a part is not there, or is not what the rig read.

    Raises RpcProblem UPLOAD_INCOMPLETE, PART_DAMAGED.
    """
    stored = {part.number: part for part in there}
    wrong = [part for part in told if stored.get(part.number) != part]
    missing = [part for part in wrong if part.number not in stored]
    if missing:
        offset = (missing[0].number - 1) * upload.part_size_bytes
        raise RpcProblem(
            "UPLOAD_INCOMPLETE",
            f"{counted(len(missing), 'part')} of {path} missing; the first is at byte {offset}",
            resource=upload.upload_id,
        )
    if wrong:
        raise damaged_parts(upload, path, [part.number for part in wrong])


def damaged_parts(upload: Upload, path: str, numbers: Sequence[int]) -> RpcProblem:
    """Return what to tell a rig of parts that are not what it read: it may put them again."""
    offsets = [str((number - 1) * upload.part_size_bytes) for number in numbers]
    return RpcProblem(
        "PART_DAMAGED",
        f"the part of {path} at byte {offsets[0]} arrived damaged",
        metadata={"path": path, "offset_bytes": offsets[0], "offsets_bytes": ",".join(offsets)},
    )
