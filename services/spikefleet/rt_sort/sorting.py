"""The verbs: find sequences in a recording, sort a recording by sequences, or both in one pass.

Recordings have one segment, positions of their channels, and are filtered to the band of action
potentials, as a prepared copy is. Scratch goes into a folder of the caller's and is removed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import NumpySorting

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.rt_sort.detection_model import DetectionModel, shipped_model
from spikefleet.rt_sort.detections import DetectionStore
from spikefleet.rt_sort.events import RootEvents
from spikefleet.rt_sort.fixed import FixedSequences
from spikefleet.rt_sort.limits import RtSortLimits, limits_of
from spikefleet.rt_sort.network import (
    Network,
    Precision,
    read_weights,
    set_threads,
)
from spikefleet.rt_sort.pipeline import (
    DetectionWindow,
    find_sequences,
    sort_store,
)
from spikefleet.rt_sort.rates import Array, FrameCounts
from spikefleet.rt_sort.scan import Scan, ScanPlan
from spikefleet.rt_sort.sequences import SortingGround
from spikefleet.rt_sort.traces import TraceSpan, noise_gain
from spikefleet.rt_sort.trained import TrainedSequences

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

Tell = Callable[[str], None]
_STORE = "detections.bin"


def _silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class RtSortOptions:
    """How to sort; the defaults are those of 20 kHz arrays.

    ``probe`` is a table of limits (``mea``, ``mea_published``, ``neuropixels``), and with it the
    network. Windows are of the recording; ``detection_window_s`` is how much of ``window_ms``
    sequences are found in. ``tell`` is given a line at each step.
    """

    probe: str = "mea"
    limits: RtSortLimits | None = None  #: instead of the probe's
    model: DetectionModel | None = None  #: instead of the probe's
    window_ms: tuple[float, float] | None = None  #: [start, end); None: all
    detection_window_s: float | None = None  #: None: all of the window
    device: str = "cpu"  #: or cuda
    precision: Precision = "auto"  #: kind of number of the network
    workers: int = 1  #: threads that share electrodes and time
    chunk_frames: int = 0  #: 0: by the number of electrodes
    scaling: str = "spread"  #: or first_50ms: the noise of the first 50 ms only
    tell: Tell = field(default=_silent)

    def settled_limits(self) -> RtSortLimits:
        """The limits that count."""
        return self.limits or limits_of(self.probe)

    def settled_model(self) -> DetectionModel:
        """The network that counts. Raises ModelLoadingError."""
        kind = "neuropixels" if self.probe == "neuropixels" else "mea"
        return self.model or shipped_model(kind, read_weights)


@dataclass(frozen=True)
class Sorted:
    """Trained sequences and the spikes of each, in frames of the recording; empty ones are kept."""

    sequences: TrainedSequences
    trains: list[NDArray[np.int64]]

    def to_sorting(self) -> BaseSorting:
        """Return units 0 … n - 1 with the property ``root_channel``."""
        rate_hz = self.sequences.sampling_rate_hz
        sorting = NumpySorting.from_unit_dict([dict(enumerate(self.trains))], rate_hz)
        if self.trains:
            sorting.set_property("root_channel", np.array(self.sequences.root_channels))
        return sorting


def detect_sequences(
    recording: BaseRecording, folder: Path, options: RtSortOptions | None = None
) -> TrainedSequences:
    """Return the sequences of a recording; none is a result.

    Raises ModelLoadingError before any sample is read, InvalidConfigurationError for a recording
    without positions or too short, InsufficientActivityError for one that is silent.
    """
    job = _Job.of(recording, options or RtSortOptions())
    if job.options.detection_window_s is not None:
        job = job.only_detection()
    return job.detect_and_sort(folder).sequences


def detect_and_sort(
    recording: BaseRecording, folder: Path, options: RtSortOptions | None = None
) -> Sorted:
    """Find sequences and sort by them in one pass; raises what ``detect_sequences`` does."""
    return _Job.of(recording, options or RtSortOptions()).detect_and_sort(folder)


def sort_offline(
    sequences: TrainedSequences,
    recording: BaseRecording,
    folder: Path,
    options: RtSortOptions | None = None,
) -> Sorted:
    """Sort a recording by sequences that were trained before, on it or on another one.

    Its channels, positions and sampling rate must be those of the sequences:
    InvalidConfigurationError says which is not. Limits, network and gain are the sequences' own.
    """
    require_same_electrodes(sequences, recording)
    settings = options or RtSortOptions()
    job = _Job(
        _window(recording, settings),
        sequences.limits,
        Network(sequences.model, settings.device, settings.precision),
        settings,
    )
    with DetectionStore(folder / _STORE, len(sequences.channel_ids)) as store:
        job.scan(store, sequences.gain, events_end=0)
        return Sorted(sequences, job.sort(store, sequences.fixed))


def require_same_electrodes(sequences: TrainedSequences, recording: BaseRecording) -> None:
    """Raises InvalidConfigurationError unless a recording has the sequences' electrodes."""
    rate_hz = float(recording.get_sampling_frequency())
    ids = tuple(str(name) for name in recording.channel_ids)
    problem = ""
    if abs(rate_hz - sequences.sampling_rate_hz) > 1e-6 * rate_hz:
        problem = f"it has {rate_hz:g} Hz, they have {sequences.sampling_rate_hz:g} Hz"
    elif ids != sequences.channel_ids:
        other = sorted(set(ids) ^ set(sequences.channel_ids))[:3]
        which = f"such as {', '.join(other)}" if other else "in another order"
        problem = f"its {len(ids)} channels are not their {len(sequences.channel_ids)}, {which}"
    elif np.abs(_positions(recording) - sequences.positions_um).max(initial=0.0) > 0.5:
        problem = "its electrodes are elsewhere"
    if problem:
        raise InvalidConfigurationError(
            f"The recording cannot be sorted by these trained sequences: {problem}. Train on a "
            "recording of the same electrodes.",
            field="recording",
        )


