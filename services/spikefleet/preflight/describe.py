"""Describes a recording from its headers: its streams, and the recordings in a folder of several.

Runs in a confined process and answers in plain data; what is wrong with a recording is an answer.
"""

from __future__ import annotations

from pathlib import Path

from spikefleet.core.failures.errors import Failure, SpikeSortingClassifiedError
from spikefleet.core.recording.file_sets import recording_files
from spikefleet.core.rooms.preflight import Description, Member
from spikefleet.core.submissions import Recording
from spikefleet.preflight.places import PreflightPlaces
from spikefleet.preflight.recording_paths import located_parts
from spikefleet.signal.open import list_streams
from spikefleet.signal.preparing.concatenate import describe_concatenated, members_of


def describe_recording(
    places: PreflightPlaces, recording: Recording, *, list_members: bool = False
) -> Description:
    """List a recording's streams from its header; of a joined one, those of its parts together.

    With ``list_members`` a folder that stands for several recordings is answered with those.
    """
    try:
        with located_parts(places, recording) as named:
            if recording.parts:
                return Description(describe_concatenated(named))
            (path,) = named.values()
            members = _members(path) if list_members else ()
            if members:
                return Description(members=members)
            return Description(list_streams(path))
    except SpikeSortingClassifiedError as error:
        return Description(
            failure=Failure.from_error(error, stage="preflight", rule_id="preflight.readable")
        )


def _members(folder: Path) -> tuple[Member, ...]:
    found = []
    for path in members_of(folder):
        _, files, _ = recording_files(path)
        inside = (file for file in files if file.is_relative_to(folder))
        paths = tuple(file.relative_to(folder).as_posix() for file in inside)
        found.append(Member(path.relative_to(folder).as_posix(), paths))
    return tuple(found)
