"""What lies below a folder."""

import os
from pathlib import Path

from spikefleet.infra.system.folder_usage import measure_folder


def test_blocks_are_added_up_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "big.bin").write_bytes(b"x" * (1 << 20))
    (tmp_path / "small.bin").write_bytes(b"x")
    os.symlink("/", tmp_path / "everything")
    with (tmp_path / "sparse.bin").open("wb") as handle:
        handle.truncate(1 << 40)
    usage = measure_folder(tmp_path)
    assert usage.is_complete
    assert 1 << 20 <= usage.used_bytes < 2 << 20
    assert usage.largest[0][0] == "deep/er/big.bin"


def test_only_the_ten_largest_files_are_named(tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / f"{number:04}.bin").write_bytes(b"x" * (4096 if number != 7 else 40960))
    usage = measure_folder(tmp_path)
    assert len(usage.largest) == 10
    assert usage.largest[0] == ("0007.bin", 40960)


def test_a_walk_that_runs_out_of_time_says_so(tmp_path: Path) -> None:
    assert not measure_folder(tmp_path, budget_s=-1.0).is_complete


def test_a_folder_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    usage = measure_folder(tmp_path / "gone")
    assert (usage.used_bytes, usage.largest) == (0, ())
