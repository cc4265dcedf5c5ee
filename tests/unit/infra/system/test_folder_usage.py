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
    assert [path for path, _ in usage.consumers] == ["deep/er/big.bin"]


def test_everything_that_holds_its_share_is_named_and_small_files_by_their_folder(
    tmp_path: Path,
) -> None:
    for place, count, size in (
        ("sorter/chunks/a", 300, 4096),
        ("sorter/chunks/b", 20, 4096),
        ("input", 15, 1 << 16),
        ("logs", 2, 4096),
    ):
        (tmp_path / place).mkdir(parents=True)
        for number in range(count):
            (tmp_path / place / f"{number:03}.bin").write_bytes(b"x" * size)
    (tmp_path / "whole.dat").write_bytes(b"x" * (1 << 20))
    usage = measure_folder(tmp_path)
    named = dict(usage.consumers)
    assert named["sorter/chunks/a/"] == 300 * 4096
    assert named["whole.dat"] == 1 << 20
    assert sum(name.startswith("input/") for name in named) in {1, 15}
    assert sum(named.values()) > 0.94 * usage.used_bytes
    assert not any(name.startswith("logs") for name in named)


def test_files_too_small_to_be_named_are_told_by_the_folder_around_theirs(tmp_path: Path) -> None:
    for number in range(100):
        place = tmp_path / "tmp" / f"{number:03}"
        place.mkdir(parents=True)
        (place / "part.bin").write_bytes(b"x" * 8192)
    assert measure_folder(tmp_path).consumers == (("tmp/", 100 * 8192),)


def test_a_walk_that_runs_out_of_time_says_so(tmp_path: Path) -> None:
    assert not measure_folder(tmp_path, budget_s=-1.0).is_complete


def test_a_folder_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    usage = measure_folder(tmp_path / "gone")
    assert (usage.used_bytes, usage.consumers) == (0, ())
