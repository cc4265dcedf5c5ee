import shutil

import pytest
from tests.support.formats.blackrock import write_nsx
from tests.support.formats.openephys import write_recording
from tests.support.formats.probes import make_noise, write_probe
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.preparing.concatenate import (
    describe_concatenated,
    members_of,
    open_concatenated,
)


def _run(folder, name, *, seed, serial="18194809281"):
    made = make_recording(folder, "spikeglx", name=name, seconds=0.2, seed=seed).path
    for meta in made.glob("*.meta"):
        text = meta.read_text().replace("imDatPrb_sn=18194809281", f"imDatPrb_sn={serial}")
        meta.write_text(text)
    return made


def _problem(named):
    with pytest.raises(InputCorruptError) as caught:
        open_concatenated(named)
    assert caught.value.reason == "recordings_differ"
    return caught.value.message


def test_probes_of_other_serial_numbers_are_not_joined(tmp_path):
    named = {
        "a": _run(tmp_path, "a", seed=1, serial="18194809281"),
        "b": _run(tmp_path, "b", seed=2, serial="18194809999"),
    }
    assert "another probe (serial number 18194809999, not 18194809281)" in _problem(named)


def test_probes_in_folders_of_their_own_do_not_follow_each_other(tmp_path):
    run = tmp_path / "run"
    for number in (1, 2):
        made = _run(tmp_path / f"made{number}", "made", seed=number, serial=f"1819480928{number}")
        (run / f"probe_{number}").mkdir(parents=True)
        for file in made.iterdir():
            shutil.copyfile(file, run / f"probe_{number}" / f"npx.imec.ap{file.suffix}")
    members = {path.name: path for path in members_of(run)}
    assert len(members) == 2
    (stream,) = describe_concatenated(members).streams
    assert "another probe" in stream.problem


def test_runs_of_one_probe_are_joined(tmp_path):
    named = {"a": _run(tmp_path, "a", seed=1), "b": _run(tmp_path, "b", seed=2)}
    assert len(open_concatenated(named).files) == 2


def test_a_probe_without_a_serial_number_is_taken_for_any(tmp_path):
    named = {"a": _run(tmp_path, "a", seed=1), "b": _run(tmp_path, "b", seed=2, serial="0")}
    assert len(open_concatenated(named).files) == 2


@pytest.mark.parametrize("catgt_first", [False, True])
def test_a_run_and_what_catgt_made_of_it_are_not_joined(tmp_path, catgt_first):
    raw = _run(tmp_path, "mouse", seed=1)
    made = tmp_path / "catgt_mouse_g0"
    made.mkdir()
    for file in raw.iterdir():
        shutil.copyfile(file, made / file.name.replace("_t0.", "_tcat."))
    named = {"made": made, "raw": raw} if catgt_first else {"raw": raw, "made": made}
    assert "CatGT's copy of the other (mouse_g0)" in _problem(named)


def _open_ephys(folder, place="experiment1/recording1"):
    channels = [(f"CH{index}", 0.195, "uV") for index in range(4)]
    node = write_recording(folder, make_noise(500, 4), channels, place=place)
    write_probe(node / place, 4)
    return node


def test_record_nodes_named_one_by_one_are_not_joined(tmp_path):
    first = _open_ephys(tmp_path)
    other = tmp_path / "Record Node 103"
    shutil.copytree(first, other)
    named = {node.name: node / "experiment1/recording1" for node in (first, other)}
    assert "Record Node 103 recorded at the same time as Record Node 101" in _problem(named)


def test_takes_of_one_record_node_are_joined(tmp_path):
    places = [f"experiment{number}/recording1" for number in (1, 2)]
    named = {place: _open_ephys(tmp_path, place) / place for place in places}
    assert len(open_concatenated(named).files) == 2


def _hub(folder, name, *, day=20, first=0):
    folder.mkdir(exist_ok=True)
    write_probe(folder, 3)
    channels = [(electrode, "uV") for electrode in (1, 2, 3)]
    samples = make_noise(300, 3)
    write_nsx(folder / f"{name}.ns6", [(first, samples)], channels, day=day)
    return folder / f"{name}.ns6"


def test_two_blackrock_systems_of_one_moment_are_two_recordings(tmp_path):
    named = {
        "a": _hub(tmp_path, "Hub1-night"),
        "b": _hub(tmp_path, "Hub2-night", first=3),  # their clocks are not quite one
    }
    assert "Hub2-night was recorded at the same time as Hub1-night" in _problem(named)


@pytest.mark.parametrize("later", [{"day": 21}, {"first": 300}])
def test_blackrock_files_of_one_system_one_after_the_other_are_joined(tmp_path, later):
    named = {"a": _hub(tmp_path, "night001"), "b": _hub(tmp_path, "night002", **later)}
    assert len(open_concatenated(named).files) == 2
