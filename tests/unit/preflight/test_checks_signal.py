"""Each finding about the signal, on facts with only that wrong, and on healthy ones."""

from dataclasses import replace

import pytest
from tests.support.preflight_signals import HEALTHY as STATES
from tests.support.preflight_signals import make_state
from tests.unit.preflight.test_checks import HEALTHY, MEASURED, codes

from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.errors import InsufficientActivityError, InvalidConfigurationError
from spikefleet.core.recording.measurements import ActivityAt
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.preflight.checks_signal import quiet_until_s
from spikefleet.preflight.registry import run_preflight
from spikefleet.signal.measuring.measure import measure_signal


def at(*counts, seconds=1.0):
    return tuple(ActivityAt(index + 0.5, count, seconds) for index, count in enumerate(counts))


def with_measured(**changes):
    return replace(HEALTHY, measured=replace(MEASURED, **changes))


@pytest.mark.parametrize(
    ("code", "changes", "words"),
    [
        ("flat_channels", {"flat_channels": ("3", "7")}, "2 of 8 channels never change (3, 7)"),
        ("saturated_channels", {"saturated_channels": ("4",)}, "1 of 8 channels sit at"),
        ("dead_channels", {"dead_channels": ("1",)}, "far less noise"),
        ("noisy_channels", {"noisy_channels": ("1",)}, "far more noise"),
        ("identical_channels", {"identical_channels": (("1", "2"),)}, "1 and 2"),
        ("mains_load", {"mains_fraction": 0.8, "mains_hz": 50.0}, "80% of the power"),
        ("artifact_load", {"artifact_fraction": 0.2}, "20% of the time"),
        ("quiet_start", {"activity_over_time": at(0, 0, 20, 25, 22)}, "after about 2 s"),
        ("units_suspicious", {"scale": "coarse", "median_noise_uv": 900.0}, "900 µV"),
    ],
)
def test_one_oddity_is_one_warning_in_numbers(code, changes, words):
    facts = with_measured(**changes)
    assert codes(facts) == [(code, "warn")]
    assert words in run_preflight(facts)[0].message
    assert run_preflight(facts)[0].remediation


@pytest.mark.parametrize(
    "changes",
    [
        {"mains_fraction": 0.5, "mains_hz": 50.0},
        {"artifact_fraction": 0.05},
        {"activity_over_time": at(20, 25, 22)},
        {"activity_over_time": at(0, 1, 0, 2, 1)},
        {"activity_over_time": at(0, 0, 0)},
        {"activity_over_time": ()},
    ],
)
def test_what_is_not_odd_enough_is_not_told(changes):
    assert codes(with_measured(**changes)) == []


def test_lesser_oddities_are_not_told_of_an_unsortable_recording():
    verdict = InsufficientActivityError("noise", reason="noise_only")
    facts = replace(with_measured(flat_channels=("3",), mains_fraction=0.9), verdict=verdict)
    assert codes(facts) == [("noise_only", "fail")]


def test_volts_fail():
    verdict = InvalidConfigurationError(
        "volts", field="recording.gain_to_uv", value=None, reason="scale"
    )
    assert codes(replace(HEALTHY, verdict=verdict)) == [("units_suspicious", "fail")]


def test_the_quiet_start_of_a_real_signal_is_told_and_a_steady_one_has_none():
    late = measure_signal(make_state(STATES, "first 2 s quiet", 1))
    assert quiet_until_s(late) == pytest.approx(2.0, abs=0.6)
    steady = measure_signal(make_state(STATES, "uint16 around 32768", 1))
    assert quiet_until_s(steady) == 0.0


def test_a_long_list_of_channels_is_shortened():
    many = tuple(str(index) for index in range(30))
    (finding,) = run_preflight(with_measured(n_channels=64, dead_channels=many))
    assert finding.message.endswith("6, 7 and others).")


def kilosort4(kept_s, counts, **params):
    facts = with_measured(activity_over_time=at(*counts))
    config = SortingConfig.from_document({"sorter": {"sorter_params": params}})
    return replace(
        facts,
        backend=BACKENDS["kilosort4"],
        kept_s=kept_s,
        recorded_s=kept_s,
        sampling_rate_hz=30_000.0,
        config=config,
    )


def test_kilosort4_is_told_when_every_batch_it_learns_from_is_quiet():
    quiet = (0, 0, *(20,) * 18)
    (finding,) = run_preflight(kilosort4(20.0, quiet))
    assert "batch_size to 13200 or less" in finding.remediation
    (finding,) = run_preflight(kilosort4(20.0, quiet, batch_size=13_200))
    assert "batch_size" not in finding.remediation
    (finding,) = run_preflight(kilosort4(60.0, (0, 0, *(20,) * 58)))
    assert "batch_size" not in finding.remediation
