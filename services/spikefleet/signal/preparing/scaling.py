"""What the configuration says about microvolts and the electrode map, laid over a recording.

Works on views and touches no samples: the caller's recording stays as it was.
"""

from __future__ import annotations

import numpy as np
from probeinterface import Probe, ProbeGroup
from spikeinterface.core import BaseRecording

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.failures.errors import InvalidConfigurationError


def with_scaling(recording: BaseRecording, config: RecordingConfig) -> BaseRecording:
    """Apply the configured gain and offset, on a view: the caller's recording stays as it was.

    Raises InvalidConfigurationError naming the field whose values do not fit the channels.
    """
    if config.gain_to_uv is None and config.offset_to_uv is None:
        return recording
    view = recording.select_channels(recording.channel_ids)
    for name, value, setter in (
        ("gain_to_uv", config.gain_to_uv, view.set_channel_gains),
        ("offset_to_uv", config.offset_to_uv, view.set_channel_offsets),
    ):
        if value is None:
            continue
        values = np.atleast_1d(np.asarray(value, dtype=np.float64))
        if values.size not in (1, view.get_num_channels()):
            raise InvalidConfigurationError(
                f"recording.{name} has {values.size} values for {view.get_num_channels()} "
                "channels; give one, or one per channel.",
                field=f"recording.{name}",
                value=values.size,
            )
        setter(np.broadcast_to(values, view.get_num_channels()).copy())
        view.annotate(gain_assumed=False)
    return view


def with_flipped_map(recording: BaseRecording, mea_y_max: float | None) -> BaseRecording:
    """Turn the electrode map upside down: y becomes ``mea_y_max`` (-1: the largest y) minus y."""
    if mea_y_max is None:
        return recording
    view = recording.select_channels(recording.channel_ids)
    flipped = ProbeGroup()
    for probe in view.get_probegroup().probes:
        document = probe.to_dict(array_as_list=False)
        positions_um = np.array(document["contact_positions"], dtype=np.float64)
        top_um = positions_um[:, 1].max() if mea_y_max == -1 else mea_y_max
        positions_um[:, 1] = top_um - positions_um[:, 1]
        document["contact_positions"] = positions_um
        document.pop("probe_planar_contour", None)
        flipped.add_probe(Probe.from_dict(document))
    view.set_probegroup(flipped)
    return view
