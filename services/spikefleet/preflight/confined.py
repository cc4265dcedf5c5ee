"""Where a confined process enters preflight: arguments and answers as JSON.

The service names these functions to its zygote and never imports this module, so that it starts at
once and no reader ever runs in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.rooms.preflight import ExamineTask
from spikefleet.core.submissions import Recording
from spikefleet.preflight.describe import describe_recording
from spikefleet.preflight.examine import examine_stream
from spikefleet.preflight.places import PreflightPlaces


def describe(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """List streams; see ``preflight.describe``."""
    recording = Recording.from_json(arguments["recording"])
    places = PreflightPlaces(**arguments["places"])
    list_members = bool(arguments["list_members"])
    return describe_recording(places, recording, list_members=list_members).to_json()


def examine(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Examine one stream; see ``preflight.examine``."""
    recording = Recording.from_json(arguments["recording"])
    config = SortingConfig.from_document(arguments["config"])
    task = ExamineTask(recording, str(arguments["stream"]), config)
    return examine_stream(PreflightPlaces(**arguments["places"]), task).to_json()
