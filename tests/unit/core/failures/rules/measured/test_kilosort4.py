"""Thirteen causes behind one message of Kilosort 4, each from a real run of Kilosort 4.1.7."""

import pytest
from tests.corpus.cases import evidence, recorded

from spikefleet.core.failures.classify import classify
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure, ParameterSensitiveError
from spikefleet.core.failures.rules.base import Evidence
from spikefleet.core.failures.rules.measured.kilosort4 import number
from spikefleet.core.failures.rules.measured.refine import refine

F = FailureCode
ONE_MESSAGE = "while a minimum of 1 is required by TruncatedSVD."
CASES = {case.name.partition(": ")[2]: case for case in recorded() if "kilosort4" in case.name}
SETTING = "sorter.sorter_params."
CAUSES = {
    "silent": (F.INSUFFICIENT_ACTIVITY, "measured.silent", ""),
    "flat": (F.NO_GOOD_CHANNELS, "measured.flat", ""),
    "saturated": (F.SATURATED_SIGNAL, "measured.saturated", ""),
    "one_lsb": (F.INSUFFICIENT_ACTIVITY, "measured.last_bits", ""),
    "noise": (F.INSUFFICIENT_ACTIVITY, "measured.noise_only", ""),
    "volts": (F.INVALID_CONFIGURATION, "measured.units", "recording.gain_to_uv"),
    "artifact_threshold": (
        F.INVALID_CONFIGURATION,
        "measured.thresholds",
        f"{SETTING}artifact_threshold",
    ),
    "one_channel_left": (
        F.INVALID_CONFIGURATION,
        "measured.channels_excluded",
        f"{SETTING}bad_channels",
    ),
    "one_place": (F.INVALID_CONFIGURATION, "measured.probe", "recording"),
    "threshold_of_one_channel": (
        F.INVALID_CONFIGURATION,
        "measured.thresholds",
        f"{SETTING}Th_single_ch",
    ),
    "universal_threshold_with_drift": (
        F.INVALID_CONFIGURATION,
        "measured.thresholds",
        f"{SETTING}Th_universal",
    ),
    "quiet_start": (F.PARAMETER_SENSITIVE, "measured.quiet_window", ""),
    "isolation": (F.PARAMETER_SENSITIVE, "measured.isolation", ""),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_a_cause_behind_the_one_message_is_told(cause, tmp_path):
    case = CASES[cause]
    assert case.given["child_failure"]["message"].endswith(ONE_MESSAGE)
    failure = classify(evidence(case, tmp_path))
    assert (failure.code, failure.rule_id, failure.evidence.get("field", "")) == CAUSES[cause]


def test_no_two_of_the_thirteen_causes_are_called_the_same():
    assert len(CAUSES) == len(set(CAUSES.values())) == 13


@pytest.mark.parametrize("cause", CAUSES)
def test_a_backend_that_blames_the_batches_is_corrected_by_what_was_measured(cause, tmp_path):
    error = ParameterSensitiveError("No spikes.", sorter="kilosort4", parameter="batch_size")
    told = Failure.from_error(error, stage="sort", rule_id="child.raised")
    failure = refine(told, evidence(CASES[cause], tmp_path))
    # Of noise the backend saw spikes that preflight missed.
    expected = (F.PARAMETER_SENSITIVE, "child.raised", "") if cause == "noise" else CAUSES[cause]
    assert (failure.code, failure.rule_id, failure.evidence.get("field", "")) == expected


def test_settings_that_let_the_sorter_see_more_are_not_blamed():
    failure = Failure(F.INSUFFICIENT_ACTIVITY, "x", evidence={"sorter": "kilosort4"})
    measured = {"n_crossings": 9000, "sorter_params": {"Th_single_ch": 4, "n_templates": 6}}
    refined = refine(failure, Evidence("kilosort4", preflight=measured))
    assert refined.rule_id == "measured.quiet_window"


@pytest.mark.parametrize("value", [None, "7", float("nan"), float("inf"), [1], 10**400])
def test_what_is_no_finite_number_is_none(value):
    assert number(value) is None