@dataclass(frozen=True)
class _Job:
    """One window of a recording with what it is looked at by."""

    window: TraceSpan
    limits: RtSortLimits
    network: Network
    options: RtSortOptions

    @classmethod
    def of(cls, recording: BaseRecording, options: RtSortOptions) -> _Job:
        limits, model = options.settled_limits(), options.settled_model()
        network = Network(model, options.device, options.precision)
        return cls(_window(recording, options), limits, network, options)

    @property
    def rate_hz(self) -> float:
        return float(self.window.recording.get_sampling_frequency())

    @cached_property
    def around(self) -> SortingGround:
        array = Array.at(_positions(self.window.recording))
        return SortingGround(array, self.limits, FrameCounts.at(self.rate_hz, self.limits))

    @property
    def detection_end(self) -> int:
        seconds = self.options.detection_window_s
        whole = self.window.n_frames
        return whole if seconds is None else min(whole, round(seconds * self.rate_hz))

    def only_detection(self) -> _Job:
        end = self.window.start + self.detection_end
        window = TraceSpan(self.window.recording, self.window.start, end)
        return _Job(window, self.limits, self.network, self.options)

    def detect_and_sort(self, folder: Path) -> Sorted:
        around, options = self.around, self.options
        require_neighbours(around)
        self._require_length()
        numerator = self.limits.inference_scaling_numerator
        gain = noise_gain(
            self.only_detection().window,
            around.counts.noise_block,
            numerator,
            first_only=options.scaling == "first_50ms",
        )
        with DetectionStore(folder / _STORE, len(around.array)) as store:
            events = self.scan(store, gain, self.detection_end)
            options.tell(f"RT-Sort: {len(events.frames)} events on root electrodes")
            end = self.detection_end
            found = find_sequences(
                events,
                store,
                around,
                DetectionWindow(end, end / self.rate_hz, options.workers, options.tell),
            )
            fixed = FixedSequences.of(found, around)
            trained = TrainedSequences(
                self.rate_hz,
                tuple(str(name) for name in self.window.recording.channel_ids),
                _positions(self.window.recording),
                self.limits,
                gain,
                self.network.model,
                fixed,
                tuple(np.sort(item.frames) + self.window.start for item in found),
                self._origin(),
            )
            return Sorted(trained, self.sort(store, fixed))

    def scan(self, store: DetectionStore, gain: float, events_end: int) -> RootEvents:
        options, around = self.options, self.around
        set_threads(1)  # workers share electrodes and time; the network itself is not divided
        plan = ScanPlan(
            self.network,
            gain,
            self.limits,
            around.counts,
            around.array,
            options.workers,
            options.chunk_frames,
        )

        total_s = math.ceil(self.window.n_frames / self.rate_hz)

        def progress(done: float) -> None:
            options.tell(f"RT-Sort: detecting spikes {done * total_s:.0f}/{total_s} s")

        progress(0.0)
        return Scan(plan, self.window, store, events_end, progress).run()

    def sort(self, store: DetectionStore, fixed: FixedSequences) -> list[NDArray[np.int64]]:
        if not len(fixed):
            return []
        self.options.tell(f"RT-Sort: assigning spikes to {len(fixed)} sequences")
        assigned = sort_store(fixed, store, self.around)
        trains = [train + self.window.start for train in assigned.trains(len(fixed))]
        self.options.tell(f"RT-Sort: {sum(map(len, trains))} spikes assigned")
        return trains

    def _origin(self) -> dict[str, Any]:
        return {
            "probe": self.options.probe,
            "precision": self.network.precision,
            "frames": [self.window.start, self.window.end],
            "detection_frames": self.detection_end,
        }

    def _require_length(self) -> None:
        counts, model = self.around.counts, self.network.model
        least = counts.noise_block + model.window_frames + counts.window
        if self.detection_end >= least:
            return
        raise InvalidConfigurationError(
            f"RT-Sort needs at least {least / self.rate_hz:.3f} s to find sequences in; this "
            f"window has {self.detection_end / self.rate_hz:.3f} s. Give it a longer one.",
            field="rt_sort.recording_window_ms",
            value=f"{self.detection_end} frames",
        )


