"""What a submission does when the look at its recording does not go well."""

from dataclasses import dataclass, field, replace

import pytest

from spikefleet.core.config import resolve
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure, InvalidConfigurationError
from spikefleet.core.files import file_stamp
from spikefleet.core.recording.description import (
    KeptDescription,
    RecordingDescription,
    StreamDescription,
)
from spikefleet.core.rooms.preflight import Description, Member
from spikefleet.core.rooms.wishes import BatchAnswer, BatchWish
from spikefleet.core.submissions import (
    ManifestFile,
    Recording,
    RecordingName,
    Submission,
    digest_manifest,
)
from spikefleet.infra.rpc.errors import RpcProblem, ServiceError, ServiceUnreachable
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.ingest.submissions import SubmissionIntake
from spikefleet.signal.formats.reader_version import reader_version

WELLS = tuple(StreamDescription(f"well{i:03d}", 4, 2e4, 1.0, "uint16") for i in range(2))
PLATE = Description(RecordingDescription("maxwell", WELLS))
ONE_WELL = Description(RecordingDescription("maxwell", WELLS[:1]))
RECORDING = Recording("rec-1", RecordingName("a", "b", "c"), (), "d" * 64, "/x", in_place=True)


@dataclass
class Room:
    """A preflight room that answers from a list, and a controller that keeps what it is asked."""

    answers: list[Description | ServiceError]
    tasks: list[BatchWish] = field(default_factory=list)

    def describe(self, recording: Recording, *, list_members: bool = False) -> Description:
        answer = self.answers.pop(0)
        if isinstance(answer, ServiceError):
            raise answer
        return answer

    def sorters(self) -> tuple[str, ...]:
        return ("lupin",)

    def create_batch(self, wish: BatchWish) -> BatchAnswer:
        self.tasks.append(wish)
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
    assert [stream for _, stream in room.tasks[0].streams] == ["well000", "well001"]


def test_a_look_that_keeps_breaking_leaves_the_verdict_to_the_run(recordings) -> None:
    room = _submit(recordings, DIED, DIED)
    assert room.tasks[0].streams == (("rec-1", ""),)


@pytest.mark.parametrize(
    "error",
    [ServiceUnreachable("UNREACHABLE", "away"), ServiceError("DEADLINE_EXCEEDED", "too slow")],
)
def test_a_room_that_is_away_or_slow_starts_nothing(recordings, error) -> None:
    with pytest.raises(ServiceError):
        _submit(recordings, error)


def test_a_recording_named_twice_is_sorted_once(recordings) -> None:
    room = _submit(recordings, PLATE, PLATE, ids=("rec-1", "rec-1"))
    assert len(room.tasks[0].streams) == 2


def test_the_configuration_that_travels_is_complete(recordings) -> None:
    config = _submit(recordings, PLATE).tasks[0].config
    assert config == resolve("kilosort4", {})


def _part(name: str) -> Recording:
    files = (ManifestFile(f"{name}.h5", 1, name),)
    return Recording(
        f"rec-{name}", RecordingName("a", "b", name), files, digest_manifest(files), "/x", True
    )


def _joined(recordings, *answers, ids=("rec-p", "rec-q"), streams=(), **overrides) -> Room:
    for name in "pq":
        recordings.add(_part(name))
    room = Room(list(answers))
    intake = SubmissionIntake(recordings, room, room)
    intake.submit(Submission(ids, streams=streams, concatenate=True, overrides=overrides))
    return room


def test_recordings_to_concatenate_become_one_run_per_stream(recordings) -> None:
    room = _joined(recordings, PLATE)
    ((first, _), (second, _)) = room.tasks[0].streams
    assert first == second
    assert [part.recording_id for part in recordings.get(first).parts] == ["rec-p", "rec-q"]
    assert [stream for _, stream in room.tasks[0].streams] == ["well000", "well001"]
    assert _joined(recordings, PLATE).tasks[0].streams == room.tasks[0].streams
    turned = _joined(recordings, PLATE, ids=("rec-q", "rec-p"))
    assert turned.tasks[0].streams[0][0] != first


