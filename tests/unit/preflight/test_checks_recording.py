"""Findings about the recording as a file: suffix, rate, length against the sorter's batch."""

from dataclasses import replace

import pytest
from tests.unit.preflight.test_checks import BACKEND, HEALTHY, codes

from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.findings.checks import decide
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.preflight.registry import run_preflight
from spikefleet.signal.measuring.geometry import Geometry


@pytest.mark.parametrize(
    ("entry", "warns"),
    [
        ("data.raw.h5", False),
        ("DATA.RAW.H5", False),
        ("day_g0_t0.imec0.ap.bin", False),
        ("session", False),
        ("", False),
        ("recording.bak", True),
        ("recording.h5.2024", False),
    ],
)
def test_an_unknown_suffix_warns(entry, warns):
    found = codes(replace(HEALTHY, entry=entry))
    assert found == ([("recording_extension_unknown", "warn")] if warns else [])


@pytest.mark.parametrize(
    ("probe", "rate_hz", "warns"),
    [
        ("mea", 20_000.0, False),
        ("mea", 20_090.0, False),
        ("mea", 20_110.0, True),
        ("mea", 30_000.0, True),
        ("neuropixels", 30_000.0, False),
        ("neuropixels", 29_990.3, False),
        ("neuropixels", 20_000.0, True),
    ],
)
def test_rt_sort_knows_one_rate_for_each_probe(probe, rate_hz, warns):
    facts = replace(
        HEALTHY,
        backend=replace(BACKEND, name="rt_sort"),
        sampling_rate_hz=rate_hz,
        config=SortingConfig.from_document({"rt_sort": {"probe": probe}}),
    )
    assert codes(facts) == ([("sample_rate_out_of_window", "warn")] if warns else [])


def kilosort4(kept_s, recorded_s=None, rate_hz=30_000.0, **params):
    return replace(
        HEALTHY,
        backend=BACKENDS["kilosort4"],
        kept_s=kept_s,
        recorded_s=recorded_s or kept_s,
        sampling_rate_hz=rate_hz,
        config=SortingConfig.from_document({"sorter": {"sorter_params": params}}),
    )


def test_a_recording_must_fill_one_batch_whatever_its_rate():
    slow = decide(run_preflight(kilosort4(5.0, rate_hz=10_000.0)))
    assert slow.code is FailureCode.INSUFFICIENT_ACTIVITY
    assert slow.evidence["reason"] == "too_short"
    assert decide(run_preflight(kilosort4(5.0, rate_hz=30_000.0))) is None


def test_a_batch_that_was_set_too_large_is_a_matter_of_the_configuration():
    failure = decide(run_preflight(kilosort4(20.0, batch_size=1_800_000)))
    assert failure.code is FailureCode.INVALID_CONFIGURATION
    assert failure.evidence["field"] == "sorter.sorter_params.batch_size"
    assert decide(run_preflight(kilosort4(61.0, batch_size=1_800_000))) is None


def test_a_window_shorter_than_a_batch_names_the_window():
    failure = decide(run_preflight(kilosort4(1.0, recorded_s=600.0)))
    assert failure.code is FailureCode.INVALID_CONFIGURATION
    assert failure.evidence["field"] == "recording.end_time_s"


@pytest.mark.parametrize(
    ("sorter", "most", "warns"),
    [
        ("kilosort4", 4, True),
        ("kilosort4", 7, True),
        ("kilosort4", 8, False),
        ("mountainsort5", 4, False),
        ("lupin", 1, False),
    ],
)
def test_a_sorter_made_for_long_rows_warns_of_tetrodes_and_names_another(sorter, most, warns):
    geometry = Geometry(16, 16, 20.0, most_in_group=most)
    facts = replace(HEALTHY, backend=BACKENDS[sorter], geometry=geometry)
    found = [finding for finding in run_preflight(facts) if finding.code == "few_contacts"]
    assert bool(found) is warns
    assert all("mountainsort5" in finding.remediation for finding in found)