def require_neighbours(around: SortingGround) -> None:
    """Raises InvalidConfigurationError where no electrodes could see one spike together."""
    limits, electrodes = around.limits, len(around.array)
    problem, needed = "", limits.min_loose_detections_n
    if electrodes < needed:
        problem = f"this recording has {electrodes} electrodes and {needed} must see a spike"
    elif not any(len(around.array.neighbours(at, limits.inner_radius)) for at in range(electrodes)):
        problem = f"no electrode of this recording has another within {limits.inner_radius:g} µm"
    if problem:
        raise InvalidConfigurationError(
            f"RT-Sort finds neurons by how their spikes travel between electrodes: {problem}. Take "
            "another sorter.",
            field="sorter.sorter_name",
            value="rt_sort",
        )


def _positions(recording: BaseRecording) -> NDArray[np.float64]:
    located = recording.has_probe() or recording.get_property("location") is not None
    if not located:
        raise InvalidConfigurationError(
            "RT-Sort needs to know where the electrodes are; this recording does not tell. Give it "
            "a probe.",
            field="recording",
        )
    return np.asarray(recording.get_channel_locations(), dtype=np.float64)[:, :2]


def _window(recording: BaseRecording, options: RtSortOptions) -> TraceSpan:
    """Return the frames to sort. Raises InvalidConfigurationError for a window outside."""
    total = int(recording.get_num_samples())
    if options.window_ms is None:
        return TraceSpan(recording, 0, total)
    rate = float(recording.get_sampling_frequency()) / 1000.0
    start, end = (round(edge * rate) for edge in options.window_ms)
    if not 0 <= start < min(end, total):
        raise InvalidConfigurationError(
            f"The window {options.window_ms} ms is outside the recording of {total / rate:g} ms.",
            field="rt_sort.recording_window_ms",
            value=str(options.window_ms),
        )
    return TraceSpan(recording, start, min(end, total))
