"""Units that several sorts agree on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikefleet.signal.preparing.timeline import Timeline
from spikefleet.signal.units.consensus import agreed_curation, find_support
from spikefleet.signal.units.fetched_results import FetchedResults, FetchedUnit

RATE_HZ = 10_000.0
A, B, C = (np.sort(np.random.default_rng(seed).integers(0, 900_000, 300)) for seed in (1, 2, 3))


def result(run_id, trains, failed=()):
    units = {
        unit: FetchedUnit(
            unit, unit not in failed, "snr_min" * (unit in failed), {}, train, RATE_HZ
        )
        for unit, train in trains.items()
    }
    timeline = Timeline.whole(1_000_000, RATE_HZ)
    return FetchedResults(Path(run_id), run_id, "success", units, {}, timeline)


def test_support_is_who_has_the_same_spikes():
    found = find_support({"1": A, "2": B}, {"x": {"7": A[::2], "8": C}, "y": {"9": A + 3}}, RATE_HZ)
    assert [(s.run_id, s.unit_id, s.agreement) for s in found["1"]] == [
        ("x", "7", 0.5),
        ("y", "9", 1.0),
    ]
    assert found["2"] == ()
    assert find_support({}, {"x": {"7": A}}, RATE_HZ) == {}
    assert find_support({"1": A}, {"x": {}}, RATE_HZ) == {"1": ()}


@pytest.mark.parametrize(("least_runs", "kept"), [(2, ["1", "2"]), (3, ["1"])])
def test_units_are_kept_that_enough_sorts_have(least_runs, kept):
    results = {
        "r1": result("r1", {"1": A, "2": B, "3": C, "4": C + 1}, failed=("4",)),
        "r2": result("r2", {"5": A, "6": B, "7": C + 1}, failed=("7",)),
        "r3": result("r3", {"5": A}),
    }
    hand, support = agreed_curation(results, least_agreement=0.5, least_runs=least_runs)
    assert [unit for unit, verdict in hand.verdicts.items() if verdict.passed] == kept
    assert hand.verdicts["4"].reason == "snr_min"
    assert hand.verdicts["3"].reason == f"in fewer than {least_runs} sorts"
    assert [one.run_id for one in support["1"]] == ["r2", "r3"]
    assert set(hand.trains) == {"1", "2", "3", "4"}
    assert hand.support["1"][0] == {"run_id": "r2", "unit_id": "5", "agreement": 1.0}


def test_only_what_all_have_sorted_is_compared():
    half = replace(result("r2", {"5": A[A < 500_000]}), timeline=Timeline.whole(500_000, RATE_HZ))
    both = {"r1": result("r1", {"1": A}), "r2": half}
    hand, support = agreed_curation(both, least_agreement=0.9, least_runs=2)
    assert hand.verdicts["1"].passed
    assert support["1"][0].agreement == 1.0
