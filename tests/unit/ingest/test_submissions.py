"""What a submission does when the look at its recording does not go well."""

from dataclasses import dataclass, field, replace

import pytest

from spikefleet.client.rooms import BatchAnswer, BatchTask, DescribeAnswer
from spikefleet.core.recordings.description import StreamDescription
from spikefleet.core.submissions import (
    ManifestFile,
    Recording,
    RecordingName,
    Submission,
    digest_manifest,
)
from spikefleet.infra.rpc.errors import RpcProblem, ServiceError, ServiceUnreachable
from spikefleet.infra.stores.database import Database
from spikefleet.infra.stores.recordings import RecordingStore
from spikefleet.ingest.submissions import SubmissionIntake

PLATE = DescribeAnswer(
    "maxwell", tuple(StreamDescription(f"well{i:03d}", 4, 2e4, 1.0, "uint16") for i in range(2))
)
RECORDING = Recording("rec-1", RecordingName("a", "b", "c"), (), "d" * 64, "/x", in_place=True)


@dataclass
class Room:
    """A preflight room that answers from a list, and a controller that keeps what it is asked."""

    answers: list[DescribeAnswer | ServiceError]
    tasks: list[BatchTask] = field(default_factory=list)

    def describe(self, recording: Recording, *, list_members: bool = False) -> DescribeAnswer:
        answer = self.answers.pop(0)
        if isinstance(answer, ServiceError):
            raise answer
        return answer

    def create_batch(self, task: BatchTask) -> BatchAnswer:
        self.tasks.append(task)
        return BatchAnswer("batch-1", (), "")


@pytest.fixture
def recordings(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    database.migrate()
    store = RecordingStore(database)
    store.add(RECORDING)
    yield store
    database.close()


def _submit(recordings, *answers, ids=("rec-1",)) -> Room:
    room = Room(list(answers))
    SubmissionIntake(recordings, room, room).submit(Submission(ids))
    return room


DIED = ServiceError("WORKER_DIED", "the worker died")


def test_a_look_that_broke_once_is_repeated_and_no_stream_is_dropped(recordings) -> None:
    room = _submit(recordings, DIED, PLATE)
    assert [stream for _, stream in room.tasks[0].runs] == ["well000", "well001"]


def test_a_look_that_keeps_breaking_leaves_the_verdict_to_the_run(recordings) -> None:
    room = _submit(recordings, DIED, DIED)
    assert room.tasks[0].runs == (("rec-1", ""),)


@pytest.mark.parametrize(
    "error",
    [ServiceUnreachable("UNREACHABLE", "away"), ServiceError("DEADLINE_EXCEEDED", "too slow")],
)
def test_a_room_that_is_away_or_slow_starts_nothing(recordings, error) -> None:
    with pytest.raises(ServiceError):
        _submit(recordings, error)


def test_a_recording_named_twice_is_sorted_once(recordings) -> None:
    room = _submit(recordings, PLATE, PLATE, ids=("rec-1", "rec-1"))
    assert len(room.tasks[0].runs) == 2


def test_the_configuration_that_travels_is_complete(recordings) -> None:
    config = _submit(recordings, PLATE).tasks[0].config
    assert config["sorter"]["sorter_name"] == "kilosort4"
    assert set(config) >= {"recording", "sorter", "waveform", "curation", "execution"}


def _part(name: str) -> Recording:
    files = (ManifestFile(f"{name}.h5", 1, name),)
    return Recording(
        f"rec-{name}", RecordingName("a", "b", name), files, digest_manifest(files), "/x", True
    )


def _joined(recordings, *answers, ids=("rec-p", "rec-q"), streams=()) -> Room:
    for name in "pq":
        recordings.add(_part(name))
    room = Room(list(answers))
    intake = SubmissionIntake(recordings, room, room)
    intake.submit(Submission(ids, streams=streams, concatenate=True))
    return room


def test_recordings_to_concatenate_become_one_run_per_stream(recordings) -> None:
    room = _joined(recordings, PLATE)
    ((first, _), (second, _)) = room.tasks[0].runs
    assert first == second
    assert [part.recording_id for part in recordings.get(first).parts] == ["rec-p", "rec-q"]
    assert [stream for _, stream in room.tasks[0].runs] == ["well000", "well001"]
    assert _joined(recordings, PLATE).tasks[0].runs == room.tasks[0].runs
    turned = _joined(recordings, PLATE, ids=("rec-q", "rec-p"))
    assert turned.tasks[0].runs[0][0] != first


BAD = StreamDescription("well001", 0, 0.0, 0.0, "", problem="q differs from p: 6 channels, not 4.")


def test_one_well_that_cannot_be_joined_hides_no_other(recordings) -> None:
    one_bad = DescribeAnswer("maxwell", (PLATE.streams[0], BAD))
    room = _joined(recordings, one_bad)
    assert [stream for _, stream in room.tasks[0].runs] == ["well000", "well001"]
    with pytest.raises(RpcProblem, match="q differs from p") as caught:
        _joined(recordings, one_bad, streams=("well001",))
    assert caught.value.reason == "RECORDINGS_DIFFER"


def test_one_recording_twice_is_refused(recordings) -> None:
    with pytest.raises(RpcProblem, match="listed twice"):
        _joined(recordings, ids=("rec-p", "rec-p"))


def test_a_folder_of_several_stands_for_them_in_order(recordings) -> None:
    files = tuple(ManifestFile(f"{name}/data.bin", 1, name) for name in ("r9", "r10"))
    folder = replace(_part("night"), files=files, digest=digest_manifest(files), stamps=("9", "10"))
    recordings.add(folder)
    members = tuple((name, (f"{name}/data.bin",)) for name in ("r9", "r10"))
    room = _joined(recordings, DescribeAnswer("", (), members=members), PLATE, ids=("rec-night",))
    joined = recordings.get(room.tasks[0].runs[0][0])
    assert [part.name.name for part in joined.parts] == ["r9", "r10"]
    assert [part.entry for part in joined.parts] == ["r9", "r10"]
    assert [part.location for part in joined.parts] == ["/x", "/x"]
    assert [part.stamps for part in joined.parts] == [("9",), ("10",)]
    assert [[file.path for file in part.files] for part in joined.parts] == [
        ["r9/data.bin"],
        ["r10/data.bin"],
    ]


def test_one_recording_alone_is_sorted_as_itself(recordings) -> None:
    assert _joined(recordings, PLATE, ids=("rec-p",)).tasks[0].runs[0][0] == "rec-p"


def test_the_stream_of_the_configuration_is_the_one_that_is_sorted(recordings) -> None:
    room = Room([PLATE])
    wanted = Submission(("rec-1",), overrides={"stream_id": "well001"})
    SubmissionIntake(recordings, room, room).submit(wanted)
    assert room.tasks[0].runs == (("rec-1", "well001"),)
