"""What rooms ask of each other survives the way to a message and back."""

from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.rooms.preflight import ExamineTask
from spikefleet.core.rooms.wishes import BatchWish
from spikefleet.core.submissions import Recording, RecordingName
from spikefleet.infra.rpc.convert.between_rooms import (
    from_batch_wish,
    from_examine,
    to_batch_wish,
    to_examine,
)

RECORDING = Recording("rec-1", RecordingName("p", "s", "n"), (), "d" * 64, "/data", in_place=True)


def test_runs_to_make_survive():
    config = SortingConfig().override(snr_min=6.0)
    wish = BatchWish((("rec-1", "w0"), ("rec-2", "")), config, "k", "anna", "day", "uid:7")
    assert from_batch_wish(to_batch_wish(wish)) == wish


def test_what_is_to_be_examined_survives():
    task = ExamineTask(RECORDING, "well000", SortingConfig().override(sorter_name="lupin"))
    assert from_examine(to_examine(task)) == task