def test_an_epoch_that_the_joined_recordings_will_not_have_is_refused_before_the_sort(
    recordings,
) -> None:
    room = _joined(recordings, ONE_WELL, curation_epoch=1)
    assert room.tasks[0].config.curation.curation_epoch == 1
    with pytest.raises(InvalidConfigurationError, match=r"2 recording epochs.*p\), 1 \(.*q\)"):
        _joined(recordings, ONE_WELL, curation_epoch=2)
    with pytest.raises(InvalidConfigurationError, match=r"1 recording epoch, counted from 0\."):
        _joined(recordings, ONE_WELL, ids=("rec-p",), curation_epoch=1)


BAD = StreamDescription("well001", 0, 0.0, 0.0, "", problem="q differs from p: 6 channels, not 4.")


def test_one_well_that_cannot_be_joined_hides_no_other(recordings) -> None:
    one_bad = Description(RecordingDescription("maxwell", (WELLS[0], BAD)))
    room = _joined(recordings, one_bad)
    assert [stream for _, stream in room.tasks[0].streams] == ["well000", "well001"]
    with pytest.raises(RpcProblem, match="q differs from p") as caught:
        _joined(recordings, one_bad, streams=("well001",))
    assert caught.value.reason == "RECORDINGS_DIFFER"


def test_the_takes_of_one_file_become_one_run_when_it_is_joined(recordings) -> None:
    takes = tuple(StreamDescription(f"ns6/take{n}", 4, 3e4, 1.0, "int16") for n in range(2))
    parted = Description(RecordingDescription("blackrock", takes))
    assert _joined(recordings, parted, ids=("rec-p",)).tasks[0].streams == (("rec-p", "ns6/takes"),)
    named = _joined(recordings, parted, ids=("rec-p",), streams=("ns6",))
    assert named.tasks[0].streams == (("rec-p", "ns6/takes"),)
    one = _joined(recordings, parted, ids=("rec-p",), streams=("ns6/take1",))
    assert one.tasks[0].streams == (("rec-p", "ns6/take1"),)
    apart = _submit(recordings, parted, ids=("rec-p",))
    assert [stream for _, stream in apart.tasks[0].streams] == ["ns6/take0", "ns6/take1"]


def test_one_recording_twice_is_refused(recordings) -> None:
    with pytest.raises(RpcProblem, match="listed twice"):
        _joined(recordings, ids=("rec-p", "rec-p"))


def test_a_folder_of_several_stands_for_them_in_order(recordings) -> None:
    files = tuple(ManifestFile(f"{name}/data.bin", 1, name) for name in ("r9", "r10"))
    folder = replace(_part("night"), files=files, digest=digest_manifest(files), stamps=("9", "10"))
    recordings.add(folder)
    members = tuple(Member(name, (f"{name}/data.bin",)) for name in ("r9", "r10"))
    room = _joined(recordings, Description(members=members), PLATE, ids=("rec-night",))
    joined = recordings.get(room.tasks[0].streams[0][0])
    assert [part.name.name for part in joined.parts] == ["r9", "r10"]
    assert [part.entry for part in joined.parts] == ["r9", "r10"]
    assert [part.location for part in joined.parts] == ["/x", "/x"]
    assert [part.stamps for part in joined.parts] == [("9",), ("10",)]
    assert [[file.path for file in part.files] for part in joined.parts] == [
        ["r9/data.bin"],
        ["r10/data.bin"],
    ]


def test_a_folder_inside_a_recording_stands_for_those_in_it_with_what_lies_above(
    recordings,
) -> None:
    paths = ("experiment1/r1/data.dat", "experiment1/r2/data.dat", "settings.xml")
    files = tuple(ManifestFile(path, 1, path) for path in paths)
    whole = replace(_part("night"), files=files, digest=digest_manifest(files), entry="experiment1")
    recordings.add(whole)
    members = tuple(Member(name, (f"{name}/data.dat",)) for name in ("r1", "r2"))
    room = _joined(recordings, Description(members=members), PLATE, ids=("rec-night",))
    joined = recordings.get(room.tasks[0].streams[0][0])
    assert [part.entry for part in joined.parts] == ["experiment1/r1", "experiment1/r2"]
    assert [[file.path for file in part.files] for part in joined.parts] == [
        ["experiment1/r1/data.dat", "settings.xml"],
        ["experiment1/r2/data.dat", "settings.xml"],
    ]


