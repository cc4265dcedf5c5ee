"""Where an accepted recording can be read: in place, or checked out of the artifact store.

Compares the files with the manifest before a reader opens one. Opens nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from spikefleet.core.failures.errors import InputCorruptError, InputMissingError
from spikefleet.core.submissions import Recording, part_names
from spikefleet.infra.stores.artifacts import ArtifactMissingError
from spikefleet.infra.stores.artifacts_open import open_artifacts
from spikefleet.infra.stores.checkout import checked_out
from spikefleet.preflight.task import PreflightPlaces


@contextmanager
def located_parts(places: PreflightPlaces, recording: Recording) -> Iterator[dict[str, Path]]:
    """Give the path a reader opens of each part by its name; of one recording, its own.

    Raises InputMissingError, InputCorruptError.
    """
    with ExitStack() as stack:
        if not recording.parts:
            path = stack.enter_context(located(places, recording))
            yield {recording.name.name: path}
            return
        yield {
            name: stack.enter_context(located(places, part))
            for name, part in zip(part_names(recording), recording.parts, strict=True)
        }


@contextmanager
def located(places: PreflightPlaces, recording: Recording) -> Iterator[Path]:
    """Give the path a reader opens. Raises InputMissingError, InputCorruptError."""
    if recording.missing:
        raise InputMissingError(
            f"Nothing was found at {recording.location} when it was registered. "
            "Check the path and the mount, then submit again.",
            path=recording.location,
        )
    if recording.in_place:
        root = Path(recording.location)
        _require_files(root, recording)
        yield root / recording.entry if recording.entry else root
        return
    try:
        store = open_artifacts(places.artifacts_url)
        with checked_out(store, f"{recording.location}/files") as root:
            _require_files(root, recording)
            yield root / recording.entry if recording.entry else root
    except ArtifactMissingError as error:
        raise InputMissingError(
            "The uploaded recording is no longer in the artifact store; upload it again.",
            path=recording.location,
        ) from error


def _require_files(root: Path, recording: Recording) -> None:
    """Compare sizes with the manifest: a file may have changed since it was registered."""
    for file in recording.files:
        path = root / file.path
        if not path.is_file():
            raise InputMissingError(
                f"{file.path} was there when the recording was registered and is gone. "
                "Put it back or submit the copy on the rig.",
                path=str(path),
            )
        size_bytes = path.stat().st_size
        if size_bytes != file.size_bytes:
            raise InputCorruptError(
                f"{file.path} has {size_bytes} bytes; {file.size_bytes} were registered. "
                "Compare it with the copy on the rig and submit that one.",
                reason="size_changed",
                path=str(path),
                size_bytes=size_bytes,
                registered_bytes=file.size_bytes,
            )
