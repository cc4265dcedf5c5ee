"""The sorter's own folder, kept with a sort on request.

Everything the sorter left as its result goes along as it is; nothing of it is opened here, since
some of it (Kilosort's ``ops.npy``) runs code when it is read. Only a ``params.py`` is written
again: as text, so that Phy finds the recording beside the folder, or opens without one.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Where sorters leave their results below their scratch: called directly, or stage by stage.
_PLACES = ("sorter_output", "run/sorter_output")
_PHY_PARAMS = "params.py"
_MOST_PARAMS_BYTES = 64 * 1024
_DAT_PATH = re.compile(r"^dat_path\s*=.*$", re.MULTILINE)
_DTYPE = re.compile(r"^dtype\s*=.*$", re.MULTILINE)


@dataclass(frozen=True)
class KeptSamples:
    """The recording that Phy may show: a file of samples, as it is called from the kept folder."""

    path: PurePosixPath
    dtype: str


@dataclass(frozen=True)
class OwnOutput:
    """How much was kept."""

    files: int
    size_bytes: int

    def to_json(self) -> dict[str, int]:
        """Return the document for the sort's result."""
        return {"files": self.files, "size_bytes": self.size_bytes}


def keep_own_output(scratch: Path, target: Path, samples: KeptSamples | None) -> OwnOutput:
    """Put what the sorter left below ``scratch`` into ``target``, without a second copy of it.

    Links and files that are none of a sorter's (pipes, sockets) stay behind. ``samples`` is the
    recording that was kept with the sort, None where there is none.
    """
    source = next((scratch / at for at in _PLACES if (scratch / at).is_dir()), scratch)
    files = size_bytes = 0
    for folder, below, names in os.walk(source):
        below.sort()
        place = target / Path(folder).relative_to(source)
        place.mkdir(parents=True, exist_ok=True)
        for name in sorted(names):
            found = Path(folder) / name
            if found.is_symlink() or not found.is_file():
                continue
            _place(found, place / name)
            files += 1
            size_bytes += found.stat().st_size
    params = target / _PHY_PARAMS
    if params.is_file() and params.stat().st_size <= _MOST_PARAMS_BYTES:
        _point_at(params, samples)
    return OwnOutput(files, size_bytes)


def _place(found: Path, target: Path) -> None:
    """Link the file; copy it where the disk or the child's confinement allows no link."""
    try:
        os.link(found, target)
    except OSError:
        shutil.copyfile(found, target)


def _point_at(params: Path, samples: KeptSamples | None) -> None:
    """Let a Phy folder name the recording where it will lie, not where the sorter found it."""
    text = params.read_text(encoding="utf-8", errors="replace")
    if samples is None:
        text = _DAT_PATH.sub("dat_path = []", text)
    else:
        text = _DAT_PATH.sub(f"dat_path = ['{samples.path}']", text)
        text = _DTYPE.sub(f"dtype = '{samples.dtype}'", text)
    params.unlink()  # a name of its own: the sorter's file stays what it was
    params.write_text(text, encoding="utf-8")
