"""The whole of RT-Sort on small recordings: what it promises whatever the recording is."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording, NumpyRecording, concatenate_recordings
from tests.support.rt_sort import grid, travelling_recording

from spikefleet.core.failures.errors import InsufficientActivityError, InvalidConfigurationError
from spikefleet.rt_sort import (
    RtSortOptions,
    Sorted,
    TrainedSequences,
    detect_and_sort,
    detect_sequences,
    sort_offline,
)

OPTIONS = RtSortOptions(precision="float32")


@pytest.fixture(scope="module")
def known() -> tuple[NumpyRecording, list[NDArray[np.int64]]]:
    return travelling_recording(seconds=4.0)


@pytest.fixture(scope="module")
def found(
    known: tuple[NumpyRecording, list[NDArray[np.int64]]], tmp_path_factory: pytest.TempPathFactory
) -> Sorted:
    return detect_and_sort(known[0], tmp_path_factory.mktemp("scratch"), OPTIONS)


def changed(recording: BaseRecording, traces: NDArray[np.generic], **kept: object) -> BaseRecording:
    """The recording with other samples, of the same gain, electrodes and rate."""
    made = NumpyRecording([traces], recording.get_sampling_frequency())
    made.set_channel_gains(kept.get("gain", 0.2))
    made.set_channel_offsets(0.0)
    made.set_dummy_probe_from_locations(kept.get("positions", recording.get_channel_locations()))
    return made


def equal(one: Sorted, other: Sorted) -> bool:
    return len(one.trains) == len(other.trains) and all(
        np.array_equal(a, b) for a, b in zip(one.trains, other.trains, strict=True)
    )


class TestFinding:
    def test_the_neurons_are_found(
        self, found: Sorted, known: tuple[NumpyRecording, list[NDArray[np.int64]]]
    ) -> None:
        for train in known[1]:
            shares = [
                np.isin(train, np.concatenate([each + step for step in range(-4, 5)])).mean()
                for each in found.trains
            ]
            assert max(shares) > 0.8

    def test_every_sequence_keeps_the_rules(self, found: Sorted) -> None:
        sequences, fixed = found.sequences, found.sequences.fixed
        assert len(sequences)
        for index, train in enumerate(sequences.trains):
            at = fixed.of_sequence(index)
            assert len(train) >= 10
            assert fixed.loose[at].sum() >= 4
            assert fixed.inner[at].sum() >= 3
            assert (fixed.loose[at] | ~fixed.inner[at]).all()
            assert fixed.electrodes[at][0] == fixed.roots[index]
            assert fixed.latencies[at][0] == 0.0
            assert (np.abs(fixed.latencies[at]) <= 20).all()
        assert (np.diff(fixed.roots) >= 0).all()

    def test_spikes_of_neighbours_are_more_than_a_fifth_of_a_millisecond_apart(
        self, found: Sorted
    ) -> None:
        array, roots = found.sequences.array, found.sequences.fixed.roots
        for first, train in enumerate(found.trains):
            for second, other in enumerate(found.trains):
                if second < first or array.distances_um[roots[first], roots[second]] > 50.0:
                    continue
                both = np.sort(train if first == second else np.concatenate([train, other]))
                assert (np.diff(both) > 4).all()

    def test_workers_and_chunks_change_nothing(
        self,
        found: Sorted,
        known: tuple[NumpyRecording, list[NDArray[np.int64]]],
        tmp_path: Path,
    ) -> None:
        other = detect_and_sort(known[0], tmp_path, replace(OPTIONS, workers=3, chunk_frames=1))
        assert equal(found, other)

    def test_scaling_all_of_it_changes_nothing(
        self,
        found: Sorted,
        known: tuple[NumpyRecording, list[NDArray[np.int64]]],
        tmp_path: Path,
    ) -> None:
        louder = changed(known[0], known[0].get_traces(), gain=0.4)
        again = detect_and_sort(louder, tmp_path, OPTIONS)
        assert equal(found, again)
        assert again.sequences.gain == pytest.approx(found.sequences.gain / 2, rel=1e-5)

    def test_an_offset_on_an_electrode_changes_nothing(
        self,
        found: Sorted,
        known: tuple[NumpyRecording, list[NDArray[np.int64]]],
        tmp_path: Path,
    ) -> None:
        traces = known[0].get_traces() + np.arange(16, dtype=np.int16) * 100
        assert equal(found, detect_and_sort(changed(known[0], traces), tmp_path, OPTIONS))

    def test_moving_and_turning_the_array_changes_nothing(
        self,
        found: Sorted,
        known: tuple[NumpyRecording, list[NDArray[np.int64]]],
        tmp_path: Path,
    ) -> None:
        turn = np.array([[0.6, -0.8], [0.8, 0.6]])
        positions = known[0].get_channel_locations() @ turn + [1000.0, -300.0]
        moved = changed(known[0], known[0].get_traces(), positions=positions)
        assert equal(found, detect_and_sort(moved, tmp_path, OPTIONS))


class TestSortingByTrainedSequences:
    def test_sorting_the_same_recording_again_gives_the_same_spikes(
        self,
        found: Sorted,
        known: tuple[NumpyRecording, list[NDArray[np.int64]]],
        tmp_path: Path,
    ) -> None:
        found.sequences.save(tmp_path / "sequences.npz")
        loaded = TrainedSequences.load(tmp_path / "sequences.npz")
        assert equal(found, sort_offline(loaded, known[0], tmp_path, OPTIONS))

    def test_a_recording_twice_gives_its_spikes_twice(
        self,
        found: Sorted,
        known: tuple[NumpyRecording, list[NDArray[np.int64]]],
        tmp_path: Path,
    ) -> None:
        frames, seam = known[0].get_num_samples(), 1_000
        twice = concatenate_recordings([known[0], known[0]])
        again = sort_offline(found.sequences, twice, tmp_path, OPTIONS)
        for once, both in zip(found.trains, again.trains, strict=True):
            first = both[both < frames - seam]
            second = both[both >= frames + 2 * seam] - frames
            assert np.array_equal(first, once[once < frames - seam])
            assert np.array_equal(second, once[once >= 2 * seam])

    def test_another_recording_gives_what_its_part_of_both_gives(
        self, found: Sorted, tmp_path: Path
    ) -> None:
        other, _ = travelling_recording(seconds=2.0, seed=5)
        alone = sort_offline(found.sequences, other, tmp_path, OPTIONS)
        joined = concatenate_recordings([other, other])
        both = sort_offline(found.sequences, joined, tmp_path, OPTIONS)
        end = other.get_num_samples() - 1_000
        assert sum(map(len, alone.trains))
        for one, two in zip(alone.trains, both.trains, strict=True):
            assert np.array_equal(one[one < end], two[two < end])

    def test_other_electrodes_are_refused_by_name(self, found: Sorted, tmp_path: Path) -> None:
        for recording, told in (
            (travelling_recording(1.0, 5, 4)[0], "channels"),
            (_moved(travelling_recording(1.0)[0]), "elsewhere"),
            (_faster(travelling_recording(1.0)[0]), "Hz"),
        ):
            with pytest.raises(InvalidConfigurationError, match=told):
                sort_offline(found.sequences, recording, tmp_path, OPTIONS)

    def test_looking_at_sequences_needs_no_torch(self, found: Sorted, tmp_path: Path) -> None:
        found.sequences.save(tmp_path / "sequences.npz")
        look = (
            "import sys; from pathlib import Path; from spikefleet.rt_sort import TrainedSequences;"
            f"s = TrainedSequences.load(Path({str(tmp_path / 'sequences.npz')!r}));"
            "print(s.root_channels[0], s.latencies_ms(0)); assert 'torch' not in sys.modules"
        )
        done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


class TestEnds:
    def test_silence_ends_with_a_reason(self, tmp_path: Path) -> None:
        flat = _noise(np.zeros((40_000, 16)))
        with pytest.raises(InsufficientActivityError, match="silent"):
            detect_and_sort(flat, tmp_path, OPTIONS)

    def test_noise_gives_no_sequence(self, tmp_path: Path) -> None:
        draw = np.random.default_rng(9)
        noise = _noise(draw.normal(0, 40, (60_000, 16)))
        assert len(detect_sequences(noise, tmp_path, OPTIONS)) == 0

    def test_electrodes_without_neighbours_are_told(self, tmp_path: Path) -> None:
        draw = np.random.default_rng(10)
        sparse = _noise(draw.normal(0, 40, (40_000, 16)), grid(4, 4, 200.0))
        with pytest.raises(InvalidConfigurationError, match="within 50 µm"):
            detect_and_sort(sparse, tmp_path, OPTIONS)

    @pytest.mark.parametrize("electrodes", [1, 2, 3])
    def test_too_few_electrodes_are_told(self, tmp_path: Path, electrodes: int) -> None:
        few = _noise(np.ones((40_000, electrodes)), grid(electrodes, 1))
        with pytest.raises(InvalidConfigurationError, match="electrodes"):
            detect_and_sort(few, tmp_path, OPTIONS)

    def test_a_recording_too_short_is_told(self, tmp_path: Path) -> None:
        short = _noise(np.random.default_rng(1).normal(0, 40, (1_200, 16)))
        with pytest.raises(InvalidConfigurationError, match=r"at least 0\.061 s"):
            detect_and_sort(short, tmp_path, OPTIONS)

    def test_two_seconds_are_sorted(self, tmp_path: Path) -> None:
        recording, trains = travelling_recording(seconds=2.0)
        found = detect_and_sort(recording, tmp_path, OPTIONS)
        assert sum(map(len, found.trains)) <= sum(map(len, trains))

    def test_no_spike_is_found_where_there_are_no_numbers(
        self, known: tuple[NumpyRecording, list[NDArray[np.int64]]], tmp_path: Path
    ) -> None:
        traces = known[0].get_traces().astype(np.float32)
        traces[30_000:50_000] = np.nan
        found = detect_and_sort(changed(known[0], traces), tmp_path, OPTIONS)
        spikes = np.concatenate(found.trains)
        assert len(spikes)
        assert not ((spikes >= 30_000) & (spikes < 50_000)).any()

    @pytest.mark.parametrize("window", [(-5.0, 100.0), (9_000.0, 9_100.0), (300.0, 200.0)])
    def test_a_window_outside_the_recording_is_told(
        self,
        known: tuple[NumpyRecording, list[NDArray[np.int64]]],
        tmp_path: Path,
        window: tuple[float, float],
    ) -> None:
        with pytest.raises(InvalidConfigurationError, match="window"):
            detect_and_sort(known[0], tmp_path, replace(OPTIONS, window_ms=window))

    def test_a_window_gives_times_of_the_recording(
        self, known: tuple[NumpyRecording, list[NDArray[np.int64]]], tmp_path: Path
    ) -> None:
        found = detect_and_sort(known[0], tmp_path, replace(OPTIONS, window_ms=(1_000.0, 4_000.0)))
        spikes = np.concatenate(found.trains)
        assert spikes.min() >= 20_000
        truth = np.sort(np.concatenate(known[1]))
        nearest = np.abs(spikes[:, None] - truth[None, :]).min(axis=1)
        assert (nearest <= 8).mean() > 0.95


def _noise(
    traces: NDArray[np.float64], positions: NDArray[np.float64] | None = None
) -> NumpyRecording:
    recording = NumpyRecording([traces.astype(np.int16)], 20_000.0)
    recording.set_channel_gains(0.2)
    recording.set_channel_offsets(0.0)
    recording.set_dummy_probe_from_locations(grid(4, 4) if positions is None else positions)
    return recording


def _moved(recording: NumpyRecording) -> BaseRecording:
    moved = recording.get_channel_locations() + np.array([0.0, 5.0])
    return changed(recording, recording.get_traces(), positions=moved)


def _faster(recording: NumpyRecording) -> NumpyRecording:
    made = NumpyRecording([recording.get_traces()], 25_000.0)
    made.set_channel_gains(0.2)
    made.set_channel_offsets(0.0)
    made.set_dummy_probe_from_locations(recording.get_channel_locations())
    return made
