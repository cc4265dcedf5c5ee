"""What sorters print, read as progress. The excerpts in ``logs/`` were printed by real sorts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.runner.progress import ProgressParser, ProgressUpdate

LOGS = Path(__file__).parent / "logs"


def read_log(name: str) -> str:
    return (LOGS / f"{name}.log").read_bytes().decode()


@pytest.mark.parametrize("name", sorted(BACKENDS))
class TestEverySorter:
    def test_passes_through_every_stage_of_its_real_log(self, name: str) -> None:
        updates = ProgressParser(BACKENDS[name]).feed(read_log(name))
        steps = {rule.step for rule in BACKENDS[name].progress if rule.step}
        assert {update.step for update in updates} == steps

    def test_never_goes_back(self, name: str) -> None:
        fractions = [u.fraction for u in ProgressParser(BACKENDS[name]).feed(read_log(name))]
        assert fractions == sorted(fractions)
        assert 0 <= fractions[0] < 0.05
        assert 0.9 < fractions[-1] <= 1

    def test_moves_inside_stages(self, name: str) -> None:
        starts = {rule.fraction for rule in BACKENDS[name].progress}
        updates = ProgressParser(BACKENDS[name]).feed(read_log(name))
        assert any(update.fraction not in starts for update in updates)

    def test_reads_the_same_however_the_output_is_cut(self, name: str) -> None:
        text = read_log(name)
        whole = ProgressParser(BACKENDS[name]).feed(text)
        parser = ProgressParser(BACKENDS[name])
        pieces = [text[start : start + 7] for start in range(0, len(text), 7)]
        assert [update for piece in pieces for update in parser.feed(piece)] == whole

    def test_counts_spikes(self, name: str) -> None:
        updates = ProgressParser(BACKENDS[name]).feed(read_log(name))
        assert updates[-1].spikes is not None
        assert updates[-1].spikes > 2000


def test_an_unlabelled_bar_moves_the_stage_that_was_announced() -> None:
    parser = ProgressParser(BACKENDS["kilosort4"])
    parser.feed("kilosort.run_kilosort: Extracting spikes using templates\n")
    updates = parser.feed("\r 50%|#####     | 10/20 [00:08<00:08,  1.2it/s]\r")
    assert updates == [ProgressUpdate("detect", 0.43)]


def test_a_bar_with_an_unknown_label_moves_nothing() -> None:
    parser = ProgressParser(BACKENDS["lupin"])
    parser.feed("detect peaks:  10%|#   | 3/30 [00:00<00:01, 20it/s]\r")
    assert parser.feed("noise_level: 100%|####| 20/20 [00:00<00:00, 95it/s]\r") == []


def test_the_sorters_stages_lie_inside_the_childs_step() -> None:
    parser = ProgressParser(BACKENDS["kilosort4"])
    said = "[spikefleet] step=load\n[spikefleet] fraction=0.50\n[spikefleet] step=sort\n"
    stages = [(u.step, u.fraction) for u in parser.feed(said)]
    assert stages == [("load", 0.0), ("load", 0.025), ("sort", 0.05)]
    sorting = parser.feed(read_log("kilosort4"))
    assert 0.05 <= sorting[0].fraction < sorting[-1].fraction <= 0.93
    assert parser.feed("[spikefleet] step=analyze\n")[-1].step == "analyze"


def test_bars_outside_the_sort_are_not_the_sorters() -> None:
    parser = ProgressParser(BACKENDS["kilosort4"])
    parser.feed("[spikefleet] step=sort\nkilosort: Final clustering\n[spikefleet] step=analyze\n")
    assert parser.feed(" 50%|###   | 1/2 [00:01<00:01, 1it/s]\n") == []


def test_output_that_says_nothing_gives_no_updates() -> None:
    assert ProgressParser(BACKENDS["kilosort4"]).feed("numba warning\n\n 3%|bad bar\n") == []


def test_the_parser_needs_no_science_library() -> None:
    code = (
        "import sys, spikefleet.runner.progress;"
        "sys.exit(any(m in sys.modules for m in ('numpy', 'torch', 'spikeinterface')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
