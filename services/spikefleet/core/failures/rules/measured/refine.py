"""What the recording's measurements add to a sorter's complaint.

A sorter that finds nothing says the same whether the tissue was silent, the cable loose, the gain
wrong or its own threshold too high. Preflight measured which; without measurements the complaint
stands as it is. Understood names, all optional, are those of preflight's signal measurements:
``n_channels``, ``duration_s``, ``sampling_rate_hz``, ``flat_channels``, ``saturated_channels``
(counts or lists), ``rail_fraction``, ``silent_fraction``, ``first_non_finite_s``,
``median_noise_uv``, ``median_peak_to_peak_uv``, ``scale``, ``n_crossings``, ``n_crossings_noise``,
``activity_over_time``; and beside them ``n_samples``, ``distinct_locations``, ``sorter_params`` and
``digest_verified``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.failures.evidence import JsonValue
from spikefleet.core.failures.rules.base import OUR_MISTAKE, Evidence
from spikefleet.core.failures.rules.measured.kilosort2 import weigh
from spikefleet.core.failures.rules.measured.kilosort4 import (
    batch_samples,
    harder_setting,
    number,
    why_still_nothing,
)

# Real amplifiers have at least a microvolt of noise; volts read as microvolts show a millionth.
_SMALLEST_NOISE_UV = 0.05
# Gaussian noise spans ten deviations within seconds; the last bits of a converter about one.
_FEWEST_NOISE_SPANS = 4.0
_CLEAR_ACTIVITY_CROSSINGS = 100
_CLEAR_ACTIVITY_OVER_NOISE = 10
_RAIL_LIMIT = 0.5
_SAMPLES_IN_LOG = re.compile(r"N samples: (\d{1,15})")


def count(value: Any) -> int:
    """Return a count given as a number or as a list of what was counted; else 0."""
    found = number(value)
    if found is not None:
        return int(found)
    return len(value) if isinstance(value, list | tuple) else 0


def refine(failure: Failure, evidence: Evidence) -> Failure:
    """Return the failure as the measurements tell it; unchanged when they add nothing."""
    if failure.rule_id == OUR_MISTAKE:
        return failure
    measured = dict(evidence.preflight)
    failure = weigh(failure, evidence, measured)
    learned_from_nothing = (
        failure.code is FailureCode.PARAMETER_SENSITIVE
        and failure.evidence.get("parameter") == "batch_size"
    )
    if failure.code is FailureCode.INSUFFICIENT_ACTIVITY or learned_from_nothing:
        return _why_nothing_was_found(_with_settings(failure, measured), measured)
    if failure.code is FailureCode.UNCLASSIFIED:
        return _unfit_signal(failure, measured) or failure
    if failure.rule_id == "kilosort4.not_finite":
        known = replace(evidence, preflight=measured)
        return _why_not_finite(_with_settings(failure, measured), known)
    if failure.rule_id == "linear_algebra.no_convergence":
        first_s = number(measured.get("first_non_finite_s"))
        return failure if first_s is None else _not_numbers(failure, first_s)
    return failure


def _with_settings(failure: Failure, measured: Mapping[str, Any]) -> Failure:
    params = measured.get("sorter_params")
    if not isinstance(params, Mapping) or not params:
        return failure
    return replace(failure, evidence={**failure.evidence, "sorter_params": dict(params)})


def _changed(
    failure: Failure, code: FailureCode, rule: str, message: str, **found: JsonValue
) -> Failure:
    before: dict[str, JsonValue] = {
        "refined_from": str(failure.code),
        "refined_rule": failure.rule_id,
    }
    return failure.becomes(code, f"measured.{rule}", message, **before, **found)


def _not_numbers(failure: Failure, first_s: float) -> Failure:
    return _changed(
        failure,
        FailureCode.INPUT_CORRUPT,
        "non_finite",
        f"The recording holds samples that are not numbers, first at {first_s:g} s.",
        reason="non_finite",
        first_at_s=first_s,
    )


def _why_nothing_was_found(failure: Failure, measured: Mapping[str, Any]) -> Failure:
    found = _unfit_signal(failure, measured, but_noise=True) or _wrong_settings(failure, measured)
    return found or _active_all_the_same(failure, measured)


def _unfit_signal(
    failure: Failure, measured: Mapping[str, Any], *, but_noise: bool = False
) -> Failure | None:
    """What preflight's numbers prove of the signal alone: the last rung for an unknown failure."""
    first_s = number(measured.get("first_non_finite_s"))
    if first_s is not None:
        return _not_numbers(failure, first_s)
    if number(measured.get("silent_fraction")) == 1.0:
        # Digital zero throughout: nothing was recorded, whatever was connected.
        return _quiet(failure, "silent", "Every sample is digital zero: nothing was recorded.")
    found = _wrong_signal(failure, measured)
    crossings = number(measured.get("n_crossings"))
    if found is not None or but_noise or crossings is None:
        return found
    is_noise = crossings <= count(measured.get("n_crossings_noise")) and not measured.get(
        "activity"
    )
    return _noise_only(failure, int(crossings)) if is_noise else None


