import pytest

from spikefleet.core.failures.classify import Evidence, classify
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure

F = FailureCode
NOTHING_FOUND = {
    "exception_type": "ValueError",
    "module": "builtins",
    "message": "Found array with 0 sample(s) (shape=(0, 61)) while a minimum of 1 is required by "
    "TruncatedSVD.",
}
NOT_FINITE = {
    "exception_type": "_LinAlgError",
    "module": "torch._C",
    "message": "linalg.svd: The algorithm failed to converge because the input matrix contained "
    "non-finite values.",
}


def told(document, log_tail="", **measured):
    return classify(
        Evidence(
            "kilosort4", exit_code=1, child_failure=document, log_tail=log_tail, preflight=measured
        )
    )


@pytest.mark.parametrize(
    ("measured", "code", "rule"),
    [
        ({}, F.INSUFFICIENT_ACTIVITY, "kilosort4.too_few_spikes"),
        (
            {"n_channels": 16, "flat_channels": 3, "n_crossings": 4},
            F.INSUFFICIENT_ACTIVITY,
            "kilosort4.too_few_spikes",
        ),
        ({"n_channels": 16, "flat_channels": 16}, F.NO_GOOD_CHANNELS, "measured.flat"),
        ({"rail_fraction": 0.9}, F.SATURATED_SIGNAL, "measured.saturated"),
        ({"scale": "volts"}, F.INVALID_CONFIGURATION, "measured.units"),
        (
            {"silent_fraction": 1.0, "n_channels": 4, "flat_channels": 4},
            F.INSUFFICIENT_ACTIVITY,
            "measured.silent",
        ),
        (
            {"n_crossings": 900, "n_crossings_noise": 800},
            F.INSUFFICIENT_ACTIVITY,
            "kilosort4.too_few_spikes",
        ),
        ({"n_channels": 2, "flat_channels": ["a", "b"]}, F.NO_GOOD_CHANNELS, "measured.flat"),
        ({"n_channels": 16, "saturated_channels": 12}, F.SATURATED_SIGNAL, "measured.saturated"),
        ({"n_channels": 16, "median_noise_uv": 7e-6}, F.INVALID_CONFIGURATION, "measured.units"),
        ({"n_channels": 16, "distinct_locations": 1}, F.INVALID_CONFIGURATION, "measured.probe"),
        (
            {"n_crossings": 9000, "sorter_params": {"Th_single_ch": 1000}},
            F.INVALID_CONFIGURATION,
            "measured.thresholds",
        ),
        ({"n_crossings": 9000}, F.PARAMETER_SENSITIVE, "measured.quiet_window"),
    ],
)
def test_measurements_say_why_a_sorter_found_nothing(measured, code, rule):
    failure = told(NOTHING_FOUND, **measured)
    assert (failure.code, failure.rule_id) == (code, rule)


def test_the_first_verdict_stays_in_the_evidence():
    evidence = told(NOTHING_FOUND, n_channels=4, flat_channels=4).evidence
    assert evidence["refined_from"] == "insufficient_activity"
    assert evidence["refined_rule"] == "kilosort4.too_few_spikes"
    assert (evidence["bad_channels"], evidence["total_channels"]) == (4, 4)


def test_a_silence_the_child_classified_is_refined_too():
    silent = Failure(F.INSUFFICIENT_ACTIVITY, "No units.").to_json()
    failure = told({"exception_type": "X", "classified": silent}, n_channels=4, flat_channels=4)
    assert failure.code is F.NO_GOOD_CHANNELS


@pytest.mark.parametrize(
    ("measured", "log", "code", "reason"),
    [
        ({}, "", F.INPUT_CORRUPT, "non_finite_or_too_short"),
        ({"first_non_finite_s": 1.5, "n_samples": 10**6}, "", F.INPUT_CORRUPT, "non_finite"),
        ({"n_samples": 0}, "", F.INPUT_CORRUPT, "empty"),
        ({"duration_s": 1.0, "sampling_rate_hz": 3e4}, "", F.INPUT_CORRUPT, "too_short"),
        ({"n_samples": 30000}, "", F.INPUT_CORRUPT, "too_short"),
        ({}, "kilosort.run_kilosort INFO N samples: 30000\n", F.INPUT_CORRUPT, "too_short"),
        (
            {"n_samples": 600000, "sorter_params": {"batch_size": 1800000}},
            "",
            F.INVALID_CONFIGURATION,
            "non_finite_or_too_short",
        ),
    ],
)
def test_measurements_tell_damaged_from_too_short(measured, log, code, reason):
    failure = told(NOT_FINITE, log, **measured)
    assert failure.code is code
    assert failure.evidence["reason"] == reason


def test_a_batch_longer_than_the_recording_names_the_parameter():
    failure = told(NOT_FINITE, n_samples=600000, sorter_params={"batch_size": 1800000})
    assert failure.evidence["field"] == "sorter.sorter_params.batch_size"
    assert "600000" in failure.message


def test_a_verified_digest_is_passed_on_so_that_nothing_is_fetched_again():
    assert told(NOT_FINITE, n_samples=0, digest_verified=True).evidence["digest_verified"] is True
    damaged = {"exception_type": "OSError", "module": "builtins", "message": "inflate() failed"}
    assert told(damaged, digest_verified=True).evidence["digest_verified"] is True


@pytest.mark.parametrize(
    ("measured", "code"),
    [
        ({"n_channels": 4, "flat_channels": 4}, F.NO_GOOD_CHANNELS),
        ({"rail_fraction": 0.8}, F.SATURATED_SIGNAL),
        ({"silent_fraction": 1.0}, F.INSUFFICIENT_ACTIVITY),
        ({"first_non_finite_s": 0.5}, F.INPUT_CORRUPT),
        ({"n_crossings": 2, "n_crossings_noise": 3}, F.INSUFFICIENT_ACTIVITY),
        ({"n_crossings": 2, "n_crossings_noise": 3, "activity": "skewed"}, F.UNCLASSIFIED),
        ({"n_crossings": 4, "n_crossings_noise": 3}, F.UNCLASSIFIED),
        ({}, F.UNCLASSIFIED),
    ],
)
def test_an_unknown_failure_of_an_unfit_recording_is_put_down_to_the_recording(measured, code):
    unknown = {"exception_type": "IndexError", "module": "builtins", "message": "index 7"}
    failure = told(unknown, **measured)
    assert failure.code is code
    assert {**(failure.evidence.complaint or {}), **failure.evidence}["fingerprint"]


def test_a_crash_is_not_put_down_to_the_recording():
    measured = {"n_channels": 4, "flat_channels": 4}
    assert classify(Evidence("lupin", signal=11, preflight=measured)).code is F.SORTER_CRASH
