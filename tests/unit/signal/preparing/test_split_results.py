import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from spikefleet.signal.preparing.split_results import split_trains
from spikefleet.signal.preparing.timeline import FileSpan, Timeline

RATE_HZ = 1000.0


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=5),
    st.lists(
        st_np.arrays(np.int64, st.integers(0, 40), elements=st.integers(0, 10**6)), max_size=4
    ),
)
def test_split_results_put_every_spike_back_into_its_file(lengths, drawn):
    files = tuple(FileSpan(f"f{index}", length) for index, length in enumerate(lengths))
    total = sum(lengths)
    timeline = Timeline(RATE_HZ, files, ((0, total),))
    trains = {unit: np.sort(samples % total) for unit, samples in enumerate(drawn)}
    results = split_trains(trains, timeline)
    assert [(result.n_samples, result.n_kept) for result in results] == [
        (length, length) for length in lengths
    ]
    starts = np.cumsum([0, *lengths[:-1]])
    for unit, samples in trains.items():
        again = [result.trains[unit] + start for result, start in zip(results, starts, strict=True)]
        assert np.array_equal(np.concatenate(again), samples)


def test_a_file_without_spikes_at_its_end_keeps_its_length():
    timeline = Timeline(RATE_HZ, (FileSpan("a", 100), FileSpan("b", 80)), ((20, 180),))
    first, second = split_trains({"u": [0, 79, 85], "v": [3]}, timeline)
    assert (first.n_samples, first.n_kept) == (100, 80)
    assert (second.n_samples, second.n_kept) == (80, 80)
    assert first.trains["u"].tolist() == [20, 99]
    assert second.trains["u"].tolist() == [5]
    assert second.trains["v"].size == 0
