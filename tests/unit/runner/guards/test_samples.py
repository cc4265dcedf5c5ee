"""One reading decides nothing."""

import pytest

from spikefleet.runner.guards.samples import Latch, SampleWindow


def test_a_verdict_needs_several_bad_samples_close_together() -> None:
    window = SampleWindow(2, 3)
    assert [window.add(bad) for bad in (True, False, False, True, False, True)] == [
        False,
        False,
        False,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(("needed", "window"), [(1, 3), (0, 3), (4, 3)])
def test_a_window_that_one_sample_could_decide_is_refused(needed: int, window: int) -> None:
    with pytest.raises(ValueError, match="window"):
        SampleWindow(needed, window)


def test_a_warning_stands_until_the_signal_is_clearly_below() -> None:
    latch = Latch(85.0, 80.0)
    heard = [latch.add(value) for value in (84, 85, 84, 86, 81, 80, 79, 84, 85)]
    assert heard == [False, True, True, True, True, True, False, False, True]
    with pytest.raises(ValueError, match="above"):
        Latch(80.0, 85.0)