def _noise_only(failure: Failure, crossings: int) -> Failure:
    message = f"{crossings} threshold crossings are no more than noise gives."
    return _quiet(failure, "noise_only", message, threshold_crossings=crossings)


def _quiet(failure: Failure, reason: str, message: str, **found: JsonValue) -> Failure:
    """Return the same failure with what kind of silence it is."""
    if failure.code is not FailureCode.INSUFFICIENT_ACTIVITY:
        code = FailureCode.INSUFFICIENT_ACTIVITY
        return _changed(failure, code, reason, message, reason=reason, **found)
    evidence = {**failure.evidence, **found, "reason": reason, "refined_rule": failure.rule_id}
    return replace(failure, message=message, rule_id=f"measured.{reason}", evidence=evidence)


def _wrong_signal(failure: Failure, measured: Mapping[str, Any]) -> Failure | None:
    channels = count(measured.get("n_channels"))
    flat = count(measured.get("flat_channels"))
    saturated = count(measured.get("saturated_channels"))
    noise_uv = number(measured.get("median_noise_uv"))
    if (number(measured.get("rail_fraction")) or 0.0) >= _RAIL_LIMIT or (
        channels and saturated * 2 >= channels
    ):
        return _changed(
            failure,
            FailureCode.SATURATED_SIGNAL,
            "saturated",
            f"{saturated} of {channels} channels sat at the amplifier's rail.",
            channels_saturated=saturated,
            total_channels=channels,
        )
    if channels and flat + saturated >= channels:
        return _changed(
            failure,
            FailureCode.NO_GOOD_CHANNELS,
            "flat",
            f"All {channels} channels are flat: nothing was connected.",
            bad_channels=flat,
            total_channels=channels,
        )
    if measured.get("scale") == "volts" or (noise_uv and 0 < noise_uv < _SMALLEST_NOISE_UV):
        return _changed(
            failure,
            FailureCode.INVALID_CONFIGURATION,
            "units",
            "The noise is smaller than any amplifier's: the samples are not in the units the file "
            "claims. Set gain_to_uv.",
            field="recording.gain_to_uv",
            noise_uv=noise_uv,
        )
    span_uv = number(measured.get("median_peak_to_peak_uv"))
    if noise_uv and span_uv and span_uv < _FEWEST_NOISE_SPANS * noise_uv:
        return _quiet(
            failure,
            "last_bits",
            "Only the converter's last bits move: the amplifier delivered no signal.",
            peak_to_peak_uv=span_uv,
        )
    return None


def _wrong_settings(failure: Failure, measured: Mapping[str, Any]) -> Failure | None:
    channels = count(measured.get("n_channels"))
    if channels > 1 and count(measured.get("distinct_locations")) == 1:
        return _changed(
            failure,
            FailureCode.INVALID_CONFIGURATION,
            "probe",
            f"All {channels} electrodes are said to be at one place; give the probe's real map.",
            field="recording",
            distinct_locations=1,
        )
    params = measured.get("sorter_params")
    excluded = params.get("bad_channels") if isinstance(params, Mapping) else None
    if channels > 1 and isinstance(excluded, list) and len(excluded) >= channels - 1:
        return _changed(
            failure,
            FailureCode.INVALID_CONFIGURATION,
            "channels_excluded",
            f"{len(excluded)} of {channels} channels were excluded by bad_channels.",
            field="sorter.sorter_params.bad_channels",
            total_channels=channels,
        )
    return None


