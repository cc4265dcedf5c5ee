"""Flat names: which short name means which field, and the nearest name to a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache

from pydantic import BaseModel

RENAMED: Mapping[str, str] = {
    "sorter": "sorter.sorter_name",
    "kilosort_path": "sorter.sorter_path",
    "kilosort_params": "sorter.sorter_params",
    "waveforms_ms_before": "waveform.ms_before",
    "waveforms_ms_after": "waveform.ms_after",
    "compiled_waveforms_ms_before": "waveform.compiled_ms_before",
    "compiled_waveforms_ms_after": "waveform.compiled_ms_after",
    "figures_dpi": "figures.dpi",
    "figures_font_size": "figures.font_size",
    "all_templates_color_curated": "figures.templates_color_curated",
    "all_templates_color_failed": "figures.templates_color_failed",
    "all_templates_per_column": "figures.templates_per_column",
    "all_templates_y_spacing": "figures.templates_y_spacing",
    "all_templates_y_lim_buffer": "figures.templates_y_lim_buffer",
    "all_templates_window_ms_before_peak": "figures.templates_window_ms_before",
    "all_templates_window_ms_after_peak": "figures.templates_window_ms_after",
    "all_templates_line_ms_before_peak": "figures.templates_line_ms_before",
    "all_templates_line_ms_after_peak": "figures.templates_line_ms_after",
    "all_templates_x_label": "figures.templates_x_label",
    "rt_sort_model_path": "rt_sort.model_path",
    "rt_sort_probe": "rt_sort.probe",
    "rt_sort_device": "rt_sort.device",
    "rt_sort_num_processes": "rt_sort.num_processes",
    "rt_sort_recording_window_ms": "rt_sort.recording_window_ms",
    "rt_sort_save_pickle": "rt_sort.save_rt_sort_pickle",
    "rt_sort_verbose": "rt_sort.verbose",
    "rt_sort_params": "rt_sort.params",
    "rt_sort_detection_window_s": "rt_sort.detection_window_s",
}

# Fields that hold the sorter's own parameters: an override merges, and may name one entry.
MERGED = ("sorter.sorter_params", "rt_sort.params")


@cache
def dotted_names(model: type[BaseModel]) -> tuple[str, ...]:
    """Return every field of the configuration as ``group.field``."""
    names = []
    for group, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names += [f"{group}.{field}" for field in kind.model_fields]
    return tuple(names)


@cache
def flat_names(model: type[BaseModel]) -> Mapping[str, str]:
    """Map every flat name to its ``group.field``: unique field names, and the renamed ones."""
    seen: dict[str, list[str]] = {}
    for dotted in dotted_names(model):
        seen.setdefault(dotted.partition(".")[2], []).append(dotted)
    unique = {name: owners[0] for name, owners in seen.items() if len(owners) == 1}
    return {**unique, **RENAMED}


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name closest to ``name``, or "" when none is close."""
    found = get_close_matches(name.lower(), list(known), n=1, cutoff=0.65)
    return found[0] if found else ""


def locate(model: type[BaseModel], name: str) -> tuple[str, str]:
    """Return ``(group.field, entry)`` for a flat or dotted name; entry is "" for a whole field.

    ``sorter_params.batch_size`` names one entry of a parameter field. Raises KeyError
    for an unknown name.
    """
    flat, dotted = flat_names(model), dotted_names(model)
    if name in flat:
        return flat[name], ""
    if name in dotted:
        return name, ""
    for field in MERGED:
        for prefix in (field, field.partition(".")[2]):
            if name.startswith(f"{prefix}.") and flat.get(prefix, field) == field:
                return field, name[len(prefix) + 1 :]
    raise KeyError(name)
