"""Settings that are accepted and recorded but have no effect yet, so that nobody relies on one.

One list: the published page and the schema mark them from it, preflight warns with it when one was
changed. A field leaves the list in the change that gives it its effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikefleet.core.config.sorting import SortingConfig

MARK = "Not in effect yet."
PENDING_GROUPS = frozenset({"rt_sort", "figures"})
PENDING_FIELDS = frozenset(
    {
        "waveform.compiled_ms_before",
        "waveform.compiled_ms_after",
        "waveform.scale_compiled_waveforms",
        "curation.curation_epoch",
        "compilation.compile_single_recording",
        "compilation.compile_to_mat",
        "compilation.compile_to_npz",
        "compilation.compile_waveforms",
        "compilation.save_electrodes",
        "execution.recompute_sorting",
        "execution.delete_inter",
        "execution.use_parallel_processing_for_raw_conversion",
        "execution.generate_sorting_report",
    }
)


def is_pending(group: str, field: str) -> bool:
    """True when the field has no effect yet."""
    return group in PENDING_GROUPS or f"{group}.{field}" in PENDING_FIELDS


def described(group: str, field: str, description: str) -> str:
    """Return a field's sentence with the mark, where it has no effect yet."""
    promises = not description.startswith("Accepted, no effect")
    return f"{MARK} {description}" if promises and is_pending(group, field) else description


def pending_changes(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names a resolved document changes although they have no effect yet."""
    changed = []
    for group, info in SortingConfig.model_fields.items():
        kind: Any = info.annotation
        given = config.get(group) or {}
        default = kind().model_dump(mode="json")
        changed += [
            f"{group}.{field}"
            for field, value in given.items()
            if is_pending(group, field) and field in default and value != default[field]
        ]
    return tuple(changed)
