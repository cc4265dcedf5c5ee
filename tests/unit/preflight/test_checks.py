"""Checks on facts made by hand: codes, levels, thresholds, order."""

from dataclasses import replace

import pytest

from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.codes import FailureCategory, FailureCode
from spikefleet.core.failures.errors import (
    HDF5PluginMissingError,
    InputCorruptError,
    InputMissingError,
    InsufficientActivityError,
    SaturatedSignalError,
)
from spikefleet.core.findings.checks import decide
from spikefleet.core.findings.finding import FindingLevel
from spikefleet.core.recording.measurements import SignalMeasurements
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.core.sorters.row import BackendInfo
from spikefleet.preflight import examine
from spikefleet.preflight.registry import (
    CHECKS,
    Facts,
    HostFacts,
    check,
    run_preflight,
)

GIB = 1 << 30
BACKEND = BackendInfo("toy", "Toy", "", "", uses_gpu=False, min_channels=4, min_duration_s=3.0)
MEASURED = SignalMeasurements(
    n_channels=8,
    sampling_rate_hz=20_000.0,
    duration_s=60.0,
    measured_s=20.0,
    finite_fraction=1.0,
    first_non_finite_s=None,
    first_non_finite_channel=None,
    noise_uv=(8.0,) * 8,
    median_noise_uv=8.0,
    flat_channels=(),
    flat_fraction=0.0,
    silent_fraction=0.0,
    saturated_channels=(),
    rail_fraction=0.0,
    range_uv=(-200.0, 100.0),
    median_peak_to_peak_uv=300.0,
    channel_seconds=160.0,
    n_crossings=900,
    n_crossings_noise=20,
    negative_crossings_hz=5.0,
    gaussian_crossings_hz=0.05,
    scale="ok",
    activity="crossings",
)
HEALTHY = Facts(
    backend=BACKEND,
    host=HostFacts(100 * GIB, 100 * GIB, 32 * GIB),
    measured=MEASURED,
    kept_s=60.0,
    recorded_s=60.0,
    sampling_rate_hz=20_000.0,
    channel_count=8,
)


def codes(facts: Facts, **options: bool) -> list[tuple[str, str]]:
    return [(f.code, str(f.level)) for f in run_preflight(facts, **options)]


def test_modules_of_checks_are_registered():
    assert {m.__name__.rsplit(".", 1)[1] for m in examine.CHECK_MODULES} == {
        "checks_host",
        "checks_recording",
        "checks_signal",
        "checks_truth",
    }
    assert {"readable", "channels", "finite", "flat", "saturated", "silent"} <= set(CHECKS.codes)


def test_healthy_facts_have_no_findings():
    assert run_preflight(HEALTHY) == ()
    assert decide(()) is None


@pytest.mark.parametrize(
    ("host", "code"),
    [
        (HostFacts(19 * GIB, 100 * GIB, 32 * GIB), "low_disk_inter"),
        (HostFacts(100 * GIB, GIB, 32 * GIB), "low_disk_results"),
        (HostFacts(100 * GIB, 100 * GIB, 3 * GIB), "low_ram"),
        (HostFacts(100 * GIB, 100 * GIB, None), "ram_unknown"),
    ],
)
def test_poor_machine_warns_as_a_resource(host, code):
    (finding,) = run_preflight(replace(HEALTHY, host=host))
    assert (finding.code, finding.level) == (code, FindingLevel.WARN)
    assert finding.category is FailureCategory.RESOURCE


def test_disk_that_cannot_be_read_is_not_low():
    assert codes(replace(HEALTHY, host=HostFacts(None, None, 32 * GIB))) == []


def test_thresholds_come_from_the_configuration():
    facts = replace(HEALTHY, config=SortingConfig().override(preflight_min_free_inter_gb=200.0))
    assert codes(facts) == [("low_disk_inter", "warn")]


@pytest.mark.parametrize("rate_hz", [10_000.0, 30_000.0, 50_000.0])
def test_rates_inside_the_window_pass(rate_hz):
    assert codes(replace(HEALTHY, sampling_rate_hz=rate_hz)) == []


@pytest.mark.parametrize("rate_hz", [9_999.0, 50_001.0])
def test_rates_outside_the_window_warn(rate_hz):
    found = codes(replace(HEALTHY, sampling_rate_hz=rate_hz))
    assert found == [("sample_rate_out_of_window", "warn")]


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, float("nan")])
def test_rate_that_is_none_is_a_corrupt_input(rate_hz):
    failure = decide(run_preflight(replace(HEALTHY, sampling_rate_hz=rate_hz)))
    assert failure is not None
    assert failure.code is FailureCode.INPUT_CORRUPT


@pytest.mark.parametrize(
    ("count", "code"),
    [(0, FailureCode.NO_GOOD_CHANNELS), (3, FailureCode.INVALID_CONFIGURATION), (4, None)],
)
def test_channels_are_counted_against_the_backend(count, code):
    failure = decide(run_preflight(replace(HEALTHY, channel_count=count)))
    assert (failure.code if failure else None) == code


