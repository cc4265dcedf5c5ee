"""``spikefleet inspect`` and ``simulate``: recordings on this machine, no service needed.

Both need the science stack and import it only when they run; a rig without it is told how to get
it.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress
from rich.text import Text

from spikefleet.cli.options import needs_extra, output_option
from spikefleet.cli.printing import Output, bytes_text, console, duration_text, table

# Named here as well as in the simulator: help must not load numpy. A test compares the two.
FORMATS = ("maxwell", "spikeglx", "nwb", "binary")
CONDITIONS = (
    "healthy",
    "silent",
    "flat",
    "saturated",
    "noise",
    "nan_burst",
    "truncated",
    "empty",
)


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@output_option
def inspect(path: Path, output: str) -> None:
    """List the streams of the recording at PATH, from its header only."""
    with needs_extra("science"):
        # Late: SpikeInterface takes a second to import; submit and watch must not pay it.
        from spikefleet.core.recordings.open import list_streams  # noqa: PLC0415
    found = list_streams(path)
    size_bytes = _size_bytes(path)
    made = table("stream", ">channels", ">rate", ">duration", "samples")
    for stream in found.streams:
        made.add_row(
            stream.stream or "–",
            str(stream.n_channels),
            f"{stream.sampling_rate_hz / 1000:g} kHz",
            duration_text(stream.duration_s),
            stream.dtype,
        )
    head = f"{path}: {found.format}, {bytes_text(size_bytes)}, {_streams(len(found.streams))}"
    others = ", ".join(found.other_streams)
    tail = [Text(f"Also inside, sorted only when named: {others}", style="dim")] if others else []
    document = {"path": str(path), "size_bytes": size_bytes, **asdict(found)}
    Output(output).emit(document, Text(head, style="bold"), made, *tail)


def _streams(count: int) -> str:
    return "1 stream" if count == 1 else f"{count} streams"


def _size_bytes(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--format", "file_format", type=click.Choice(FORMATS), default="binary", show_default=True
)
@click.option("--channels", "n_channels", type=int, default=16, show_default=True)
@click.option("--seconds", "duration_s", type=float, default=60.0, show_default=True)
@click.option("--units", "n_units", type=int, default=6, show_default=True, help="Known neurons.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--wells", "n_wells", type=int, default=1, show_default=True, help="MaxTwo only.")
@click.option(
    "--silent-well",
    "silent_wells",
    type=int,
    multiple=True,
    metavar="WELL",
    help="A well without a culture, counted from 0; may be repeated.",
)
@click.option(
    "--condition",
    type=click.Choice(CONDITIONS),
    default="healthy",
    show_default=True,
    help="What state the recording is in.",
)
@output_option
def simulate(path: Path, file_format: str, output: str, **parameters: Any) -> None:
    """Write a recording with known spikes to PATH, in a real file format.

    The known spikes lie beside it as NAME.truth.npz.
    """
    with needs_extra("science"):
        # Late: numpy and SpikeInterface, as above.
        from spikefleet.core.recordings import simulation  # noqa: PLC0415
    request = simulation.SimulationRequest(format=file_format, path=path, **parameters)
    hidden = output == "json"
    with Progress(console=console(stderr=True), transient=True, disable=hidden) as progress:
        task = progress.add_task("simulating", total=1.0)
        made = simulation.simulate(
            request, lambda fraction: progress.update(task, completed=fraction)
        )
    size_bytes = _size_bytes(made.path)
    document = {
        "path": str(made.path),
        "truth_path": str(made.truth_path),
        "format": file_format,
        "size_bytes": size_bytes,
    }
    Output(output).emit(
        document,
        f"wrote {made.path} ({bytes_text(size_bytes)})",
        f"known spikes: {made.truth_path}",
    )
