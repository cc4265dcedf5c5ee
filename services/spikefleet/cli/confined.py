"""Confining a command before it opens what somebody else recorded.

A command that ran as ``spikefleet`` gives up the network, other programs and every file that is not
the recording's or its own output; then a hostile file reaches nothing of the person who looked at
it. A command called inside another program (a test, a notebook) must not confine that program.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from spikefleet.infra.system.confinement import SandboxPolicy, confine

# A header may be some folders above its samples: Open Ephys' settings.xml, a probe.json.
_ANCESTORS = 5
_HEADERS = ("*.xml", "*.json", "*.meta", "*.oebin", "*.prb")
_MOST_HEADERS = 100
# Where matplotlib keeps its list of fonts; without it each picture would make a new one.
_FONT_LISTS = (".cache/matplotlib", ".config/matplotlib")


@dataclass
class _Process:
    """Whether this process is the command's own."""

    is_own: bool = False


_PROCESS = _Process()


def own_process() -> None:
    """Say that this process runs one command and nothing else."""
    _PROCESS.is_own = True


def confine_to(recording: Path, outputs: Iterable[Path] = (), plugins: Iterable[str] = ()) -> None:
    """Keep the recording (with its headers) to read and the folders of ``outputs`` to write.

    Does nothing in a process that is not the command's own. Says on stderr what this machine
    cannot keep away. Raises OSError when confining fails: then nothing may be opened.
    """
    if not _PROCESS.is_own:
        return
    folders = {str(out.absolute().parent) for out in outputs}
    tempfile.tempdir = _scratch()
    fonts = [str(Path.home() / name) for name in _FONT_LISTS]
    policy = SandboxPolicy(
        readable=(*_near(recording), *plugins),
        writable=(*sorted(folders), tempfile.tempdir, *fonts),
    )
    for missing in confine(policy).missing:
        click.echo(f"Warning: the reader is not fully confined: {missing}", err=True)


def _scratch() -> str:
    """A folder for temporary files: the same for every command, since none may remove its own."""
    place = Path(tempfile.gettempdir()) / f"spikefleet-{os.getuid()}"
    with suppress(FileExistsError):
        place.mkdir(mode=0o700)
    status = place.lstat()
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid():
        return str(place)
    return tempfile.mkdtemp(prefix="spikefleet-")  # somebody else took the name


def _near(recording: Path) -> list[str]:
    """The recording, the folder of a single file, headers above, and a git-annex store."""
    place = recording.absolute()
    real = place.resolve()
    found = [str(place), str(real), str(place.parent if place.is_file() else place)]
    for folder in list(dict.fromkeys([*place.parents, *real.parents]))[: 2 * _ANCESTORS]:
        annex = folder / ".git" / "annex" / "objects"
        if annex.is_dir():
            found.append(str(annex))
        headers = [file for pattern in _HEADERS for file in folder.glob(pattern)]
        found += [str(file) for file in headers[:_MOST_HEADERS] if file.is_file()]
    return found
