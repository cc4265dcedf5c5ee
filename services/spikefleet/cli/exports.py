"""``fetch --as``: what was fetched, written again as the files that other tools open.

Each file is made in a confined process, forked while it has one thread, which reads that run's
folder and writes below its ``exports``. It needs the science stack; a rig without it is told how to
get it, before anything is copied.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.progress import Progress

from spikefleet.cli.options import needs_extra
from spikefleet.cli.printing import console
from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.deploy.settings import exporting_environment
from spikefleet.infra.system.confinement import SandboxPolicy, missing_layers
from spikefleet.infra.system.opening_failures import own_failure
from spikefleet.infra.system.openings import (
    Limits,
    OpeningCrashedError,
    OpeningError,
    OpeningPool,
    Zygote,
)

if TYPE_CHECKING:
    from spikefleet.signal.exports.session_metadata import SessionMetadata

ALL = "all"
NAMES = (
    "phy",
    "analyzer",
    "nwb",
    "npz",
    "mat",
    "parquet",
    "curation-json",
    "spikelab",
    "compiled",
)
_COMPILED = "compiled"  # npz and mat, as the run's settings ask for them
_NWB = "nwb"
_CONFINED, _ENTRY = "spikefleet.cli.confined_export", "export"
_NEEDED = ("numpy", "h5py", "scipy", "spikeinterface", "pynwb", "pyarrow")
# The person who waits may leave with Ctrl-C; a long sort may fill what memory and disk there is.
_LIMITS = Limits(wall_s=86_400.0, cpu_s=86_400, memory_bytes=0, scratch_bytes=0)
_ANSWERS = {"made", "problem", "refused", "changed"}
_MOST_WORDS = 2000
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
            _require_libraries()
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
        every = tuple(name for name in NAMES if name != _COMPILED)
        if known.missing():
            others = tuple(name for name in every if name != _NWB)
            why = f"nwb was left out: it needs --metadata FILE with {', '.join(known.missing())}"
            return cls(others, known, with_failed, why)
        return cls(every, known, with_failed)

    def write(
        self, folders: Sequence[Path], *, hidden: bool = False, overwrite: bool = False
    ) -> list[dict[str, Any]]:
        """Export each fetched folder; a run without units is said and is no error.

        An export that was changed since it was written is replaced with ``overwrite`` only.
        Raises InputCorruptError where a folder holds what no run leaves, FileExistsError for an
        export that was changed, EnvironmentSortFailure where no process can be confined.
        """
        if not (self.formats and folders):
            return [{"exports": {}, "problems": [], "notes": []} for _ in folders]
        for missing in missing_layers():
            click.echo(f"Warning: the export is not fully confined: {missing}", err=True)
        with (
            tempfile.TemporaryDirectory(prefix="spikefleet-export-") as scratch,
            closing(Zygote((_CONFINED,), exporting_environment(), Path(scratch))) as zygote,
            _working(len(folders) * len(self.formats), hidden=hidden) as step,
        ):
            given = {**self._given(), "overwrite": overwrite}
            return asyncio.run(self._all(folders, _Exports(OpeningPool(zygote), given), step))

    async def _all(
        self, folders: Sequence[Path], exports: _Exports, step: Callable[[str], None]
    ) -> list[dict[str, Any]]:
        told = []
        for folder in folders:
            with _place_of(folder) as place:
                told.append(await self._one(folder, place, exports, step))
        return told

    async def _one(
        self, folder: Path, place: Path, exports: _Exports, step: Callable[[str], None]
    ) -> dict[str, Any]:
        made: dict[str, str] = {}
        problems = [self.left_out] if self.left_out else []
        notes: list[str] = []
        for name in self.formats:
            step(f"{folder.name}: {name}")
            try:
                answer = await exports.ask(place, name)
            except OpeningError as error:
                raise own_failure(error) from error
            if "made" in answer:
                made[name] = str(folder / place.name / answer["made"])
                notes += [f"{name}: {answer['notes']}"] if answer.get("notes") else []
            elif answer["problem"] not in problems:
                problems.append(answer["problem"])
        return {"exports": made, "problems": problems, "notes": notes}

    def _given(self) -> dict[str, Any]:
        known = self.metadata.model_dump(mode="json") if self.metadata else {}
        return {"metadata": known, "with_failed": self.with_failed}


@dataclass(frozen=True)
class _Exports:
    """Asks confined processes, each for one format of one run; ``given`` is the same for all."""

    pool: OpeningPool
    given: dict[str, Any]

    async def ask(self, place: Path, name: str) -> dict[str, str]:
        """Ask a process that may have been taken over; what it answers is text of bounded size."""
        arguments = {**self.given, "folder": str(place.parent), "format": name}
        policy = SandboxPolicy(readable=(str(place.parent),), writable=(str(place),))
        answer = await self.pool.run(f"{_CONFINED}:{_ENTRY}", arguments, policy, _LIMITS)
        try:
            told = {key: str(answer[key])[:_MOST_WORDS] for key in answer}
            made = told.get("made", name)
            if not _ANSWERS & told.keys() or Path(made).name != made:
                raise ValueError("no answer of an export")
        except (ValueError, KeyError, TypeError) as error:
            raise OpeningCrashedError("export", f"answered nonsense ({error})") from error
        if "refused" in told:
            raise InputCorruptError(told["refused"], path=told.get("path", ""))
        if "changed" in told:
            raise FileExistsError(told["changed"])
        return told


def _require_libraries() -> None:
    """Raise ModuleNotFoundError for the first that is not installed; imports none of them."""
    for name in _NEEDED:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@contextmanager
def _place_of(folder: Path) -> Iterator[Path]:
    """The folder that exports of a run are written to, by its real path; none stays empty."""
    place = folder.resolve() / "exports"
    place.mkdir(exist_ok=True)
    if place.is_symlink() or not place.is_dir():
        raise InputCorruptError(
            f"{place} is a link; an export is written into the run's own folder. Remove it.",
            path=str(place),
        )
    try:
        yield place
    finally:
        with suppress(OSError):  # something is in it
            place.rmdir()


@contextmanager
def _working(steps: int, *, hidden: bool) -> Iterator[Callable[[str], None]]:
    """Show a bar of ``steps``; what is given is called when the next begins."""
    shown_on = console(stderr=True)
    disable = hidden or not shown_on.is_terminal
    with Progress(console=shown_on, transient=True, disable=disable) as bar:
        task, done = bar.add_task("export", total=steps), count()

        def step(what: str) -> None:
            bar.update(task, description=f"export {what}", completed=next(done))

        yield step
