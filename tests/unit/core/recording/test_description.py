import pytest

from spikefleet.core.recording.description import (
    RecordingDescription,
    StreamDescription,
    joined_streams,
    takes_of,
)


def described(*streams, others=()):
    known = tuple(StreamDescription(name, 4, 3e4, 1.0, "int16") for name in streams)
    return RecordingDescription("any", known, others)


@pytest.mark.parametrize(
    ("one", "joined", "takes"),
    [
        (described("ns6/take0", "ns6/take1"), "ns6/takes", ("ns6/take0", "ns6/take1")),
        (described("100", "100/take2"), "100/takes", ("100", "100/take2")),
        (described("S0", "Recording_1/S0"), "S0/takes", ("S0", "Recording_1/S0")),
        (
            described("well000", others=("well000/rec0001",)),
            "well000/takes",
            ("well000", "well000/rec0001"),
        ),
        (described("imec0.ap", others=("imec0.lf",)), "imec0.ap", ("imec0.ap",)),
    ],
)
def test_takes_of_one_stream_are_joined_under_one_name_in_order(one, joined, takes):
    assert joined_streams([one]) == (joined,)
    assert takes_of(one, joined) == takes


def test_recordings_of_which_one_has_takes_are_joined_with_all_of_them():
    both = [described("ns6"), described("ns6/take0", "ns6/take1")]
    assert joined_streams(both) == ("ns6/takes",)
    assert takes_of(both[0], "ns6/takes") == ("ns6",)


def test_what_is_sorted_only_when_named_does_not_join_several_recordings():
    plate = described("well000", "well001", others=("well000/rec0001",))
    assert joined_streams([plate, plate]) == ("well000", "well001")
