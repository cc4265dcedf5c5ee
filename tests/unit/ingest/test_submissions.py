"""What a submission does when the look at its recording does not go well."""

from dataclasses import dataclass, field

import pytest

from spikefleet.client.rooms import BatchAnswer, BatchTask, DescribeAnswer
from spikefleet.core.recordings.description import StreamDescription
from spikefleet.core.submissions import Recording, RecordingName, Submission
from spikefleet.infra.rpc.errors import ServiceError, ServiceUnreachable
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