def _active_all_the_same(failure: Failure, measured: Mapping[str, Any]) -> Failure:
    crossings = number(measured.get("n_crossings"))
    if crossings is None:
        return failure
    of_noise = count(measured.get("n_crossings_noise"))
    told = int(crossings)
    if told < max(_CLEAR_ACTIVITY_CROSSINGS, _CLEAR_ACTIVITY_OVER_NOISE * of_noise):
        if told > of_noise or failure.code is not FailureCode.INSUFFICIENT_ACTIVITY:
            return failure
        return _noise_only(failure, told)
    given = harder_setting(failure, measured.get("sorter_params"))
    if given:
        return _changed(
            failure,
            FailureCode.INVALID_CONFIGURATION,
            "thresholds",
            f"The recording is active ({told} threshold crossings), but the sorter found "
            f"nothing with the {', '.join(given)} it was given.",
            field=f"sorter.sorter_params.{given[0]}",
            threshold_crossings=told,
        )
    rule, parameter, message = why_still_nothing(failure, measured)
    return _changed(
        failure,
        FailureCode.PARAMETER_SENSITIVE,
        rule,
        f"The recording is active ({told} threshold crossings), {message}",
        parameter=parameter,
        threshold_crossings=told,
    )


def _why_not_finite(failure: Failure, evidence: Evidence) -> Failure:
    measured = evidence.preflight
    samples = _n_samples(measured)
    if samples is None:
        told = _SAMPLES_IN_LOG.search(evidence.log_tail) or _SAMPLES_IN_LOG.search(
            evidence.log_head
        )
        samples = int(told[1]) if told else None
    params = measured.get("sorter_params")
    batch = batch_samples(params)
    known: dict[str, JsonValue] = {"n_samples": samples, "batch_size": batch}
    if measured.get("digest_verified") is True:
        known["digest_verified"] = True
    first_s = number(measured.get("first_non_finite_s"))
    if first_s is not None:
        message = f"The recording holds samples that are not numbers, first at {first_s:g} s."
        return _told(failure, "non_finite", message, known)
    tmin_s = number(params.get("tmin")) if isinstance(params, Mapping) else None
    duration_s = number(measured.get("duration_s"))
    if tmin_s and duration_s is not None and tmin_s >= duration_s:
        return _changed(
            failure,
            FailureCode.INVALID_CONFIGURATION,
            "window",
            f"The window begins at {tmin_s:g} s, and the recording ends at {duration_s:g} s.",
            field="sorter.sorter_params.tmin",
            **known,
        )
    if samples == 0:
        return _told(failure, "empty", "The recording or the chosen window is empty.", known)
    if samples is not None and samples < batch and batch != batch_samples({}):
        return _changed(
            failure,
            FailureCode.INVALID_CONFIGURATION,
            "batch_size",
            f"The recording's {samples} samples are fewer than one batch of {batch}.",
            field="sorter.sorter_params.batch_size",
            value=batch,
            **known,
        )
    if samples is not None and samples < batch:
        message = f"The recording is too short: {samples} samples, and one batch is {batch}."
        return _told(failure, "too_short", message, known)
    return replace(failure, evidence={**failure.evidence, **known})


def _n_samples(measured: Mapping[str, Any]) -> int | None:
    samples = number(measured.get("n_samples"))
    if samples is not None:
        return int(samples)
    duration_s = number(measured.get("duration_s"))
    rate_hz = number(measured.get("sampling_rate_hz"))
    return None if duration_s is None or rate_hz is None else round(duration_s * rate_hz)


def _told(failure: Failure, reason: str, message: str, known: Mapping[str, JsonValue]) -> Failure:
    evidence = {**failure.evidence, **known, "reason": reason}
    return replace(failure, message=message, rule_id=f"measured.{reason}", evidence=evidence)
