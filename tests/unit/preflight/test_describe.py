"""Streams of joined recordings, and the recordings in a folder of several."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.recordings import make_recording

from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.recording.file_sets import recording_files
from spikefleet.core.rooms.preflight import ExamineTask, Member
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName, join_recordings
from spikefleet.preflight.describe import describe_recording
from spikefleet.preflight.examine import examine_stream
from spikefleet.preflight.places import PreflightPlaces


@pytest.fixture
def places(tmp_path: Path) -> PreflightPlaces:
    return PreflightPlaces(f"file://{tmp_path}/artifacts", str(tmp_path / "scratch"))


def register(path: Path) -> Recording:
    root, paths, entry = recording_files(path)
    files = tuple(ManifestFile(p.relative_to(root).as_posix(), p.stat().st_size, "") for p in paths)
    name = RecordingName("lab", "day", path.name)
    return Recording(f"rec-{path}", name, files, str(path), str(root), in_place=True, entry=entry)


def test_members_of_a_folder_are_told_on_request_with_their_files(places, tmp_path) -> None:
    night = tmp_path / "night"
    for name in ("take10", "take9"):
        make_recording(night, "maxwell", seconds=1.0, channels=4, units=1, name=name)
    answer = describe_recording(places, register(night), list_members=True)
    assert answer.failure is None
    assert answer.members == (
        Member("take9.raw.h5", ("take9.raw.h5",)),
        Member("take10.raw.h5", ("take10.raw.h5",)),
    )
    unasked = describe_recording(places, register(night))
    assert unasked.members == ()
    assert unasked.failure is not None


def test_a_recording_of_its_own_has_streams_and_no_members(places, tmp_path) -> None:
    plate = make_recording(tmp_path, "maxwell", seconds=1.0, channels=4, wells=2).path
    answer = describe_recording(places, register(plate), list_members=True)
    assert answer.members == ()
    assert answer.description is not None
    assert [stream.stream for stream in answer.description.streams] == ["well000", "well001"]


def test_parts_are_examined_together(places, tmp_path) -> None:
    parts = [
        register(make_recording(tmp_path / name, seconds=seconds, name=name).path)
        for name, seconds in (("a", 4.0), ("b", 6.0))
    ]
    joined = join_recordings(parts)
    answer = describe_recording(places, joined)
    assert answer.description is not None
    assert answer.description.streams[0].duration_s == pytest.approx(10.0)
    examined = examine_stream(places, ExamineTask(joined, "", SortingConfig()))
    assert examined.failure is None
    assert examined.stream is not None
    assert examined.stream.duration_s == pytest.approx(10.0)


def test_a_part_that_changed_since_is_named(places, tmp_path) -> None:
    parts = [register(make_recording(tmp_path / name, name=name).path) for name in "ab"]
    longer = replace(parts[1].files[0], size_bytes=10**9)
    parts[1] = replace(parts[1], files=(longer, *parts[1].files[1:]))
    answer = describe_recording(places, join_recordings(parts))
    assert answer.failure is not None
    assert answer.failure.code is FailureCode.INPUT_CORRUPT
    assert answer.failure.evidence["reason"] == "size_changed"
    assert str(tmp_path / "b") in str(answer.failure.evidence["path"])