def test_short_recording_warns_and_too_short_one_is_unsortable():
    assert codes(replace(HEALTHY, kept_s=9.0)) == [("duration_short", "warn")]
    short = replace(HEALTHY, kept_s=2.0, recorded_s=2.0)
    failure = decide(run_preflight(short))
    assert failure is not None
    assert failure.code is FailureCode.INSUFFICIENT_ACTIVITY
    assert failure.evidence["reason"] == "too_short"


def test_too_short_a_window_of_a_long_recording_is_a_configuration_error():
    failure = decide(run_preflight(replace(HEALTHY, kept_s=2.0)))
    assert failure is not None
    assert failure.code is FailureCode.INVALID_CONFIGURATION


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputMissingError("gone", path="x"), "recording_missing"),
        (InputCorruptError("cut", path="x"), "readable"),
        (HDF5PluginMissingError("no plugin"), "hdf5_plugin_missing"),
    ],
)
def test_what_opening_raised_is_a_finding_with_its_own_code(error, code):
    facts = Facts(backend=BACKEND, host=HEALTHY.host, read_error=error)
    (finding,) = run_preflight(facts)
    assert finding.code == code
    failure = decide([finding])
    assert failure is not None
    assert (failure.code, failure.rule_id) == (error.code, f"preflight.{code}")


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (InsufficientActivityError("zeros", reason="silent"), "silent"),
        (InsufficientActivityError("noise", reason="noise_only"), "noise_only"),
        (SaturatedSignalError("rail", rail_fraction=0.9), "saturated"),
        (InputCorruptError("nan", reason="non_finite"), "finite"),
        (InsufficientActivityError("new", reason="something_new"), "signal"),
    ],
)
def test_verdict_of_the_signal_is_one_failing_finding(verdict, code):
    found = run_preflight(replace(HEALTHY, verdict=verdict))
    assert [f.code for f in found] == [code]
    failure = decide(found)
    assert failure is not None
    assert failure.evidence == verdict.evidence


def test_dropped_frames_only_warn():
    measured = replace(MEASURED, dropped_frames=2)
    assert codes(replace(HEALTHY, measured=measured)) == [("dropped_frames", "warn")]


def test_worst_findings_come_first():
    facts = replace(
        HEALTHY,
        sampling_rate_hz=9_000.0,
        verdict=InsufficientActivityError("zeros", reason="silent"),
    )
    assert codes(facts) == [("silent", "fail"), ("sample_rate_out_of_window", "warn")]


def test_strict_turns_warnings_into_failures_of_their_category():
    facts = replace(HEALTHY, host=HostFacts(GIB, 100 * GIB, 32 * GIB))
    findings = run_preflight(facts, strict=True)
    failure = decide(findings)
    assert failure is not None
    assert failure.code is FailureCode.RESOURCE_OTHER
    assert failure.evidence["finding"] == "low_disk_inter"


def test_strictness_about_one_recording_holds_no_lane():
    facts = replace(HEALTHY, sampling_rate_hz=1_000.0)
    failure = decide(run_preflight(facts, strict=True))
    assert failure is not None
    assert failure.code is FailureCode.INVALID_CONFIGURATION


def test_a_setting_without_effect_is_told():
    facts = replace(HEALTHY, pending_changes=("execution.canary_first_n_s",))
    (finding,) = run_preflight(facts)
    assert finding.code == "settings_without_effect"
    assert "execution.canary_first_n_s" in finding.message


def test_code_is_registered_once():
    with pytest.raises(ValueError, match="low_ram"):
        check("low_ram")(lambda _facts: None)


@pytest.mark.parametrize(
    ("window", "clipped"),
    [
        ({"end_time_s": 60.0}, False),
        ({"end_time_s": 60.1}, True),
        ({"rec_chunks_s": [[0, 10], [50, 70]]}, True),
        ({"rec_chunks": [[0, 1_200_000]]}, False),
        ({"rec_chunks": [[0, 1_300_000]]}, True),
        ({}, False),
    ],
)
def test_a_window_past_the_end_is_told_and_sorted_up_to_there(window, clipped):
    facts = replace(
        HEALTHY,
        sampling_rate_hz=20_000.0,
        config=SortingConfig.from_document({"recording": window}),
    )
    found = [finding for finding in run_preflight(facts) if finding.code == "window_clipped"]
    assert bool(found) is clipped
    if clipped:
        assert "ends at 60 s" in found[0].message


def test_one_electrode_is_refused_for_kilosort_naming_who_can_sort_it():
    facts = replace(HEALTHY, backend=BACKENDS["kilosort4"], channel_count=1)
    failure = decide(run_preflight(facts))
    assert failure is not None
    assert failure.code is FailureCode.INVALID_CONFIGURATION
    assert "needs at least 2 channels" in failure.message
    assert "lupin" in failure.message
    assert "kilosort4" not in failure.message
    pair = replace(HEALTHY, backend=BACKENDS["kilosort4"], channel_count=2)
    assert "channels" not in [finding.code for finding in run_preflight(pair)]
