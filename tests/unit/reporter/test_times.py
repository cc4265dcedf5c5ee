"""What a report says of windows and of recordings sorted as one."""

from spikefleet.reporter.times import describe_times, tell_times
from spikefleet.signal.preparing.timeline import FileSpan, Timeline


def test_a_recording_sorted_from_end_to_end_needs_no_words() -> None:
    times = describe_times(Timeline.whole(1000, 100.0))
    assert (times["recorded_s"], times["sorted_s"], times["is_whole"]) == (10.0, 10.0, True)
    assert tell_times(times) == []
    assert tell_times(describe_times(None)) == []


def test_windows_are_told_on_the_clock_of_the_recording() -> None:
    timeline = Timeline(100.0, (FileSpan("", 1000),), ((50, 200), (700, 825)))
    times = describe_times(timeline)
    assert times["windows_s"] == [[0.5, 2.0], [7.0, 8.25]]
    windows, clock = tell_times(times)
    assert windows.startswith("Sorted was 0.5 to 2 s, 7 to 8.25 s: 2.75 s of 10 s.")
    assert "start of the recording as it was made" in clock


def test_recordings_sorted_as_one_are_listed_with_what_of_each_was_sorted() -> None:
    files = (FileSpan("a", 300), FileSpan("b", 200), FileSpan("c", 100))
    times = describe_times(Timeline(100.0, files, ((100, 450),)))
    assert [file["start_s"] for file in times["files"]] == [0.0, 3.0, 5.0]
    assert [file["sorted_s"] for file in times["files"]] == [2.0, 1.5, 0.0]
    assert "3 recordings were sorted as one" in tell_times(times)[1]
    assert "first recording" in tell_times(times)[-1]
