"""What the recording's measurements add to a sorter's complaint.

A sorter that finds nothing says the same whether the tissue was silent, the cable loose, the gain
wrong or its own threshold too high. Preflight measured which; without measurements the complaint
stands as it is. Understood names, all optional: ``n_channels``, ``n_samples``, ``duration_s``,
``sampling_rate_hz``, ``flat_channels``, ``saturated_channels`` (counts or lists),
``nonfinite_samples``, ``noise_uv``, ``threshold_crossings``, ``distinct_locations``,
``sorter_params``, ``digest_verified``.
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
    noise_uv = measured.get("noise_uv")
    if channels and saturated * 2 >= channels:
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
    if isinstance(noise_uv, int | float) and 0 < noise_uv < _SMALLEST_NOISE_UV:
        return _changed(
            failure,
            FailureCode.INVALID_CONFIGURATION,
            "units",
            f"The noise measures {noise_uv:g} µV, which no amplifier has: the samples are not in "
            "the units the file claims. Set gain_to_uv.",
            field="recording.gain_to_uv",
            noise_uv=float(noise_uv),
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
    crossings = count(measured.get("threshold_crossings"))
    if crossings < _CLEAR_ACTIVITY_CROSSINGS:
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
    samples = measured.get("n_samples")
    if samples is None:
        told = _SAMPLES_IN_LOG.search(evidence.log_tail)
        samples = int(told[1]) if told else None
    params = measured.get("sorter_params")
    given = params.get("batch_size") if isinstance(params, Mapping) else None
    batch = count(given) or _KILOSORT4_BATCH
    known: dict[str, JsonValue] = {"n_samples": samples, "batch_size": batch}
    if measured.get("digest_verified") is True:
        known["digest_verified"] = True
    bad = count(measured.get("nonfinite_samples"))
    if bad:
        return _told(failure, "non_finite", f"{bad} samples are not numbers.", known)
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


def _told(failure: Failure, reason: str, message: str, known: Mapping[str, JsonValue]) -> Failure:
    evidence = {**failure.evidence, **known, "reason": reason}
    return replace(failure, message=message, rule_id=f"measured.{reason}", evidence=evidence)
