"""A run's files on their way out: every byte verified before a file gets its name.

An interrupted copy resumes where it stopped; a file that is there with the right digest is left
alone, and one that somebody changed is kept (``fetched_folder``). Refuses a name that would leave
the folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import grpc

from spikefleet.api.v1 import reporter_pb2, reporter_pb2_grpc
from spikefleet.client.fetched_folder import FetchedFolder
from spikefleet.client.retry_waits import RetryWaits, waiting_words
from spikefleet.client.views import FetchedFile, OnTransfer, Transfer
from spikefleet.core.file_names import UnsafeNameError, check_names
from spikefleet.core.files import sha256_of
from spikefleet.core.rooms.curation import RunCuration
from spikefleet.core.rooms.reporting import Artifact
from spikefleet.core.runs import Run
from spikefleet.infra.rpc.convert.reporting import from_artifact
from spikefleet.infra.rpc.errors import ServiceError, ServiceUnreachable, answering

_BLOCK_BYTES = 1 << 20


class DamagedCopyError(RuntimeError):
    """The bytes that arrived are not those the manifest lists; the copy was removed."""


class Downloader:
    """Copies the files of a run over ``channel``, those of ``curation`` in place of its own."""

    def __init__(
        self,
        channel: grpc.Channel,
        address: str,
        patience: RetryWaits,
        curation: RunCuration | None = None,
    ) -> None:
        self._curation_id = curation.curation_id if curation else ""
        self._curation = curation.name if curation else ""
        self._stub = reporter_pb2_grpc.ReporterServiceStub(channel)
        self._address = address
        self._patience = patience

    def fetch(
        self,
        run: Run,
        folder: Path,
        progress: OnTransfer | None = None,
        *,
        within: str = "",
        overwrite: bool = False,
    ) -> list[FetchedFile]:
        """Copy every file of the run's winning attempts below ``folder``.

        ``within`` keeps only the files whose key is below that artifact prefix. ``overwrite``
        replaces files that are not as they were fetched.

        Raises FolderTakenError before anything is written, ServiceError, ServiceUnreachable,
        DamagedCopyError, OSError.
        """
        artifacts = self._listed(run.run_id, within)
        if not artifacts:
            return []
        own = FetchedFolder.opened(folder, run, self._curation)
        there = {a.path: _digest_there(folder, a.path) for a in artifacts}
        known = {a.path: (a.sha256, own.files.get(a.path), "") for a in artifacts}
        if not overwrite:
            own.require_replaceable([p for p, sha256 in there.items() if sha256 not in known[p]])
        own.write()
        total_bytes = sum(artifact.size_bytes for artifact in artifacts)
        done_bytes = 0
        fetched = []

        last = Transfer("fetch", "", 0, total_bytes)

        def waits(error: ServiceError, wait_s: float) -> None:
            if progress is not None:
                progress(replace(last, path="", waiting=waiting_words(error, wait_s)))

        self._patience.on_wait = waits
        try:
            for artifact in artifacts:

                def tell(here: int, path: str = artifact.path, before: int = done_bytes) -> None:
                    nonlocal last
                    last = Transfer("fetch", path, before + here, total_bytes)
                    if progress is not None:
                        progress(last)

                is_new = there[artifact.path] != artifact.sha256
                fetched.append(self._fetch_one(run.run_id, artifact, folder, tell, is_new=is_new))
                own = own.with_file(artifact.path, artifact.sha256)
                done_bytes += artifact.size_bytes
                tell(artifact.size_bytes)
        finally:
            own.write()
        return fetched

    def _listed(self, run_id: str, within: str) -> list[Artifact]:
        """What there is to copy below an artifact prefix, by names that are safe."""
        with answering(self._address):
            request = reporter_pb2.ListArtifactsRequest(
                run_id=run_id, curation_id=self._curation_id
            )
            listed = map(from_artifact, self._stub.ListArtifacts(request).artifacts)
        below = f"{within.rstrip('/')}/" if within else ""
        artifacts = [artifact for artifact in listed if artifact.key.startswith(below)]
        _require_safe([artifact.path for artifact in artifacts])
        return artifacts

    def _fetch_one(
        self,
        run_id: str,
        artifact: Artifact,
        folder: Path,
        tell: Callable[[int], None],
        *,
        is_new: bool,
    ) -> FetchedFile:
        target = folder / artifact.path
        _require_no_links(folder, target)
        if not is_new:
            return FetchedFile(target, artifact.size_bytes, artifact.sha256, is_new=False)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.part")
        _require_no_links(folder, partial)
        self._copy(run_id, artifact, partial, tell)
        if sha256_of(partial) != artifact.sha256:
            partial.unlink()
            raise DamagedCopyError(
                f"{artifact.path} arrived with other bytes than its manifest lists; fetch it "
                "again, and check the artifact store if it repeats"
            )
        partial.replace(target)
        return FetchedFile(target, artifact.size_bytes, artifact.sha256)

    def _copy(
        self,
        run_id: str,
        artifact: Artifact,
        partial: Path,
        tell: Callable[[int], None],
    ) -> None:
        """Append to ``partial`` until it has the artifact's size; ``tell`` gets the bytes there."""
        with partial.open("ab") as handle:
            if handle.tell() > artifact.size_bytes:
                handle.truncate(0)
            while True:
                try:
                    with answering(self._address):
                        request = reporter_pb2.ReadArtifactRequest(
                            key=artifact.key, offset_bytes=handle.tell(), run_id=run_id
                        )
                        for answer in self._stub.ReadArtifact(request):
                            if handle.tell() + len(answer.data) > artifact.size_bytes:
                                raise DamagedCopyError(
                                    f"{artifact.path} is longer than its manifest lists"
                                )
                            handle.write(answer.data)
                            tell(handle.tell())
                            self._patience.restore()
                    break
                except ServiceUnreachable as error:
                    self._patience.wait(error)
            handle.flush()
            os.fsync(handle.fileno())


def _require_safe(paths: Sequence[str]) -> None:
    """Raise DamagedCopyError for a list with a name that leaves the folder or meets another."""
    try:
        check_names(paths)
    except UnsafeNameError as error:
        raise DamagedCopyError(f"the service listed a name that is not safe: {error}") from error


def _require_no_links(folder: Path, target: Path) -> None:
    """Refuse a target whose folder is, below ``folder``, a link to somewhere else."""
    for parent in (target, *target.parents):
        if parent == folder:
            return
        if parent.is_symlink():
            raise DamagedCopyError(
                f"{parent} is a link; nothing is written through it. Fetch into another folder"
            )


def _digest_there(folder: Path, path: str) -> str:
    """The digest of what stands where a file of the run belongs; "" for nothing."""
    target = folder / path
    _require_no_links(folder, target)
    return sha256_of(target) if target.is_file() else ""
