"""``spikefleet compare`` on folders and truths."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tests.support.fetched_run import RATE_HZ, write_fetched_run

from spikefleet import load_results
from spikefleet.cli.main import cli
from spikefleet.signal.simulation.truth import Truth, save_truth


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fetched_run(tmp_path_factory.mktemp("run"), snr_min=12.0)


def compare(*arguments: object) -> dict[str, Any]:
    asked = ["compare", *map(str, arguments), "--output", "json"]
    done = CliRunner().invoke(cli, asked)
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def of_stream(stream: str, fetched: Path, folder: Path) -> Path:
    """A copy of the fetched run, of another stream."""
    run = shutil.copytree(fetched, folder / "run")
    record = run / "report" / "recording_report.json"
    document = json.loads(record.read_text())
    document["run"]["stream"] = stream
    record.write_text(json.dumps(document))
    return run


def write_truth(folder: Path, fetched: Path, rate_hz: float = RATE_HZ) -> Path:
    """Every sorted unit as a known one, under another name."""
    units = load_results(fetched).units
    trains = {f"true{name}": unit.spike_frames for name, unit in units.items()}
    (folder / "rec.bin").touch()
    path = folder / "rec.truth.npz"
    count = len(trains)
    truth = Truth(tuple(trains), trains, rate_hz, np.zeros((count, 3)), np.zeros(count))
    save_truth(path, {"s": truth}, folder / "rec.bin")
    return path


def test_a_run_agrees_with_itself(fetched: Path, tmp_path: Path) -> None:
    again = shutil.copytree(fetched, tmp_path / "again")
    answer = compare(fetched, again)
    assert answer["mean_agreement"] == 1.0
    assert all(unit["first"] == unit["second"] for unit in answer["units"])


def test_against_a_truth_the_rejected_unit_is_missed_unless_asked_for(
    fetched: Path, tmp_path: Path
) -> None:
    truth = write_truth(tmp_path, fetched)
    kept, everything = compare(fetched, truth), compare(fetched, truth, "--with-failed")
    assert [unit["first"] for unit in kept["units"]].count(None) == 1
    assert kept["mean_agreement"] == pytest.approx(0.8)
    assert everything["mean_agreement"] == 1.0
    assert all(f"true{u['first']}" == u["second"] for u in everything["units"])


def test_a_folder_with_the_report_alone_is_not_a_sort_without_units(
    fetched: Path, tmp_path: Path
) -> None:
    shutil.copytree(fetched / "report", tmp_path / "seen" / "report")
    done = CliRunner().invoke(cli, ["compare", str(tmp_path / "seen"), str(fetched)])
    assert done.exit_code == 2
    assert "holds the report and no units. Fetch them with" in " ".join(done.output.split())


def test_a_person_is_told_in_a_sentence(fetched: Path, tmp_path: Path) -> None:
    truth = write_truth(tmp_path, fetched)
    done = CliRunner().invoke(cli, ["compare", str(fetched), str(truth)])
    text = " ".join(done.output.split())
    assert "unit of" in text.partition("precision")[0]
    assert "of the second" not in text
    assert f"4 of 5 units of {truth} found in {fetched} with accuracy" in text.replace("- ", "")


def test_the_truth_is_of_the_runs_stream_and_of_what_it_sorted(
    fetched: Path, tmp_path: Path
) -> None:
    run = of_stream("well002", fetched, tmp_path)
    units = load_results(run).curated
    # Beyond the window that was sorted the neurons fired as well.
    trains = {n: np.append(u.spike_frames, [250_000, 280_000]) for n, u in units.items()}
    (tmp_path / "plate.h5").touch()
    place, count = np.zeros((len(trains), 3)), np.zeros(len(trains))
    truths = {
        "well000": Truth.without_units(RATE_HZ),
        "well002": Truth(tuple(trains), trains, RATE_HZ, place, count),
    }
    save_truth(tmp_path / "plate.truth.npz", truths, tmp_path / "plate.h5")
    assert compare(run, tmp_path / "plate.truth.npz")["mean_agreement"] == 1.0


def test_a_truth_of_one_stream_is_of_any_run_and_of_several_the_right_one_is_asked_for(
    fetched: Path, tmp_path: Path
) -> None:
    run = of_stream("traces", fetched, tmp_path)
    assert compare(run, write_truth(tmp_path, fetched))["mean_agreement"] == pytest.approx(0.8)
    none = Truth.without_units(RATE_HZ)
    plate = tmp_path / "plate.truth.npz"
    save_truth(plate, {"well000": none, "well001": none}, tmp_path / "rec.bin")
    done = CliRunner().invoke(cli, ["compare", str(run), str(plate)])
    assert done.exit_code == 2
    assert "it has: well000, well001" in " ".join(done.output.split())


def test_sorts_of_two_recordings_are_not_compared(fetched: Path, tmp_path: Path) -> None:
    folders = []
    for digest in ("aa", "bb"):
        folder = shutil.copytree(fetched, tmp_path / digest)
        record = folder / "report" / "recording_report.json"
        document = json.loads(record.read_text()) | {"recording": {"digest": digest}}
        record.write_text(json.dumps(document))
        folders.append(str(folder))
    done = CliRunner().invoke(cli, ["compare", *folders])
    assert done.exit_code == 2
    assert "different recordings" in done.output
    assert compare(folders[0], folders[0])["mean_agreement"] == 1.0


def test_two_rates_are_not_of_one_recording(fetched: Path, tmp_path: Path) -> None:
    truth = write_truth(tmp_path, fetched, rate_hz=30_000.0)
    done = CliRunner().invoke(cli, ["compare", str(fetched), str(truth)])
    assert done.exit_code == 2
    assert "not of one recording" in done.output


def test_rates_that_differ_little_are_told_so_that_they_differ(
    fetched: Path, tmp_path: Path
) -> None:
    truth = write_truth(tmp_path, fetched, rate_hz=RATE_HZ + 0.001)
    done = CliRunner().invoke(cli, ["compare", str(fetched), str(truth)])
    assert "20000.001" in done.output


@pytest.mark.parametrize("delta", ["nan", "inf", "1001", "0", "-1"])
def test_a_span_that_no_two_spikes_have_is_refused(fetched: Path, delta: str) -> None:
    done = CliRunner().invoke(cli, ["compare", str(fetched), str(fetched), "--delta", delta])
    assert done.exit_code == 2
    assert "--delta" in done.output


@pytest.mark.parametrize("name", ["nowhere", "nowhere.truth.npz"])
def test_what_is_not_there_is_told(fetched: Path, tmp_path: Path, name: str) -> None:
    done = CliRunner().invoke(cli, ["compare", str(fetched), str(tmp_path / name)])
    assert done.exit_code == 2
    assert "There is no run, folder or file" in done.output


def test_a_file_that_is_no_truth_is_told(fetched: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    done = CliRunner().invoke(cli, ["compare", str(fetched), str(tmp_path / "a.npz")])
    assert done.exit_code == 2
    assert "is not the truth" in done.output
