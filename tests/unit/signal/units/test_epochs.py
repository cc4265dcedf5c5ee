"""Metrics of each of several recordings that were sorted as one, by hand."""

import math

import numpy as np
import pytest
from tests.support.sorted_units import make_data, trough

from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.signal.preparing.timeline import FileSpan, Timeline
from spikefleet.signal.units.epochs import (
    EPOCH_COLUMNS,
    choose_epoch,
    epoch_records,
    epochs_of,
    measure_epoch,
)
from spikefleet.signal.units.quality import measure_units
from spikefleet.signal.units.unit_data import UnitData

NAN = math.nan
# 4 s and 6 s at 10 kHz; of the second, the first second was left out.
JOINED = Timeline(
    10_000.0, (FileSpan("a", 40_000), FileSpan("b", 60_000)), ((0, 40_000), (50_000, 100_000))
)
GROUPS = (WaveformConfig(), CurationConfig())


def make_joined(
    trains: list[list[int]], amplitudes: list[float], timeline: Timeline | None = JOINED
) -> UnitData:
    templates = np.stack([trough(0, 40.0)] * len(trains))
    changes = {"timeline": timeline, "spike_amplitudes_uv": np.array(amplitudes)}
    return make_data(trains, templates, duration_s=9.0, **changes)


def records(data: UnitData) -> list[dict[str, object]]:
    return epoch_records(epochs_of(data), data, *GROUPS)


# One unit, its amplitudes in order of time; the whole has 40 µV, SNR 10 and a spread of 5/40.
@pytest.mark.parametrize(
    ("train", "amplitudes", "metric", "first", "second"),
    [
        ([100, 200, 50_000], [-40, -40, -40], "spike_count", 2, 1),
        ([100, 200, 50_000], [-40, -40, -40], "firing_rate_hz", 0.5, 0.2),
        # The last sample of the first and the first of the second.
        ([39_999, 40_000], [-40, -40], "spike_count", 1, 1),
        ([39_999, 40_000], [-40, -40], "isi_violation_count", 0, 0),
        ([39_990, 39_999, 40_000], [-40] * 3, "isi_violation_count", 1, 0),
        ([39_990, 39_999, 40_000], [-40] * 3, "isi_percent", 0.5, 0.0),
        ([10, 20, 50_000], [-40] * 3, "isi_hill", 1 / (2 * 2 * 0.0015) / 0.5, 0.0),
        # Ten bins of 0.4 s and of 0.5 s.
        ([10, 20, 5_000, 50_000], [-40] * 4, "presence_ratio", 0.2, 0.1),
        ([10, 20, 30, 50_000], [-30, -50, -40, -20], "amplitude_median", -40.0, -20.0),
        # The median of all is −35: the first epoch has 40/35 of the whole, the second 20/35.
        ([10, 20, 30, 50_000], [-30, -50, -40, -20], "snr", 10 * 40 / 35, 10 * 20 / 35),
        ([10, 20, 30, 50_000], [-30, -50, -40, -20], "amplitude_uv", 40 * 40 / 35, 40 * 20 / 35),
        # Spreads 10/40, 5/20 and, of all four, sqrt(162.5)/30.
        (
            [10, 20, 50_000, 50_100],
            [-30, -50, -15, -25],
            "std_norm",
            0.125 * 0.25 / (math.sqrt(162.5) / 30),
            0.125 * 0.25 / (math.sqrt(162.5) / 30),
        ),
        (
            [10, 20, 50_000],
            [-30, -50, -40],
            "std_norm",
            0.125 * 0.25 / (math.sqrt(200 / 3) / 40),
            None,
        ),
        ([10, 20], [-40, -40], "snr", 10.0, None),
        ([10, 20], [-40, -40], "spike_count", 2, 0),
        ([10, 20], [], "snr", None, None),
        ([10, 20], [], "amplitude_median", None, None),
        ([], [], "firing_rate_hz", 0.0, 0.0),
    ],
)
def test_an_epoch_by_hand(
    train: list[int], amplitudes: list[float], metric: str, first: object, second: object
) -> None:
    rows = records(make_joined([train], amplitudes))
    assert [row["epoch"] for row in rows] == [0, 1]
    assert [row["name"] for row in rows] == ["a", "b"]
    assert [row[metric] for row in rows] == pytest.approx([first, second])


def test_rows_come_unit_by_unit_with_every_column() -> None:
    rows = records(make_joined([[10], [20, 60_000]], [-40.0, -40.0, -40.0]))
    assert [(row["unit_id"], row["epoch"]) for row in rows] == [
        ("u0", 0), ("u0", 1), ("u1", 0), ("u1", 1),
    ]  # fmt: skip
    assert all(tuple(row) == EPOCH_COLUMNS for row in rows)


def test_an_interval_across_a_window_of_one_epoch_is_no_violation() -> None:
    files = (FileSpan("a", 1_000), FileSpan("b", 99_000))
    cut = Timeline(10_000.0, files, ((0, 104), (200, 1_000), (1_000, 89_096)))
    rows = records(make_joined([[95, 103, 104, 105]], [-40.0] * 4, cut))
    assert [row["isi_violation_count"] for row in rows] == [2, 0]


def test_a_recording_of_which_nothing_was_sorted_is_an_epoch_without_a_rate() -> None:
    files = (FileSpan("a", 10_000), FileSpan("b", 90_000))
    rows = records(make_joined([[10]], [-40.0], Timeline(10_000.0, files, ((10_000, 100_000),))))
    assert [(row["spike_count"], row["firing_rate_hz"]) for row in rows] == [
        (0, None),
        (1, pytest.approx(1 / 9)),
    ]


@pytest.mark.parametrize("timeline", [None, Timeline.whole(90_000, 10_000.0, "a")])
def test_a_recording_sorted_alone_is_one_epoch_and_has_no_rows(timeline: Timeline | None) -> None:
    data = make_joined([[10, 20]], [-30.0, -50.0], timeline)
    (only,) = epochs_of(data)
    assert records(data) == []
    assert measure_epoch(only, data, *GROUPS) == measure_units(data)


def test_no_units_have_no_rows() -> None:
    data = make_data([], np.zeros((0, 4, 2)), timeline=JOINED, duration_s=9.0)
    assert records(data) == []


def test_an_epoch_that_is_none_is_refused_with_those_that_are() -> None:
    epochs = epochs_of(make_joined([[10]], [-40.0]))
    assert choose_epoch(epochs, 1).name == "b"
    with pytest.raises(
        InvalidConfigurationError, match=r"2 recording epochs.*0 \(a\), 1 \(b\)"
    ) as caught:
        choose_epoch(epochs, 2)
    assert caught.value.evidence["field"] == "curation.curation_epoch"
