"""``spikefleet archive``, ``verify``, ``restore``: lossless copies on this machine, no service.

Needs the science stack and imports it only when it runs. Never touches the source.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
from rich.progress import Progress

from spikefleet.cli.confined import confine_to
from spikefleet.cli.options import ExitCode, needs_extra, output_option
from spikefleet.cli.printing import Output, console, next_command, table
from spikefleet.core.text import counted, format_size

# Less than this gained, and the person should know why.
LOW_RATIO = 1.1


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@output_option
def archive(path: Path, out: Path, output: str) -> None:
    """Write a lossless archive of the recording at PATH to the new folder OUT.

    The archive opens like the recording itself. The recording is left as it is.
    """
    confine_to(path, [out])
    with needs_extra("science"):
        # Late: SpikeInterface takes a second to import; submit and watch must not pay it.
        from spikefleet.signal.archive.sources import ArchiveSource  # noqa: PLC0415
        from spikefleet.signal.archive.write import write_archive  # noqa: PLC0415
        from spikefleet.signal.open import list_streams, open_recording  # noqa: PLC0415
    source = ArchiveSource(path, list_streams(path), partial(open_recording, path))
    started_s = time.monotonic()
    with _progress("archiving", output) as advance:
        manifest = write_archive(source, out, advance)
    mb_per_s = manifest.source_bytes / 1e6 / max(time.monotonic() - started_s, 1e-9)
    document = {
        "path": str(out),
        "kept": manifest.kept,
        "source_bytes": manifest.source_bytes,
        "stored_bytes": manifest.stored_bytes,
        "ratio": round(manifest.ratio, 3),
        "mb_per_s": round(mb_per_s, 1),
        "streams": {
            stream.stream: {
                "samples_digest": stream.traces.samples_digest,
                "codec": dict(stream.traces.codec),
            }
            for stream in manifest.streams
        },
        "written_by": dict(manifest.written_by),
    }
    sizes = f"{format_size(manifest.source_bytes)} -> {format_size(manifest.stored_bytes)}"
    said = [f"wrote {out} ({sizes}, ratio {manifest.ratio:.2f}, {mb_per_s:.0f} MB/s)"]
    if manifest.kept:
        said.append(
            "Kept byte for byte: its samples are compressed already, or are stored in pieces."
        )
    elif manifest.ratio < LOW_RATIO:
        said.append("It hardly shrank: noise, or samples that were compressed before.")
    Output(output).emit(document, *said, next_command(f"spikefleet verify {out}"))


@click.command()
@click.argument("path", metavar="ARCHIVE", type=click.Path(path_type=Path))
@output_option
@click.pass_context
def verify(context: click.Context, path: Path, output: str) -> None:
    """Read all of ARCHIVE back and name everything that is not as it was archived.

    Exit code 1 when anything is damaged.
    """
    confine_to(path)
    with needs_extra("science"):
        # Late: as above.
        from spikefleet.signal.archive.verify import verify_archive  # noqa: PLC0415
    with _progress("verifying", output) as advance:
        found = verify_archive(path, advance)
    document = {
        "path": str(path),
        "whole": found.whole,
        "objects": found.n_objects,
        "decoded_bytes": found.decoded_bytes,
        "samples_digests": found.samples_digests,
        "damages": [vars(damage) for damage in found.damages],
    }
    decoded = f"{format_size(found.decoded_bytes)} decoded"
    if found.whole:
        said = f"{path} is whole: {counted(found.n_objects, 'object')}, {decoded}"
        steps = next_command(f"spikefleet restore {path} OUT", "when the files are wanted again")
        Output(output).emit(document, said, steps)
        return
    made = table("object", "what", "detail")
    for damage in found.damages:
        made.add_row(damage.path, damage.kind, damage.detail)
    Output(output).emit(
        document, f"{path} is damaged. Do not delete the source; archive it again.", made
    )
    context.exit(int(ExitCode.RUN_FAILED))


@click.command()
@click.argument("path", metavar="ARCHIVE", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@output_option
def restore(path: Path, out: Path, output: str) -> None:
    """Write the files ARCHIVE was made of to the new folder OUT, byte for byte.

    Each is compared with its SHA-256 before anything appears at OUT.
    """
    confine_to(path, [out])
    with needs_extra("science"):
        # Late: as above.
        from spikefleet.signal.archive.restore import restore_archive  # noqa: PLC0415
    with _progress("restoring", output) as advance:
        files = restore_archive(path, out, advance)
    size_bytes = sum(file.size_bytes for file in files)
    document = {"path": str(out), "files": [vars(file) for file in files]}
    said = f"wrote {out}: {counted(len(files), 'file')}, {format_size(size_bytes)}, each as it was"
    Output(output).emit(document, said, next_command(f"spikefleet inspect {out}"))


@contextmanager
def _progress(name: str, output: str) -> Iterator[Callable[[float], None]]:
    shown_on = console(stderr=True)
    hidden = output == "json" or not shown_on.is_terminal  # a hidden bar leaves an empty line
    with Progress(console=shown_on, transient=True, disable=hidden) as progress:
        task = progress.add_task(name, total=1.0)
        yield lambda fraction: progress.update(task, completed=fraction)
