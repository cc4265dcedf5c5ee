"""The int16 copy on disk: written block by block in bounded memory, named, found again.

A copy is one folder in SpikeInterface's binary layout, with ``timeline.json`` and, last of all,
``prepared.json``. It appears under its name complete or not at all; one process writes it at a
time. What is in it was decided by whoever wrote the plan; what it is called, too.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from probeinterface import write_probeinterface
from spikeinterface.core import BaseRecording, BinaryFolderRecording, BinaryRecordingExtractor
from spikeinterface.core.core_tools import save_annotations_to_folder, save_properties_to_folder

from spikefleet.core.failures.errors import DiskExhaustionError
from spikefleet.core.files import read_json, write_json
from spikefleet.core.recording.windows import Frames
from spikefleet.signal.filtering.band_pass import BandPass, Implementation
from spikefleet.signal.formats.reader_errors import reading_traces
from spikefleet.signal.preparing.int16_coding import Coding
from spikefleet.signal.preparing.timeline import Timeline

TIMELINE = "timeline.json"
_MANIFEST, _TRACES = "prepared.json", "traces_cached_seg0.raw"
# With margins below 32 MiB: the largest piece of memory that glibc keeps for its next use.
_BLOCK_BYTES = 24 << 20
# Margins are filtered and thrown away: blocks are long enough to keep that below a fifth.
_LEAST_MARGINS = 8

Progress = Callable[[float], None]
Reference = Literal["none", "median", "average"]


@dataclass(frozen=True)
class CopyPlan:
    """Everything that turns the samples of a recording into those of its copy."""

    recording: BaseRecording
    timeline: Timeline
    band_pass: BandPass | None
    reference: Reference
    coding: Coding
    implementation: Implementation

    @property
    def margin(self) -> int:
        """Frames read on each side of a block and dropped after filtering."""
        return self.band_pass.margin if self.band_pass else 0

    @property
    def block_frames(self) -> int:
        """Frames of one block: what bounds the memory."""
        frame_bytes = 4 * int(self.recording.get_num_channels())
        return max(1, _BLOCK_BYTES // frame_bytes, _LEAST_MARGINS * self.margin)

    @property
    def size_bytes(self) -> int:
        """Size of the copy's samples."""
        return 2 * self.timeline.n_samples * int(self.recording.get_num_channels())

    def blocks(self) -> Iterator[tuple[Frames, Frames]]:
        """Yield ([start, end) to write, [start, end) to read), in order; never across a file."""
        bounds = self.timeline.file_bounds
        for index, (start, end) in self.timeline.pieces():
            first, last = bounds[index]
            for at in range(start, end, self.block_frames):
                until = min(at + self.block_frames, end)
                yield (at, until), (max(at - self.margin, first), min(until + self.margin, last))

    def read(self, frames: Frames) -> NDArray[Any]:
        """Return samples x channels as they are stored."""
        with reading_traces():
            traces: NDArray[Any] = self.recording.get_traces(
                start_frame=frames[0], end_frame=frames[1]
            )
        return traces

    def encode(self, traces: NDArray[Any], wanted: Frames, read: Frames) -> NDArray[np.int16]:
        """Return the codes of the wanted frames out of those that were read."""
        inner = slice(wanted[0] - read[0], wanted[1] - read[0])
        if self.band_pass:
            values = self.band_pass.apply(traces, self.implementation)[inner]
        elif self._is_plain(traces):
            plain: NDArray[np.int16] = np.ascontiguousarray(traces[inner])
            return plain
        else:
            values = np.ascontiguousarray(traces[inner], dtype=np.float32)
        if self.reference == "median":
            values = values - np.median(values, axis=1, keepdims=True)
        elif self.reference == "average":
            values = values - values.mean(axis=1, keepdims=True)
        return self.coding.encode(values, self.implementation)

    def _is_plain(self, traces: NDArray[Any]) -> bool:
        coding, dtype = self.coding, np.dtype(np.int16)
        untouched = bool((coding.factor == 1.0).all() and (coding.shift == 0.0).all())
        return untouched and traces.dtype == dtype and self.reference == "none"


