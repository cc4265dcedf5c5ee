"""Where an accepted recording can be read: in place, or checked out of the artifact store.

``bring`` runs in the service and gives confined processes folders and the list of what they may
read; ``located_parts`` runs in such a process and compares the files with the manifest before a
reader opens one. Opens nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from spikefleet.core.failures.errors import InputCorruptError, InputMissingError
from spikefleet.core.submissions import Recording, part_names
from spikefleet.infra.stores.bytes.artifacts import ArtifactMissingError, ArtifactStore
from spikefleet.infra.stores.bytes.checkout import checked_out
from spikefleet.preflight.places import PreflightPlaces
from spikefleet.signal.formats.reader_errors import shown_as

# Above this many files a recording's folder is given as a whole: a rule of the kernel for each file
# costs more than it keeps out.
_MOST_SINGLE_FILES = 2000
_WAIT = "It was still written: submit it again when nothing writes to it any more."


@contextmanager
def bring(store: ArtifactStore, recording: Recording) -> Iterator[dict[str, str]]:
    """Give the folder of every uploaded part that is still stored, by its location in the store."""
    with ExitStack() as stack:
        roots: dict[str, str] = {}
        for part in recording.parts or (recording,):
            if part.in_place or part.missing:
                continue
            with suppress(ArtifactMissingError):  # told by ``located``, beside everything else
                folder = stack.enter_context(checked_out(store, f"{part.location}/files"))
                roots[part.location] = str(folder)
        yield roots


def readable_paths(recording: Recording, roots: Mapping[str, str]) -> tuple[str, ...]:
    """Return what a reader of this recording may read, and nothing else.

    A recording that is a folder is given whole; of one that is a file beside others, its files.
    Listed files are named besides, because one may be a link to where its bytes are kept.
    """
    found: list[str] = []
    for part in recording.parts or (recording,):
        root = part.location if part.in_place else roots.get(part.location, "")
        if not root:
            continue
        files = [f"{root}/{file.path}" for file in part.files]
        if not part.in_place or not part.entry or len(files) > _MOST_SINGLE_FILES:
            found.append(root)
        found.extend(files[:_MOST_SINGLE_FILES])
        if part.entry:
            found.append(f"{root}/{part.entry}")
    return tuple(found)


@contextmanager
def located_parts(places: PreflightPlaces, recording: Recording) -> Iterator[dict[str, Path]]:
    """Give the path a reader opens of each part by its name; of one recording, its own.

    Raises InputMissingError, InputCorruptError.
    """
    parts = recording.parts or (recording,)
    names = part_names(recording) if recording.parts else (recording.name.name,)
    named = {name: located(places, part) for name, part in zip(names, parts, strict=True)}
    stored = {
        named[name]: name
        for name, part in zip(names, parts, strict=True)
        if not part.in_place and not part.entry
    }
    with shown_as(stored):
        yield named


def located(places: PreflightPlaces, recording: Recording) -> Path:
    """Return the path a reader opens. Raises InputMissingError, InputCorruptError."""
    if recording.missing:
        raise InputMissingError(
            f"Nothing was found at {recording.location} when it was registered. "
            "Check the path and the mount, then submit again.",
            path=recording.location,
        )
    if not recording.in_place and recording.location not in places.roots:
        raise InputMissingError(
            "The uploaded recording is no longer in the artifact store; upload it again.",
            path=recording.location,
        )
    root = Path(recording.location if recording.in_place else places.roots[recording.location])
    _require_files(root, recording)
    return root / recording.entry if recording.entry else root


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
            grown = size_bytes > file.size_bytes
            step = _WAIT if grown else "Compare it with the copy on the rig and submit that one."
            raise InputCorruptError(
                f"{file.path} has {size_bytes} bytes; {file.size_bytes} were registered. {step}",
                reason="size_changed",
                path=str(path),
                next_step=step,
                size_bytes=size_bytes,
                registered_bytes=file.size_bytes,
            )
