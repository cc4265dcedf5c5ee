"""A page for each unit, large."""

from dataclasses import replace

import numpy as np
from tests.support.sorted_units import make_data, trough

from spikefleet.reporter.unit_cards import draw_units
from spikefleet.reporter.unit_pages import draw_unit_pages, page_names
from spikefleet.signal.units.quality import measure_units


def test_names_of_pages_are_safe_and_never_one_name_for_two_units() -> None:
    names = page_names(["7", "a/b", "a:b", "../x", "q", "Q"])
    assert names["7"] == "7.html"
    assert len({name.casefold() for name in names.values()}) == 6
    assert not any("/" in name or name.startswith(".") for name in names.values())


def test_intervals_count_no_pair_across_a_seam_and_rates_are_of_the_whole_time() -> None:
    data = make_data([[1000, 1010, 2000], [50]], np.stack([trough(0, 80.0), trough(1, 40.0)]))
    data = replace(data, spike_amplitudes_uv=np.array([-40.0, -80.0, -82.0, -84.0]))
    units = [
        quality.to_json() | {"passed": True, "failed_on": ""} for quality in measure_units(data)
    ]
    pages = {
        page.card.unit_id: page for page in draw_unit_pages(data, units, draw_units(data, units))
    }
    first, second = pages["u0"], pages["u1"]
    assert first.intervals is not None
    assert "1 below 2 ms" in first.intervals.alt  # 10 samples are 1 ms; 990 are beyond 50 ms
    assert second.intervals is None  # one spike has no interval
    assert first.amplitudes is not None
    assert "82 µV in the middle" in first.amplitudes.alt
    assert first.rate is not None
    assert first.rate.top == "20 Hz"  # two spikes in a hundredth of 10 s
    assert first.waveform is not None
    assert "from -85 to 25 µV" in first.waveform.alt
    assert first.spread
    titles = [title for title, _, _ in first.metrics]
    assert titles[:2] == ["Unit", "Spikes"]