def find_copy(folder: Path, digest: str) -> BaseRecording | None:
    """Return the complete copy of this digest in ``folder``; None when there is none to trust."""
    manifest = read_json(folder / _MANIFEST) or {}
    traces = folder / _TRACES
    if manifest.get("digest") != digest or not traces.is_file():
        return None
    if traces.stat().st_size != manifest.get("size_bytes"):
        return None
    return BinaryFolderRecording(folder)


def write_copy(
    plan: CopyPlan, folder: Path, manifest: dict[str, Any], n_jobs: int, progress: Progress | None
) -> BaseRecording:
    """Write the copy as ``folder``, replacing what is there, and return it.

    Raises:
        DiskExhaustionError: it does not fit on the disk.
        InputCorruptError: the samples cannot be read, or some are no numbers.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    for leftover in (partial, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        size_bytes = _write_traces(plan, partial / _TRACES, n_jobs, progress)
        _write_description(plan, partial)
        write_json(partial / TIMELINE, plan.timeline.to_json())
        write_json(partial / _MANIFEST, {**manifest, "size_bytes": size_bytes})
        partial.replace(folder)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        shutil.rmtree(partial, ignore_errors=True)  # so that what is said to be free is
        raise DiskExhaustionError(
            f"The disk of {folder.parent} filled up while the recording was prepared. "
            "Free space there or move the scratch folder.",
            folder=str(folder.parent),
            free_gb_at_trip=shutil.disk_usage(folder.parent).free / 1e9,
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return BinaryFolderRecording(folder)


def _write_traces(plan: CopyPlan, path: Path, n_jobs: int, progress: Progress | None) -> int:
    done, size_bytes = 0, 0
    with path.open("wb") as file:
        for codes in _encoded(plan, n_jobs):
            size_bytes += file.write(codes.data)
            done += len(codes)
            if progress is not None:
                progress(done / plan.timeline.n_samples)
        file.flush()
        os.fsync(file.fileno())  # a copy that is found again must not have lost a page to a crash
    return size_bytes


def _encoded(plan: CopyPlan, n_jobs: int) -> Iterator[NDArray[np.int16]]:
    """Yield the blocks in order. Reading stays in one thread: not every reader allows several."""
    if n_jobs <= 1:
        for wanted, read in plan.blocks():
            yield plan.encode(plan.read(read), wanted, read)
        return
    pending: deque[Future[NDArray[np.int16]]] = deque()
    with ThreadPoolExecutor(n_jobs, thread_name_prefix="prepare") as pool:
        for wanted, read in plan.blocks():
            if len(pending) == n_jobs:
                yield pending.popleft().result()
            pending.append(pool.submit(plan.encode, plan.read(read), wanted, read))
        while pending:
            yield pending.popleft().result()


def _write_description(plan: CopyPlan, folder: Path) -> None:
    """Leave what SpikeInterface opens the folder by: layout, probe, properties, annotations."""
    recording, coding = plan.recording, plan.coding
    copy = BinaryRecordingExtractor(
        file_paths=[folder / _TRACES],
        sampling_frequency=recording.get_sampling_frequency(),
        num_channels=recording.get_num_channels(),
        dtype="int16",
        t_starts=None,
        channel_ids=recording.get_channel_ids(),
        time_axis=0,
        file_offset=0,
        is_filtered=plan.band_pass is not None or recording.is_filtered(),
        gain_to_uV=coding.gain_to_uv,
        offset_to_uV=coding.offset_to_uv,
    )
    copy.dump(folder / "binary.json", relative_to=folder)
    recording.copy_metadata(copy)
    copy.set_channel_gains(coding.gain_to_uv)
    copy.set_channel_offsets(coding.offset_to_uv)
    if plan.band_pass is not None:
        copy.annotate(is_filtered=True)
    save_properties_to_folder(folder / "properties", copy)
    save_annotations_to_folder(folder, copy)
    if recording.has_probe():
        write_probeinterface(folder / "probegroup.json", recording.get_probegroup())
    cached = BinaryFolderRecording(folder)
    cached.dump_to_json(
        folder / "si_folder.json",
        relative_to=folder,
        include_properties=False,
        include_annotations=False,
        include_extra_metadata=False,
    )
