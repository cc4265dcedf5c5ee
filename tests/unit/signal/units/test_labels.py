"""Labels of units by preset."""

import math

import numpy as np
import pandas as pd
import pytest
from spikeinterface.curation import bombcell_get_default_thresholds, bombcell_label_units

from spikefleet.signal.units.labels import PRESETS, label_units, labelled

FINE = {
    "spike_count": 1000,
    "firing_rate_hz": 5.0,
    "snr": 9.0,
    "std_norm": 0.2,
    "isi_percent": 0.001,
    "contamination": 0.02,
    "contamination_high": 0.1,
    "presence_ratio": 1.0,
    "amplitude_cutoff": 0.01,
}
# What SpikeInterface calls a metric that stands under another name here.
OURS = {"snr": "si_snr", "presence_ratio": "si_presence_ratio", "num_spikes": "spike_count"}


def unit(**changes):
    return {"unit_id": "0", **FINE, **changes}


@pytest.mark.parametrize(
    ("preset", "changes", "label", "why"),
    [
        ("facility", {}, "good", ()),
        ("facility", {"snr": 5.0, "spike_count": 30}, "good", ()),  # bounds are inclusive
        ("facility", {"snr": 4.9}, "mua", ("snr 4.9 below 5",)),
        ("facility", {"snr": 2.9}, "noise", ("snr 2.9 below 3",)),
        ("facility", {"isi_percent": 0.011}, "mua", ("isi_percent 0.011 above 0.01",)),
        ("facility", {"spike_count": 29, "snr": 4.0}, "noise", ("spike_count 29 below 30",)),
        ("facility", {"amplitude_cutoff": None}, "good", ()),
        ("facility", {"contamination": math.nan}, "mua", ("contamination not measured",)),
        ("facility", {"std_norm": None}, "noise", ("std_norm not measured",)),
        ("strict", {"spike_count": 299}, "mua", ("spike_count 299 below 300",)),
        ("strict", {"contamination_high": 0.3}, "mua", ("contamination_high 0.3 above 0.2",)),
        ("organoid", {"presence_ratio": 0.0, "spike_count": 20}, "good", ()),
        ("organoid", {"firing_rate_hz": 0.01}, "mua", ("firing_rate_hz 0.01 below 0.02",)),
    ],
)
def test_a_unit_is_called_by_the_rules_it_breaks(preset, changes, label, why):
    others = {**unit(), "unit_id": "1"}  # so that every metric was measured of some unit
    found = label_units([unit(**changes), others], preset).units["0"]
    assert (found.label, found.why) == (label, why)


def test_a_metric_that_no_unit_has_is_left_out_and_told():
    old = {key: value for key, value in unit().items() if key != "amplitude_cutoff"}
    rows, document = labelled([old], "facility")
    assert rows[0]["label"] == "good"
    assert document["not_measured"] == ["amplitude_cutoff"]
    assert document["counts"] == {"good": 1, "mua": 0, "noise": 0, "non_soma": 0}
    assert len(document["rules"]) == len(PRESETS["facility"])
    assert labelled([old], "none") == ([old], {})
    assert labelled([], "strict")[1]["not_measured"] == []


def test_bombcells_thresholds_are_the_published_ones():
    published = {
        (section.replace("non-somatic", "non_soma"), OURS.get(metric, metric)): (
            bounds["greater"],
            bounds["less"],
            bounds.get("abs", False),
        )
        for section, metrics in bombcell_get_default_thresholds().items()
        for metric, bounds in metrics.items()
    }
    ours = {
        (rule.label, rule.metric): (rule.at_least, rule.at_most, rule.is_size)
        for rule in PRESETS["bombcell"]
    }
    assert ours == published


@pytest.mark.filterwarnings("ignore:.*have not been computed")
@pytest.mark.parametrize("without", [(), ("peak_before_width", "trough_width"), ("l_ratio",)])
def test_units_are_called_as_bombcell_calls_them(without):
    metrics = [rule.metric for rule in PRESETS["bombcell"] if rule.metric not in without]
    draw = np.random.default_rng(3)
    bounds = {rule.metric: rule.at_most or rule.at_least for rule in PRESETS["bombcell"]}
    values = {
        name: bounds[name]
        * draw.choice([0.5, 0.9, 1.0, 1.05, np.nan], 400, p=[0.3, 0.3, 0.2, 0.1, 0.1])
        for name in metrics
    }
    values["peak_to_trough_duration"] = draw.choice([0.0005, 0.0005, 0.0005, 0.01], 400)
    rows = [
        {"unit_id": str(i), **{name: float(column[i]) for name, column in values.items()}}
        for i in range(400)
    ]
    theirs = {ours: name for name, ours in OURS.items()}
    table = pd.DataFrame({theirs.get(name, name): column for name, column in values.items()})
    expected = bombcell_label_units(external_metrics=table)["bombcell_label"].tolist()
    assert [label.label for label in label_units(rows, "bombcell").units.values()] == expected
    assert len(set(expected)) >= 3
