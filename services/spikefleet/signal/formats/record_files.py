"""Signals kept in fixed-size records, read lazily through memory maps.

Serves every format whose files are a header followed by equal records (time stamp, samples, ...):
Intan's and Blackrock's single files, Neuralynx's and Open Ephys's one file per channel. Knows the
arithmetic only; what the records mean, and whether they are whole, the format's own module decides.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording, BaseRecordingSegment

from spikefleet.signal.formats.reader_errors import corrupt, reading


@dataclass(frozen=True)
class RecordLayout:
    """Where samples are in a file: ``n_records`` records, each channels x frames of ``dtype``.

    ``short_records`` lists ``(record, valid frames)`` of records that are not full. ``inverted``
    samples are stored inverted; reading restores their sign.
    """

    header_bytes: int  #: before the first record
    record_bytes: int  #: length of one
    samples_at_bytes: int  #: where its samples begin
    n_records: int
    frames_per_record: int  #: of a full one
    channels_per_file: int  #: in each record
    dtype: str
    short_records: tuple[tuple[int, int], ...] = ()
    inverted: bool = False

    @property
    def n_frames(self) -> int:
        """Number of frames per channel."""
        missing = sum(self.frames_per_record - valid for _, valid in self.short_records)
        return self.n_records * self.frames_per_record - missing


class RecordField:
    """One field of every record, mapped only while it is read: memory does not grow with the file.

    Behaves as an array over records: a number gives one record's value, a slice an array.
    """

    def __init__(
        self,
        path: Path,
        layout: RecordLayout,
        *,
        dtype: str,
        at_bytes: int,
        shape: tuple[int, ...] = (),
    ) -> None:
        self._path = path
        self._layout = layout
        self._record = np.dtype(
            {
                "names": ["field"],
                "formats": [(dtype, shape)],
                "offsets": [at_bytes],
                "itemsize": layout.record_bytes,
            }
        )

    def __len__(self) -> int:
        return self._layout.n_records

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            first, last, _ = index.indices(len(self))
            return self._map(first, last)
        at = index + len(self) if index < 0 else index
        return self._map(at, at + 1)[0]

    def _map(self, first: int, last: int) -> NDArray[Any]:
        if last <= first:
            return np.empty(0, dtype=self._record["field"])
        mapped = np.memmap(
            self._path,
            dtype=self._record,
            mode="r",
            offset=self._layout.header_bytes + first * self._layout.record_bytes,
            shape=(last - first,),
        )
        field: NDArray[Any] = mapped["field"]
        return field


def count_records(paths: list[Path], header_bytes: int, record_bytes: int) -> int:
    """Return the number of records that every one of the files holds.

    Raises:
        InputCorruptError: ``truncated``: a file ends inside a record, or has fewer than the others;
            ``empty``: there are none.
    """
    sizes = [path.stat().st_size - header_bytes for path in paths]
    if max(sizes) <= 0:
        raise corrupt(paths[0], "empty", "it holds no samples.")
    for path, size_bytes in zip(paths, sizes, strict=True):
        if size_bytes % record_bytes or size_bytes != max(sizes):
            raise corrupt(
                path,
                "truncated",
                f"it has {size_bytes / record_bytes:.2f} records of samples where the recording "
                f"has {max(sizes) // record_bytes}.",
            )
    return sizes[0] // record_bytes


def require_one_clock(
    paths: list[Path], layout: RecordLayout, *, dtype: str, at_bytes: int
) -> RecordField:
    """Return the records' time stamps; the files must begin and end at the same ones.

    Raises:
        InputCorruptError: ``misaligned``.
    """
    clock = RecordField(paths[0], layout, dtype=dtype, at_bytes=at_bytes)
    for path in paths[1:]:
        other = RecordField(path, layout, dtype=dtype, at_bytes=at_bytes)
        if other[0] != clock[0] or other[-1] != clock[-1]:
            raise corrupt(path, "misaligned", f"its time stamps are not those of {paths[0].name}.")
    return clock


class RecordFilesRecording(BaseRecording):  # type: ignore[misc]
    """One file holding all channels, or one file per channel, all of the same layout."""

    def __init__(
        self,
        file_paths: list[str],
        layout: RecordLayout | dict[str, Any],
        sampling_frequency: float,
        channel_ids: list[str],
    ) -> None:
        if isinstance(layout, dict):
            layout = RecordLayout(**layout)
        native = np.dtype(layout.dtype).newbyteorder("=")
        super().__init__(sampling_frequency, list(channel_ids), native)
        self.add_recording_segment(
            _RecordFilesSegment([Path(name) for name in file_paths], layout, sampling_frequency)
        )
        self._kwargs = {
            "file_paths": [str(name) for name in file_paths],
            "layout": asdict(layout),
            "sampling_frequency": sampling_frequency,
            "channel_ids": list(channel_ids),
        }


class _RecordFilesSegment(BaseRecordingSegment):  # type: ignore[misc]
    def __init__(self, paths: list[Path], layout: RecordLayout, rate_hz: float) -> None:
        super().__init__(sampling_frequency=rate_hz)
        self._paths = paths
        self._layout = layout
        shape = (layout.channels_per_file, layout.frames_per_record)
        self._files = [
            RecordField(
                path, layout, dtype=layout.dtype, at_bytes=layout.samples_at_bytes, shape=shape
            )
            for path in paths
        ]
        self._first_frames = _first_frames(layout)

    def get_num_samples(self) -> int:
        """Return the number of samples per channel."""
        return self._layout.n_frames

    def get_traces(self, start_frame: int, end_frame: int, channel_indices: Any) -> NDArray[Any]:
        """Return samples x channels, unscaled, in native byte order."""
        n_channels = len(self._files) * self._layout.channels_per_file
        chosen = np.arange(n_channels)
        if channel_indices is not None:
            chosen = np.atleast_1d(chosen[channel_indices])
        native = np.dtype(self._layout.dtype).newbyteorder("=")
        if end_frame <= start_frame:
            return np.empty((0, chosen.size), dtype=native)
        first, last = self._records(start_frame, end_frame)
        with reading(self._paths[0]):
            if len(self._files) == 1:
                traces = self._flatten(self._files[0][first:last][:, chosen], first, last)
            else:
                columns = [
                    self._flatten(self._files[channel][first:last], first, last)
                    for channel in chosen
                ]
                traces = np.concatenate(columns, axis=1)
        skipped = start_frame - self._first_frame(first)
        traces = traces[skipped : skipped + end_frame - start_frame].astype(native, copy=False)
        if self._layout.inverted:
            # The lowest code has no counterpart; it is a rail, and stays one.
            traces = np.negative(np.maximum(traces, -np.iinfo(native).max))
        return traces

    def _records(self, start_frame: int, end_frame: int) -> tuple[int, int]:
        """Return the records (first, past the last) that hold these frames."""
        if self._first_frames is None:
            size = self._layout.frames_per_record
            return start_frame // size, -(-end_frame // size)
        first = int(np.searchsorted(self._first_frames, start_frame, side="right")) - 1
        return first, int(np.searchsorted(self._first_frames, end_frame, side="left"))

    def _first_frame(self, record: int) -> int:
        if self._first_frames is None:
            return record * self._layout.frames_per_record
        return int(self._first_frames[record])

    def _flatten(self, records: NDArray[Any], first: int, last: int) -> NDArray[Any]:
        """Turn records x channels x frames into frames x channels, valid frames only."""
        frames = records.transpose(0, 2, 1).reshape(-1, records.shape[1])
        if self._first_frames is None:
            return frames
        size = self._layout.frames_per_record
        valid = np.full(last - first, size)
        for record, n_valid in self._layout.short_records:
            if first <= record < last:
                valid[record - first] = n_valid
        return frames[(np.arange(size) < valid[:, None]).reshape(-1)]


def _first_frames(layout: RecordLayout) -> NDArray[np.int64] | None:
    if not layout.short_records:
        return None
    valid = np.full(layout.n_records, layout.frames_per_record, dtype=np.int64)
    for record, n_valid in layout.short_records:
        valid[record] = n_valid
    return np.concatenate([[0], np.cumsum(valid)[:-1]]).astype(np.int64)
