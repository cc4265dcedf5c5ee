"""A part of a streamed log is what a slice of the whole would be, whatever its chunks are."""

import tracemalloc
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from spikefleet.core.runs import LogPart
from spikefleet.infra.launchers.log_parts import read_part


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    chunks=st.lists(st.binary(max_size=9), max_size=12),
    offset=st.integers(-60, 60),
    most=st.integers(1, 40),
)
def test_a_part_is_a_slice_of_the_whole(chunks: list[bytes], offset: int, most: int) -> None:
    whole = b"".join(chunks)
    start = LogPart.start_of(offset, len(whole))
    assert read_part(chunks, offset, most) == LogPart(
        whole[start : start + most], start, len(whole)
    )


def test_of_a_long_log_only_what_is_wanted_is_held() -> None:
    def long() -> Iterator[bytes]:
        for _ in range(2000):
            yield bytes(1 << 16)

    for offset in (0, -65_536, 100 << 20):
        tracemalloc.start()
        part = read_part(long(), offset, 1 << 16)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(part.data) == 1 << 16
        assert part.size_bytes == 2000 << 16
        assert most < 2 << 20
