"""Whose a folder of fetched results is: a marker file with the run and what was copied.

A folder holds the files of one run. A file that was changed after it was fetched, or that was
there before, is replaced only when that is said.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spikefleet.core.runs import Run

MARKER_NAME = "spikefleet.json"
_NAMES_SHOWN = 5


class FolderTakenError(RuntimeError):
    """The folder holds files of another run, or files that would be lost; nothing was written."""

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message)
        self.next_step = next_step


@dataclass(frozen=True)
class FetchedFolder:
    """A folder and what its marker says. ``files`` maps a path to the SHA-256 that was fetched."""

    folder: Path
    run: Mapping[str, Any]
    files: Mapping[str, str]

    @classmethod
    def opened(cls, folder: Path, run: Run, curation: str = "") -> FetchedFolder:
        """Read the folder's marker. Raises FolderTakenError where it names another run.

        ``curation`` is the name of the one that is fetched; "" keeps what the marker says.
        """
        found = read_marker(folder)
        owner = str(found.get("run_id") or run.run_id)
        if owner != run.run_id:
            raise FolderTakenError(
                f"{folder} holds the files of {owner} ({found.get('recording_name')}).",
                f"Name another folder, for example {folder / run.run_id}.",
            )
        told = {
            "run_id": run.run_id,
            "recording_name": run.recording_name,
            "stream": run.stream,
            "sorter": run.backend,
            "outcome": run.outcome,
            "config_digest": run.config_digest,
            "curation": curation or str(found.get("curation") or ""),
        }
        files = found.get("files")
        return cls(folder, told, dict(files) if isinstance(files, dict) else {})

    def require_replaceable(self, changed: Sequence[str]) -> None:
        """Refuse to replace files that are not as they were fetched. Raises FolderTakenError."""
        if not changed:
            return
        more = len(changed) - _NAMES_SHOWN
        named = ", ".join(changed[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
        raise FolderTakenError(
            f"In {self.folder} these files are not as they were fetched: {named}.",
            "Keep them by naming another folder, or replace them with --overwrite.",
        )

    def with_file(self, path: str, sha256: str) -> FetchedFolder:
        """Return the folder with one more file in its marker."""
        return replace(self, files={**self.files, path: sha256})

    def write(self) -> None:
        """Write the marker in one step."""
        self.folder.mkdir(parents=True, exist_ok=True)
        document = {**self.run, "files": dict(sorted(self.files.items()))}
        partial = self.folder / f".{MARKER_NAME}.part"
        partial.write_text(json.dumps(document, indent=1), encoding="utf-8")
        os.replace(partial, self.folder / MARKER_NAME)


def read_marker(folder: Path) -> dict[str, Any]:
    """Return what the marker of a fetched folder says; nothing where there is none to read."""
    try:
        found = json.loads((folder / MARKER_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
