"""Openings at once fit into the memory of the room's container."""

import pytest

from spikefleet.core.guards.sources import MemorySample
from spikefleet.infra.system.memory_reader import MemoryReader
from spikefleet.infra.system.opening_room import (
    KEPT_BYTES,
    LEAST_BYTES,
    OpeningRoom,
    room_for_openings,
)

GIB = 1 << 30
WANTED = 4 * GIB


def sample(limit_gib: float, held_gib: float = 0.4) -> MemorySample:
    return MemorySample("cgroup", held_gib * GIB, held_gib * GIB, limit_gib * GIB)


@pytest.mark.parametrize(
    ("limit_gib", "at_once"), [(5, 1), (9, 2), (10, 2), (13, 3), (64, 15), (4, 1), (2, 1), (0.5, 1)]
)
def test_what_all_openings_may_use_fits_beside_the_room_itself(
    limit_gib: float, at_once: int
) -> None:
    found = room_for_openings(sample(limit_gib), WANTED)
    assert found.at_once == at_once
    used = found.at_once * found.memory_bytes + KEPT_BYTES + 0.4 * GIB
    assert used <= limit_gib * GIB or found.memory_bytes == LEAST_BYTES


def test_where_one_does_not_fit_it_gets_what_there_is() -> None:
    found = room_for_openings(sample(3), WANTED)
    assert found == OpeningRoom(1, int(2.6 * GIB) - KEPT_BYTES)


def test_where_nothing_can_be_read_the_settings_decide() -> None:
    assert room_for_openings(None, WANTED).memory_bytes == WANTED
    assert room_for_openings(None, WANTED).at_once > 100


def test_the_limit_is_that_of_the_container(tmp_path) -> None:
    folder = tmp_path / "cgroup"
    folder.mkdir()
    (folder / "memory.max").write_text(f"{2 * GIB}\n")
    (folder / "memory.current").write_text(f"{GIB // 2}\n")
    (folder / "memory.stat").write_text(f"anon {GIB // 2}\nfile 0\ninactive_file 0\n")
    own = tmp_path / "own"
    own.write_text("0::/\n")
    found = room_for_openings(MemoryReader(folder, own).read(), WANTED)
    assert found.at_once == 1
    assert found.memory_bytes <= 1 * GIB
