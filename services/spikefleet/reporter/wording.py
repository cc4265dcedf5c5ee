"""Numbers, spans of time, sizes and events as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.failures.reading.logs import both_ends
from spikefleet.core.runs import RunState
from spikefleet.core.text import MISSING, format_size

_LINE_LONGEST = 300
_FEW_LINES = 3
_LINES_SHOWN = 10
_UNITS = {
    "s": "s",
    "ms": "ms",
    "hz": "Hz",
    "uv": "µV",
    "um": "µm",
    "percent": "%",
    "celsius": "°C",
    "seconds": "s",
    "bytes": "",
}


def format_number(value: Any) -> str:
    """Three significant digits without an exponent where that stays readable; – when unknown."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return MISSING
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}".replace(",", " ")
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    if 0.999 < abs(value) < 1:  # nearly all is not all
        return f"{value:.6g}"
    return f"{value:.3g}" if abs(value) >= 1e-4 else f"{value:.1e}"


def format_value(value: Any) -> str:
    """Any value of a configuration or of evidence, in one short line: its start and its end."""
    if value is None or value == "":
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return format_number(value)
    if isinstance(value, Mapping):
        text = ", ".join(f"{key} {format_value(entry)}" for key, entry in value.items())
    elif isinstance(value, (list, tuple)):
        text = ", ".join(format_value(entry) for entry in value)
    else:
        text = str(value)
    return both_ends(text, _LINE_LONGEST)


def text_lines(value: Any) -> list[str]:
    """The lines of a value that is a longer text (a log's tail, a traceback); else none."""
    if isinstance(value, str):
        lines = value.splitlines()
    elif isinstance(value, (list, tuple)) and all(isinstance(line, str) for line in value):
        lines = [part for line in value for part in line.splitlines()]
    else:
        return []
    is_long = len(lines) > 1 and (len(lines) > _FEW_LINES or sum(map(len, lines)) > _LINE_LONGEST)
    return lines if is_long or (lines and len(lines[0]) > _LINE_LONGEST) else []


def last_text_lines(value: Any) -> str:
    """The end of a longer text, where tracebacks and logs say what happened."""
    lines = text_lines(value)
    left_out = len(lines) - _LINES_SHOWN
    shown = [line if len(line) <= 400 else f"… {line[-398:]}" for line in lines[-_LINES_SHOWN:]]
    return "\n".join([f"… {left_out} lines before", *shown] if left_out > 0 else shown)


def format_name(name: Any) -> str:
    """A field's name with its unit in brackets: noise_uv is "noise (µV)"."""
    text = str(name).replace(".", " ").removesuffix("_ratio").removesuffix("_fraction")
    stem, _, suffix = text.rpartition("_")
    if stem and suffix in _UNITS:
        unit = _UNITS[suffix]
        return stem.replace("_", " ") + (f" ({unit})" if unit else "")
    return text.replace("_", " ")


def format_fact(name: Any, value: Any) -> str:
    """A value in the unit its name announces."""
    if str(name).endswith("_bytes"):
        return format_size(value)
    if str(name).endswith(("_ratio", "_fraction")) and _is_number(value):
        return f"{format_number(100 * value)} %"
    return format_value(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def pick_peaks(peaks: Mapping[str, Any]) -> dict[str, Any]:
    """The readings that say something of this run: neither limits nor sizes of the machine."""
    fixed = ("limit_bytes", "total_bytes", "timeout_seconds")
    return {name: value for name, value in sorted(peaks.items()) if not name.endswith(fixed)}


def state_word(state: Any) -> str:
    """A state of a run or attempt in the one vocabulary of ``Run.outcome``."""
    return str(RunStatus.SUCCESS) if state == RunState.SUCCEEDED else str(state)


def describe_event(event: Mapping[str, Any]) -> str:
    """One line of a run's history: what happened, by which rule, on what evidence."""
    body = event.get("body") or {}
    words = [str(event.get("kind") or "event").replace(".", " ").replace("_", " ")]
    if event.get("to_state"):
        words.append(f"→ {state_word(event['to_state'])}")
    if words[0].startswith("attempt") and body.get("stage"):
        number = body.get("number")
        words[0] = f"{body['stage']} {words[0]}" + (f" (number {number})" if number != 1 else "")
        body = {key: value for key, value in body.items() if key not in ("stage", "number")}
    details = [
        format_value(body[key]).rstrip(".")
        for key in ("stage", "number", "action", "reason", "message")
        if body.get(key) not in (None, "", {})
    ]
    if body.get("changes"):
        details.append(f"changed: {format_value(body['changes'])}")
    if body.get("result_affecting"):
        details.append("spikes can differ by this")
    if body.get("canary"):
        details.append(f"trial {body['canary'].get('state')}")
    rule = body.get("rule_id")
    if rule:
        details.append(f"rule {rule}")
    return " ".join(words) + (f": {', '.join(details)}" if details else "")
