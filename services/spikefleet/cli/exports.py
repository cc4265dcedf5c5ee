"""``fetch --as``: what was fetched, written again as the files that other tools open.

Needs the science stack, and imports it only when it is asked for; a rig without it is told how to
get it, before anything is copied.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.progress import Progress

from spikefleet.cli.confined import confine_to
from spikefleet.cli.options import needs_extra
from spikefleet.cli.printing import console
from spikefleet.core.failures.errors import InputMissingError

if TYPE_CHECKING:
    from spikefleet.signal.exports.session_metadata import SessionMetadata

ALL = "all"
NAMES = ("phy", "nwb", "npz", "mat", "parquet")
_NWB = "nwb"
_Command = TypeVar("_Command", bound=Callable[..., Any])


def exporting(command: _Command) -> _Command:
    """Add ``--as``, ``--metadata`` and ``--with-failed``."""
    options = (
        click.option(
            "--as",
            "formats",
            multiple=True,
            type=click.Choice([*NAMES, ALL]),
            help="Write the units also in this format, below exports in the folder; several times.",
        ),
        click.option(
            "--metadata",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="YAML or JSON file with session and subject, which NWB needs.",
        ),
        click.option(
            "--with-failed",
            is_flag=True,
            help="Export the units that curation rejected too, marked.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True)
class Exporting:
    """What was asked for: ``left_out`` says why ``all`` does not write a format."""

    formats: tuple[str, ...]
    metadata: SessionMetadata | None
    with_failed: bool
    left_out: str = ""

    @classmethod
    def taken(cls, given: dict[str, Any]) -> Exporting:
        """Take the options out of ``given``, and look at what can be looked at before a copy.

        Raises InvalidConfigurationError for metadata that are wrong or missing.
        """
        asked: tuple[str, ...] = given.pop("formats")
        path, with_failed = given.pop("metadata"), given.pop("with_failed")
        if not asked:
            if path or with_failed:
                raise click.UsageError("--metadata and --with-failed belong to --as FORMAT.")
            return cls((), None, with_failed)
        with needs_extra("exports"):
            import spikefleet.signal.exports.write  # noqa: F401, PLC0415
            from spikefleet.signal.exports.session_metadata import (  # noqa: PLC0415
                SessionMetadata,
                read_metadata,
                require_complete,
            )
        known = SessionMetadata() if path is None else read_metadata(path)
        if _NWB in asked or path is not None:
            require_complete(known)
        if ALL not in asked:
            return cls(tuple(dict.fromkeys(asked)), known, with_failed)
        if known.missing():
            others = tuple(name for name in NAMES if name != _NWB)
            why = f"nwb was left out: it needs --metadata FILE with {', '.join(known.missing())}"
            return cls(others, known, with_failed, why)
        return cls(NAMES, known, with_failed)

    def write(self, folders: Sequence[Path], *, hidden: bool = False) -> list[dict[str, Any]]:
        """Export each fetched folder; a run without units is said and is no error.

        Raises InputCorruptError where a folder holds what no run leaves.
        """
        if not (self.formats and folders):
            return [{"exports": {}, "problems": []} for _ in folders]
        with needs_extra("exports"):
            from spikefleet.signal.exports.write import export_results  # noqa: PLC0415

        # Once the libraries are there, which keep files of their own in the person's home.
        here = folders[0] if len(folders) == 1 else folders[0].parent
        confine_to(here, [folder / "exports" for folder in folders])
        export = partial(export_results, metadata=self.metadata, with_failed=self.with_failed)
        with _working(len(folders) * len(self.formats), hidden=hidden) as step:
            return [self._one(folder, export, step) for folder in folders]

    def _one(
        self,
        folder: Path,
        export: Callable[[Path, list[str]], dict[str, Path]],
        step: Callable[[str], None],
    ) -> dict[str, Any]:
        made: dict[str, str] = {}
        problems = [self.left_out] if self.left_out else []
        for name in self.formats:
            step(f"{folder.name}: {name}")
            try:
                made[name] = str(export(folder, [name])[name])
            except InputMissingError as error:
                if str(error) not in problems:
                    problems.append(str(error))
        return {"exports": made, "problems": problems}


@contextmanager
def _working(steps: int, *, hidden: bool) -> Iterator[Callable[[str], None]]:
    """Show a bar of ``steps``; what is given is called when the next begins."""
    shown_on = console(stderr=True)
    with (
        warnings.catch_warnings(),
        Progress(
            console=shown_on, transient=True, disable=hidden or not shown_on.is_terminal
        ) as bar,
    ):
        # A confined process has no semaphores to share with others, and needs none.
        warnings.filterwarnings("ignore", "Could not obtain multiprocessing lock")
        task, done = bar.add_task("export", total=steps), count()

        def step(what: str) -> None:
            bar.update(task, description=f"export {what}", completed=next(done))

        yield step
