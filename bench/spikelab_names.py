"""Names that SpikeInterface has given up and SpikeLab still uses."""

from __future__ import annotations

from typing import Any

import spikeinterface.extractors as extractors
from spikeinterface.core import BaseRecording


def accept_return_scaled() -> None:
    """``get_traces`` takes the old name of ``return_in_uV``."""
    get_traces = BaseRecording.get_traces

    def accepting(self: Any, *args: Any, return_scaled: bool = False, **kwargs: Any) -> Any:
        return get_traces(self, *args, return_in_uV=return_scaled, **kwargs)

    BaseRecording.get_traces = accepting


def name_readers() -> None:
    """Two readers that RT-Sort imports, and uses for its own paths alone."""
    for name in ("MaxwellRecordingExtractor", "NwbRecordingExtractor"):
        if not hasattr(extractors, name):
            setattr(extractors, name, type(name, (), {}))