def test_what_lies_in_a_folder_of_told_digests_is_not_taken_for_the_same_bytes(
    recordings,
) -> None:
    files = tuple(ManifestFile(f"{name}/data.bin", 1, name) for name in ("r9", "r10"))
    members = tuple(Member(name, (f"{name}/data.bin",)) for name in ("r9", "r10"))
    found = []
    for name, digest in (("read", digest_manifest(files)), ("told", "with an owner in it")):
        recordings.add(replace(_part(name), files=files, digest=digest))
        room = _joined(recordings, Description(members=members), PLATE, ids=(f"rec-{name}",))
        found.append(recordings.get(room.tasks[0].streams[0][0]))
    read, told = found
    assert {part.digest for part in read.parts}.isdisjoint(part.digest for part in told.parts)
    assert read.digest != told.digest


def test_one_recording_alone_is_sorted_as_itself(recordings) -> None:
    assert _joined(recordings, PLATE, ids=("rec-p",)).tasks[0].streams[0][0] == "rec-p"


def test_the_stream_of_the_configuration_is_the_one_that_is_sorted(recordings) -> None:
    room = Room([PLATE])
    wanted = Submission(("rec-1",), overrides={"stream_id": "well001"})
    SubmissionIntake(recordings, room, room).submit(wanted)
    assert room.tasks[0].streams == (("rec-1", "well001"),)


@pytest.fixture
def night(tmp_path, recordings) -> Recording:
    """A recording in place whose one file is as it was when it was digested."""
    path = tmp_path / "night.raw.h5"
    path.write_bytes(b"bytes")
    files = (ManifestFile("night.raw.h5", 5, "0" * 64),)
    stamps = (file_stamp(path.stat()),)
    recording = Recording(
        "rec-night",
        RecordingName("a", "b", "night"),
        files,
        digest_manifest(files),
        str(tmp_path),
        in_place=True,
        stamps=stamps,
    )
    return recordings.add(recording)


def test_a_recording_that_is_known_and_untouched_is_not_opened_again(recordings, night) -> None:
    first = _submit(recordings, PLATE, ids=(night.recording_id,))
    again = _submit(recordings, ids=(night.recording_id,))  # a look would find no answer
    assert again.tasks[0].streams == first.tasks[0].streams
    room = Room([])
    intake = SubmissionIntake(recordings, room, room)
    with pytest.raises(RpcProblem, match="no stream 'w9'"):
        intake.submit(Submission((night.recording_id,), streams=("w9",)))


def test_the_reader_that_described_a_recording_stays_with_it(recordings, night) -> None:
    _submit(recordings, PLATE, ids=(night.recording_id,))
    known = recordings.get(night.recording_id)
    assert (known.format, known.reader) == ("maxwell", reader_version())


def test_a_recording_that_was_touched_is_opened_again(recordings, night, tmp_path) -> None:
    _submit(recordings, PLATE, ids=(night.recording_id,))
    (tmp_path / "night.raw.h5").write_bytes(b"other")
    room = _submit(recordings, ONE_WELL, ids=(night.recording_id,))
    assert room.tasks[0].streams == ((night.recording_id, "well000"),)


def test_what_other_readers_said_is_not_relied_on(recordings, night) -> None:
    told = RecordingDescription("maxwell", WELLS)
    recordings.keep_description(night.recording_id, KeptDescription("neo 0.1", told))
    room = _submit(recordings, ONE_WELL, ids=(night.recording_id,))
    assert room.tasks[0].streams == ((night.recording_id, "well000"),)


def test_a_failed_look_is_not_kept(recordings, night) -> None:
    failed = Description(failure=Failure(FailureCode.INPUT_CORRUPT, "torn"))
    _submit(recordings, failed, ids=(night.recording_id,))
    room = _submit(recordings, PLATE, ids=(night.recording_id,))
    assert [stream for _, stream in room.tasks[0].streams] == ["well000", "well001"]


def test_a_batch_of_more_runs_than_anybody_means_is_refused_before_it_is_made(recordings) -> None:
    wells = tuple(StreamDescription(f"w{i}", 4, 2e4, 1.0, "uint16") for i in range(10_001))
    room = Room([Description(RecordingDescription("maxwell", wells))])
    with pytest.raises(RpcProblem) as caught:
        SubmissionIntake(recordings, room, room).submit(Submission(("rec-1",)))
    assert (caught.value.reason, room.tasks) == ("TOO_LARGE", [])
