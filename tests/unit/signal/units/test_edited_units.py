"""What merged and split units are measured by."""

from dataclasses import replace

import numpy as np
import pytest
from tests.support.sorted_units import make_data, trough

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.units.aligned_spikes import AlignedSpikes
from spikefleet.signal.units.edited_units import chosen_units, edited_units, units_of_curation
from spikefleet.signal.units.library_metrics import LibraryMetrics
from spikefleet.signal.units.quality import measure_units
from spikefleet.signal.units.unit_edits import Merge, Split, UnitEdits


@pytest.fixture
def data():
    templates = np.stack([trough(0, 60.0), trough(0, 20.0), trough(1, 30.0)])
    made = make_data([[100, 200, 300], [150], [101, 400]], templates)
    return replace(
        made,
        spike_amplitudes_uv=made.spike_samples / 10.0,
        library=LibraryMetrics({"si_snr": np.array([1.0, 2.0, 3.0])}),
        aligned=AlignedSpikes(
            np.array([1, 0, -1, 2, 0, 1]), np.ones((3, 4)), np.ones((3, 4)), np.array([0, 0, 1])
        ),
    )


def test_a_merged_unit_has_the_spikes_and_the_weighted_mean_of_both(data):
    edited = edited_units(data, UnitEdits((Merge(("u0", "u1"), "m", (0, 5)),)))
    assert edited.data.unit_ids == ("u0", "u1", "u2", "m")
    assert edited.final.unit_ids == ("u2", "m")
    assert edited.gone.unit_ids == ("u0", "u1")
    assert [t.tolist() for t in edited.final.trains()] == [[101, 400], [100, 155, 200, 300]]
    assert edited.data.trains()[0].tolist() == [100, 200, 300]
    assert edited.final.amplitude_trains()[1].tolist() == [10.0, 15.0, 20.0, 30.0]
    whole = edited.data.unit_locations_um[3]
    assert whole.tolist() == pytest.approx([(3 * 1.0 + 2.0) / 4, 2.0])
    assert np.isnan(edited.data.library.values["si_snr"][3])
    assert edited.final.library.values["si_snr"][0] == 3.0


def test_templates_are_moved_as_the_spikes_and_spread_grows_with_their_difference(data):
    plain = edited_units(data, UnitEdits((Merge(("u0", "u1"), "m", (0, 0)),))).data
    assert plain.templates_uv[3, 1, 0] == pytest.approx(-(3 * 60 + 20) / 4)
    spread = np.sqrt(25 + (3 * 10**2 + 30**2) / 4)
    assert plain.template_stds_uv[3, 1, 0] == pytest.approx(spread)
    assert plain.template_stds_uv[3, 0, 0] == pytest.approx(5.0)
    moved = edited_units(data, UnitEdits((Merge(("u0", "u1"), "m", (0, 1)),))).data
    # A spike one sample later is one sample nearer to what came after it.
    assert moved.templates_uv[3, 0, 0] == pytest.approx(-20 / 4)
    assert moved.templates_uv[3, 1, 0] == pytest.approx((3 * -60 + 20 / 4) / 4)


def test_a_split_unit_is_measured_part_by_part(data):
    edited = edited_units(data, UnitEdits((), (Split("u0", ("p", "q"), ((1,),)),)))
    assert [t.tolist() for t in edited.final.trains()] == [[150], [101, 400], [200], [100, 300]]
    assert edited.final.templates_uv[2].tolist() == data.templates_uv[0].tolist()
    assert [unit.spike_count for unit in measure_units(edited.final)] == [1, 2, 1, 2]
    assert edited.replaced == {"u0": "split into p, q"}


def test_without_edits_the_units_are_the_sorts(data):
    assert edited_units(data, UnitEdits()).final is data
    assert units_of_curation(data, {}) is data
    kept = chosen_units(data, [2, 0])
    assert kept.unit_ids == ("u2", "u0")
    assert [train.tolist() for train in kept.trains()] == [[101, 400], [100, 200, 300]]
    assert chosen_units(data, []).unit_count == 0


@pytest.mark.parametrize(
    "edits", ["text", {"version": 9}, {"version": 1, "merges": [{"unit_ids": ["z"]}]}]
)
def test_a_curation_of_another_sort_is_refused(data, edits):
    with pytest.raises(InputCorruptError, match="not of this sort"):
        units_of_curation(data, {"edits": edits})
    other = UnitEdits((Merge(("u0", "z"), "m", (0, 0)),)).to_json()
    with pytest.raises(InputCorruptError, match="no unit 'z'"):
        units_of_curation(data, {"edits": other})


def test_a_moved_spike_keeps_its_own_peak(data):
    edited = edited_units(data, UnitEdits((Merge(("u0", "u1"), "m", (0, 5)),)))
    before = dict(zip(data.spike_samples.tolist(), data.aligned_samples.tolist(), strict=True))
    final = edited.final
    peaks = final.aligned_samples[final.spike_units == 1].tolist()
    assert peaks == [before[sample] for sample in (100, 150, 200, 300)]
    assert np.isnan(final.aligned.average_uv[1]).all()
    assert final.aligned.channels.tolist() == [1, 0]
