"""A sorter's own parameters, wherever in the configuration they are."""

from __future__ import annotations

from typing import Any

from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.sorters.catalogue import RT_SORT


def own_params(config: SortingConfig) -> dict[str, Any]:
    """Return what the sorter is given; RT-Sort's group of settings first, then its parameters."""
    given = dict(config.sorter.sorter_params or {})
    if config.sorter.sorter_name != RT_SORT:
        return given
    group = config.rt_sort
    own: dict[str, Any] = {
        "probe": group.probe,
        "model_path": group.model_path,
        "device": group.device,
        "num_processes": group.num_processes,
        "recording_window_ms": group.recording_window_ms and list(group.recording_window_ms),
        "detection_window_s": group.detection_window_s,
        "keep_sequences": group.save_rt_sort_pickle,
        "verbose": group.verbose,
    }
    return {**own, **(group.params or {}), **given}
