"""Sorting from a script: one result per input, in order, failures included."""

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import SORTER
from tests.support.recordings import make_recording

from spikefleet import sort_multistream, sort_recording

SCRIPT = """
import json, sys
import spikefleet
results = spikefleet.sort_recording(sys.argv[2:], sorter=sys.argv[1], snr_min=3.0)
print(json.dumps([[r.rec_name, str(r.status), r.n_curated_units] for r in results]))
"""


def test_a_plain_script_gets_one_result_per_input_in_order(tmp_path: Path):
    bad = make_recording(tmp_path / "a", seconds=8.0, channels=8, condition="silent", name="quiet")
    good = make_recording(tmp_path / "b", seconds=20.0, channels=16, units=4, seed=3, name="rich")
    paths = [str(bad.path), str(good.path), str(tmp_path / "gone.nwb")]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, SORTER, *paths],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert [row[:2] for row in results] == [
        ["quiet", "unsortable"],
        ["rich", "success"],
        ["gone", "input_error"],
    ]
    assert results[1][2] >= 3


def test_several_streams_without_a_choice_are_named_not_guessed(tmp_path: Path):
    plate = make_recording(tmp_path, format="maxwell", seconds=8.0, channels=8, units=2, wells=2)
    (result,) = sort_recording(plate.path, SORTER, results_folder=tmp_path / "sorted")
    assert str(result.status) == "input_error"
    assert "well000, well001" in str(result.error_message)
    assert "sort_multistream" in str(result.next_step)


def test_every_stream_of_a_plate_gets_its_own_result(tmp_path: Path):
    plate = make_recording(
        tmp_path, format="maxwell", seconds=12.0, channels=12, units=3, wells=2, silent_wells=(1,)
    )
    results = sort_multistream(plate.path, SORTER, results_folder=tmp_path / "sorted")
    assert {stream: str(result.status) for stream, result in results.items()} == {
        "well000": "success",
        "well001": "unsortable",
    }
    folder = results["well000"].results_folder
    assert folder is not None
    assert (folder / "report" / "report.html").is_file()


def test_several_recordings_sorted_as_one_are_one_result(tmp_path: Path):
    plates = [
        make_recording(
            tmp_path / name, format="maxwell", seconds=seconds, wells=2, condition="silent",
            units=0, name=name,
        ).path
        for name, seconds in (("p1", 4.0), ("p2", 5.0))
    ]  # fmt: skip
    wells = sort_multistream(plates, SORTER, results_folder=tmp_path / "sorted")
    assert {stream: str(result.status) for stream, result in wells.items()} == {
        "well000": "unsortable",
        "well001": "unsortable",
    }
    (one,) = sort_recording(
        plates, SORTER, stream_id="well001", concatenate=True, results_folder=tmp_path / "sorted"
    )
    assert one.run_id == wells["well001"].run_id
    assert one.rec_name == "p1.raw.h5-and-1-more"


def test_recordings_that_differ_are_an_input_error_that_names_both(tmp_path: Path):
    paths = [
        make_recording(tmp_path, seconds=4.0, channels=channels, name=name).path
        for name, channels in (("four", 4), ("six", 6))
    ]
    (result,) = sort_recording(paths, SORTER, concatenate=True, results_folder=tmp_path / "sorted")
    assert str(result.status) == "input_error"
    assert str(result.error_message).startswith("six differs from four: 6 channels, not 4")
