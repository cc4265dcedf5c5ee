"""``spikefleet inspect`` and ``simulate``: recordings on this machine, no service needed.

Both need the science stack and import it only when they run; a rig without it is told how to get
it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress

from spikefleet.cli.confined import confine_to
from spikefleet.cli.inspect_view import inspection_lines
from spikefleet.cli.options import ExitCode, needs_extra, output_option
from spikefleet.cli.printing import Output, console, next_command
from spikefleet.core.failures.errors import (
    HDF5PluginMissingError,
    InputCorruptError,
    InputMissingError,
    InvalidConfigurationError,
)
from spikefleet.core.text import format_size

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


@dataclass(frozen=True)
class _Pictures:
    """What to draw, and where to; None for what was not asked for."""

    probe: Path | None
    trace: Path | None
    trace_start_s: float | None
    trace_length_ms: float


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--stream", default="", metavar="ID", help="One stream instead of all of them.")
@click.option(
    "--every-sample",
    is_flag=True,
    help="Read all samples, not a few places: slow, and certain that they can be read.",
)
@click.option(
    "--hdf5-plugin-path", metavar="FOLDER", help="Where a vendor's HDF5 plugin is, as in PATH."
)
@click.option(
    "--probe-picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Draw where the channels are; of several streams one picture each.",
)
@click.option(
    "--trace-picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Draw a strip of raw traces; of several streams one picture each.",
)
@click.option(
    "--trace-start", type=click.FloatRange(min=0), metavar="SECONDS", help="Default: the middle."
)
@click.option(
    "--trace-length",
    type=click.FloatRange(min=1, max=10_000),
    default=200.0,
    show_default=True,
    metavar="MS",
)
@output_option
@click.pass_context
def inspect(context: click.Context, /, path: Path, output: str, **asked: Any) -> None:
    """Say what the recording at PATH holds and what is doubtful about it.

    Exit code 1 when a stream could not be sorted as it is; the others are described all the same.
    """
    pictures = [asked[name] for name in ("probe_picture", "trace_picture") if asked[name]]
    confine_to(path, pictures, (asked["hdf5_plugin_path"] or "").split(os.pathsep))
    with needs_extra("science"):
        # Late: SpikeInterface takes a second to import; submit and watch must not pay it.
        from spikefleet.signal.measuring.summary import (  # noqa: PLC0415
            InspectOptions,
            inspect_recording,
        )
    options = InspectOptions(asked["stream"], asked["every_sample"], asked["hdf5_plugin_path"])
    drawing = _Pictures(
        asked["probe_picture"],
        asked["trace_picture"],
        asked["trace_start"],
        asked["trace_length"],
    )
    shown_on = console(stderr=True)
    hidden = output == "json" or not shown_on.is_terminal  # a hidden bar leaves an empty line
    with Progress(console=shown_on, transient=True, disable=hidden) as progress:
        task = progress.add_task("inspecting", total=1.0)
        found = inspect_recording(
            path, options, lambda fraction: progress.update(task, completed=fraction)
        )
        drawn = [
            _draw(path, stream, drawing, options, several=len(found.streams) > 1)
            for stream in found.streams
        ]
    document = {"path": str(path), **found.to_json()}
    for entry, made in zip(document["streams"], drawn, strict=True):
        entry["pictures"] = made
    steps = [next_command(f"spikefleet submit {path} --watch")] if found.sortable else []
    Output(output).emit(document, *inspection_lines(path, found, drawn), *steps)
    if not found.sortable:
        context.exit(int(ExitCode.RUN_FAILED))


def _draw(
    path: Path, stream: Any, pictures: _Pictures, options: Any, *, several: bool
) -> dict[str, str]:
    """Draw what was asked for of one stream; returns kind -> file, or why there is none."""
    wanted = {"probe": pictures.probe, "trace": pictures.trace}
    if not any(wanted.values()):
        return {}
    with needs_extra("analysis"):
        # Late: matplotlib takes a second more.
        from spikefleet.reporter.pictures import probe as probe_picture  # noqa: PLC0415
        from spikefleet.reporter.pictures import trace as trace_picture  # noqa: PLC0415
        from spikefleet.signal.open import open_header, open_unchecked  # noqa: PLC0415
    name = stream.stream.stream
    made: dict[str, str] = {}
    for kind, target in wanted.items():
        if target is None:
            continue
        out = _of_stream(target, name) if several else target
        try:
            header = open_header(path, name) if kind == "probe" else None
            recording = (
                open_unchecked(path, name, hdf5_plugin_path=options.hdf5_plugin_path)
                if header is None
                else header
            )
            title = f"{path.name} {name}"
            if kind == "probe":
                probe_picture.draw_probe_picture(recording, title, stream.bad_channels, out)
            else:
                start_s, length_s = pictures.trace_start_s, pictures.trace_length_ms / 1e3
                window = trace_picture.TraceWindow(start_s, length_s)
                trace_picture.draw_trace_picture(recording, title, stream.bad_channels, out, window)
            made[kind] = str(out)
        except (InputCorruptError, InputMissingError, HDF5PluginMissingError) as error:
            made[f"{kind}_refused"] = error.message
    return made


def _of_stream(target: Path, stream: str) -> Path:
    """``plate.png`` of stream ``well000/rec0001`` is ``plate-well000_rec0001.png``."""
    plain = "".join(letter if letter.isalnum() or letter in "-._" else "_" for letter in stream)
    return target.with_name(f"{target.stem}-{plain}{target.suffix}")


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
@click.option(
    "--propagation",
    is_flag=True,
    help="Units have axons along which their action potentials travel, half of them at a velocity "
    "that varies; not with spikeglx.",
)
@click.option(
    "--pitch-um",
    type=float,
    metavar="UM",
    help="A square array with electrodes so far apart; nwb and binary only, which are a probe of "
    "two columns otherwise, or with --propagation an array of 17.5 µm.",
)
@output_option
@click.pass_context
def simulate(
    context: click.Context, /, path: Path, file_format: str, output: str, **parameters: Any
) -> None:
    """Write a recording with known spikes to PATH, in a real file format.

    The known spikes are beside it as NAME.truth.npz; with --propagation also when each electrode
    sees them, and how fast they travel.
    """
    with needs_extra("science"):
        # Late: numpy and SpikeInterface, as above.
        from spikefleet.signal import simulation  # noqa: PLC0415
    try:
        request = simulation.SimulationRequest(format=file_format, path=path, **parameters)
    except InvalidConfigurationError as error:
        name, _, said = str(error).partition(" ")
        options = {p.name: p.opts[0] for p in context.command.params}
        option = options.get(name) or name
        raise InvalidConfigurationError(f"{option} {said}", field=option) from error
    shown_on = console(stderr=True)
    hidden = output == "json" or not shown_on.is_terminal  # a hidden bar leaves an empty line
    with Progress(console=shown_on, transient=True, disable=hidden) as progress:
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
        f"wrote {made.path} ({format_size(size_bytes)})",
        f"known spikes: {made.truth_path}",
        next_command(f"spikefleet inspect {made.path}"),
        next_command(f"spikefleet submit {made.path} --watch"),
    )
