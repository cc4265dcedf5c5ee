"""The name of a recording that was submitted without one: one rule for every client."""

from __future__ import annotations

import getpass
from pathlib import Path

from spikefleet.core.submissions import RecordingName, safe_part

DEFAULT_PROJECT = "default"


def recording_name(
    text: str, path: Path, *, alone: bool, given: tuple[str, str, str] = ("", "", "")
) -> RecordingName:
    """Complete an address: what neither ``text`` nor ``given`` says comes from the path.

    Project ``default``, the folder's name, the file's name. Raises
    ValueError for more than three parts, or for a full address given to several recordings.
    """
    parts = [part for part in text.split("/") if part]
    if len(parts) > (3 if alone else 2):
        wanted = "project/session/name" if alone else "project/session for several recordings"
        raise ValueError(f"{text!r} is not of the form {wanted}")
    path = path.expanduser().absolute()
    defaults = [DEFAULT_PROJECT, safe_part(path.parent.name or "root"), safe_part(path.name)]
    filled = [*parts, *defaults[len(parts) :]]
    project, session, name = (mine or found for mine, found in zip(given, filled, strict=True))
    return RecordingName(project, session, name)


def person() -> str:
    """Login name of whoever runs this process; empty where the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
