"""What the recording's measurements add to a sorter's complaint.

A sorter that finds nothing says the same whether the tissue was silent, the cable loose, the gain
wrong or its own threshold too high. Preflight measured which; without measurements the complaint
stands as it is. Understood names, all optional, are those of preflight's signal measurements:
``n_channels``, ``duration_s``, ``sampling_rate_hz``, ``flat_channels``, ``saturated_channels``
(counts or lists), ``rail_fraction``, ``silent_fraction``, ``first_non_finite_s``,
``median_noise_uv``, ``scale``, ``n_crossings``, ``n_crossings_noise``; and beside them
``n_samples``, ``distinct_locations``, ``sorter_params`` and ``digest_verified``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure, JsonValue
from spikefleet.core.failures.rules_base import Evidence

# Real amplifiers have at least a microvolt of noise; volts read as microvolts show a millionth.
_SMALLEST_NOISE_UV = 0.05
_CLEAR_ACTIVITY_CROSSINGS = 100
_CLEAR_ACTIVITY_OVER_NOISE = 10
_RAIL_LIMIT = 0.5
_KILOSORT4_BATCH = 60000
_DETECTION_PARAMS = (
    "Th_universal",
    "Th_learned",
    "Th_single_ch",
    "artifact_threshold",
    "n_templates",
    "detect_threshold",
    "projection_threshold",
)
_SAMPLES_IN_LOG = re.compile(r"N samples: (\d+)")


def count(value: Any) -> int:
    """Return a count given as a number or as a list of what was counted; else 0."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return int(value)
    return len(value) if isinstance(value, list | tuple) else 0


def refine(failure: Failure, evidence: Evidence) -> Failure:
    """Return the failure as the measurements tell it; unchanged when they add nothing."""
    if failure.code is FailureCode.INSUFFICIENT_ACTIVITY:
        return _why_nothing_was_found(failure, evidence.preflight)
    if failure.rule_id == "kilosort4.not_finite":
        return _why_not_finite(failure, evidence)
    return failure


def _changed(
    failure: Failure, code: FailureCode, rule: str, message: str, **found: JsonValue
) -> Failure:
    kept = {**failure.evidence, "refined_from": str(failure.code), "refined_rule": failure.rule_id}
    return replace(
        failure,
        code=code,
        rule_id=f"measured.{rule}",
        message=message,
        evidence={**kept, **found},
    )


def _why_nothing_was_found(failure: Failure, measured: Mapping[str, Any]) -> Failure:
    channels = count(measured.get("n_channels"))
    flat = count(measured.get("flat_channels"))
    saturated = count(measured.get("saturated_channels"))
    noise_uv = measured.get("median_noise_uv")
    rail = measured.get("rail_fraction")
    if measured.get("silent_fraction") == 1.0:
        return failure  # digital zero throughout: nothing was recorded, whatever was connected
    at_rail = isinstance(rail, int | float) and rail >= _RAIL_LIMIT
    if at_rail or (channels and saturated * 2 >= channels):
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
    tiny = isinstance(noise_uv, int | float) and 0 < noise_uv < _SMALLEST_NOISE_UV
    if tiny or measured.get("scale") == "volts":
        return _changed(
            failure,
            FailureCode.INVALID_CONFIGURATION,
            "units",
            "The noise is smaller than any amplifier's: the samples are not in the units the file "
            "claims. Set gain_to_uv.",
            field="recording.gain_to_uv",
            noise_uv=noise_uv,
        )
    if channels > 1 and count(measured.get("distinct_locations")) == 1:
        return _changed(
            failure,
            FailureCode.INVALID_CONFIGURATION,
            "probe",
            f"All {channels} electrodes are said to be at one place; give the probe's real map.",
            field="recording",
            distinct_locations=1,
        )
    return _active_all_the_same(failure, measured)


def _active_all_the_same(failure: Failure, measured: Mapping[str, Any]) -> Failure:
    crossings = count(measured.get("n_crossings"))
    of_noise = count(measured.get("n_crossings_noise"))
    if crossings < max(_CLEAR_ACTIVITY_CROSSINGS, _CLEAR_ACTIVITY_OVER_NOISE * of_noise):
        return failure
    params = measured.get("sorter_params")
    given = [name for name in _DETECTION_PARAMS if isinstance(params, Mapping) and name in params]
    told = ", ".join(given)
    if given:
        return _changed(
            failure,
            FailureCode.INVALID_CONFIGURATION,
            "thresholds",
            f"The recording is active ({crossings} threshold crossings), but the sorter found "
            f"nothing with the {told} it was given.",
            field=f"sorter.sorter_params.{given[0]}",
            threshold_crossings=crossings,
        )
    return _changed(
        failure,
        FailureCode.PARAMETER_SENSITIVE,
        "quiet_window",
        f"The recording is active ({crossings} threshold crossings), but not in the moments the "
        "sorter learns its templates from.",
        parameter="batch_size",
        threshold_crossings=crossings,
    )


def _why_not_finite(failure: Failure, evidence: Evidence) -> Failure:
    measured = evidence.preflight
    samples = _n_samples(measured)
    if samples is None:
        told = _SAMPLES_IN_LOG.search(evidence.log_tail)
        samples = int(told[1]) if told else None
    params = measured.get("sorter_params")
    given = params.get("batch_size") if isinstance(params, Mapping) else None
    batch = count(given) or _KILOSORT4_BATCH
    known: dict[str, JsonValue] = {"n_samples": samples, "batch_size": batch}
    if measured.get("digest_verified") is True:
        known["digest_verified"] = True
    first_s = measured.get("first_non_finite_s")
    if first_s is not None:
        message = f"The recording holds samples that are not numbers, first at {first_s:g} s."
        return _told(failure, "non_finite", message, known)
    if samples == 0:
        return _told(failure, "empty", "The recording or the chosen window is empty.", known)
    if samples is not None and samples < batch and given:
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
    samples = measured.get("n_samples")
    if isinstance(samples, int | float):
        return int(samples)
    duration_s, rate_hz = measured.get("duration_s"), measured.get("sampling_rate_hz")
    if isinstance(duration_s, int | float) and isinstance(rate_hz, int | float):
        return round(duration_s * rate_hz)
    return None


def _told(failure: Failure, reason: str, message: str, known: Mapping[str, JsonValue]) -> Failure:
    evidence = {**failure.evidence, **known, "reason": reason}
    return replace(failure, message=message, rule_id=f"measured.{reason}", evidence=evidence)
