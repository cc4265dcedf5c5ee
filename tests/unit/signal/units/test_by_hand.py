"""A curation by hand as a document from anywhere."""

import numpy as np
import pytest

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.units.by_hand import MOST_UNITS, HandCuration, HandVerdict, train_digest
from spikefleet.signal.units.unit_edits import UnitEdits

TRAIN = np.array([1, 5, 9])
SUPPORT = {"1": [{"run_id": "run-2", "unit_id": "7", "agreement": 0.9}]}
HAND = HandCuration(
    "phy",
    UnitEdits(),
    {"1": HandVerdict(True, label="good"), "2": HandVerdict(False, "noise by hand")},
    {"1": train_digest(TRAIN)},
    SUPPORT,
)
VERDICT = {"passed": True, "reason": "", "label": ""}


def test_it_survives_the_way_to_a_document_and_back():
    assert HandCuration.from_json(HAND.to_json()) == HAND


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"verdicts": ["1"]},
        {"verdicts": {"1": {**VERDICT, "passed": "yes"}}},
        {"verdicts": {"1": {**VERDICT, "passed": 1}}},
        {"verdicts": {"1": {**VERDICT, "label": 3}}},
        {"verdicts": {"1": {**VERDICT, "reason": "x" * 501}}},
        {"verdicts": {"1": {**VERDICT, "reason": "\x1b[31m"}}},
        {"verdicts": {"a\x00b": VERDICT}},
        {"verdicts": dict.fromkeys(map(str, range(MOST_UNITS + 1)), VERDICT)},
        {"trains": {"1": 5}},
        {"trains": None},
        {"edits": {"version": 1}},
        {"tool": ["phy"]},
        {"support": {"1": [{"run_id": "x"}]}},
        {"support": {"1": 5}},
        {"support": {"1": [SUPPORT["1"][0] | {"agreement": 10**400}]}},
        {"support": {"1": [SUPPORT["1"][0] | {"agreement": float("nan")}]}},
    ],
)
def test_what_is_no_curation_is_refused(changes):
    with pytest.raises(ValueError, match=r".+"):
        HandCuration.from_json(HAND.to_json() | changes)


@pytest.mark.parametrize("document", [None, 3, [], {}, "text"])
def test_what_is_no_document_is_refused(document):
    with pytest.raises(ValueError, match=r".+"):
        HandCuration.from_json(document)


def test_it_is_held_against_the_sort():
    HAND.require_of({"1": TRAIN, "2": TRAIN})
    HAND.require_units(["1", "2", "3"])
    with pytest.raises(InputCorruptError, match="unit '1' has other spikes"):
        HAND.require_of({"1": TRAIN + 1})
    with pytest.raises(InputCorruptError, match="no unit '1'"):
        HAND.require_of({"2": TRAIN})
    with pytest.raises(InputCorruptError, match="no unit '2'"):
        HAND.require_units(["1"])
