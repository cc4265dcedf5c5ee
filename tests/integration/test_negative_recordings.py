"""One file of every kind of wrong, and what opening and inspecting say of it: never a guess."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from tests.support.formats.intan import write_attached
from tests.support.formats.mcs import write_mcs
from tests.support.formats.probes import make_noise, write_probe
from tests.support.formats.raw_binary import smooth_samples, write_raw_binary
from tests.support.recordings import make_recording

from spikefleet.cli.main import cli
from spikefleet.core.failures.errors import SpikeSortingClassifiedError
from spikefleet.signal.open import open_recording

FOREIGN_FILTER = 32_026  # registered, and in no installation


def _truncated(folder: Path) -> Path:
    return make_recording(folder, "spikeglx", condition="truncated").path


def _missing_sidecar(folder: Path) -> Path:
    path = write_raw_binary(folder / "a.raw", smooth_samples(2000, 4))
    path.with_suffix(".json").unlink()
    return path


def _wrong_dtype(folder: Path) -> Path:
    samples = smooth_samples(4000, 4)
    return write_raw_binary(folder / "a.raw", samples.view("uint16"))


def _dividing_channel_count(folder: Path) -> Path:
    return write_raw_binary(folder / "a.raw", smooth_samples(4000, 8), n_channels=4)


def _duplicate_ids(folder: Path) -> Path:
    path = write_attached(folder / "a.rhd", make_noise(256, 3, "uint16"), ["A-0", "A-1", "A-0"])
    write_probe(folder, 3)
    return path


def _frame_gap(folder: Path) -> Path:
    path = make_recording(folder, "maxwell").path
    with h5py.File(path, "r+") as file:
        take = next(iter(file["wells/well000"]))
        numbers = file[f"wells/well000/{take}/groups/routed/frame_nos"]
        numbers[500:] = numbers[500:] + 37
    return path


def _nan_burst(folder: Path) -> Path:
    samples = smooth_samples(4000, 4).astype("float32")
    samples[100:150, 2] = np.nan
    return write_raw_binary(folder / "a.raw", samples, gain_to_uv=1.0)


def _zero_length(folder: Path) -> Path:
    return write_mcs(folder / "a.h5", np.zeros((3, 0), dtype="int32"))


def _two_candidates(folder: Path) -> Path:
    made = make_recording(folder, "spikeglx").path
    make_recording(made, "maxwell", name="plate")
    return made


def _unreadable(folder: Path) -> Path:
    path = folder / "a.raw.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + os.urandom(5000))
    return path


def _unknown_filter(folder: Path) -> Path:
    """A plate whose traces say they went through a filter nobody has."""
    path = make_recording(folder, "maxwell").path
    with h5py.File(path, "r+") as file:
        routed = file["wells/well000"]
        routed = routed[next(iter(routed))]["groups/routed"]
        shape = routed["raw"].shape
        del routed["raw"]
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk((shape[0], 100))
        creation.set_filter(FOREIGN_FILTER, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple(shape)
        h5py.h5d.create(routed.id, b"raw", h5py.h5t.STD_U16LE, space, creation)
    return path


def _no_permission(folder: Path) -> Path:
    path = make_recording(folder, "maxwell").path
    path.chmod(0)
    return path


# What is wrong -> how it is made, and the code and reason that must be said (finding: a finding's).
CASES: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "truncated": (_truncated, "input_corrupt", "truncated"),
    "missing sidecar": (_missing_sidecar, "input_missing", ""),
    "wrong dtype": (_wrong_dtype, "input_corrupt", "wrong_dtype"),
    "dividing wrong channel count": (
        _dividing_channel_count,
        "input_corrupt",
        "wrong_channel_count",
    ),
    "duplicate ids": (_duplicate_ids, "input_corrupt", "duplicate_channels"),
    "frame gap": (_frame_gap, "finding", "frame_gaps"),
    "NaN burst": (_nan_burst, "finding", "finite"),
    "zero length": (_zero_length, "input_corrupt", "empty"),
    "two candidates": (_two_candidates, "input_corrupt", "two_candidates"),
    "unreadable": (_unreadable, "input_corrupt", "unreadable"),
    "unknown filter": (_unknown_filter, "input_corrupt", "filter"),
}


def _inspect(path: Path) -> tuple[int, dict]:
    done = CliRunner().invoke(cli, ["inspect", str(path), "--output", "json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, json.loads(done.stdout)


@pytest.mark.parametrize("case", CASES)
def test_inspect_says_what_is_wrong_and_what_to_do(tmp_path: Path, case: str) -> None:
    make, code, reason = CASES[case]
    exit_code, document = _inspect(make(tmp_path))
    if code == "finding":
        findings = {entry["code"]: entry for entry in document["streams"][0]["findings"]}
        assert reason in findings
        assert findings[reason]["remediation"]
        assert exit_code == (1 if findings[reason]["level"] == "fail" else 0)
        return
    assert exit_code == 1
    said = document.get("error") or document["streams"][0]["refusal"]
    assert said["code"] == code
    assert said["message"].endswith(".")
    assert said["next_step"]
    assert not reason or said["evidence"]["reason"] == reason


@pytest.mark.parametrize(
    "case", [name for name, (_, code, _) in CASES.items() if code != "finding"]
)
def test_opening_refuses_it_with_the_same_reason(tmp_path: Path, case: str) -> None:
    make, code, reason = CASES[case]
    with pytest.raises(SpikeSortingClassifiedError) as caught:
        open_recording(make(tmp_path))
    assert str(caught.value.code) == code
    assert not reason or caught.value.evidence["reason"] == reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads any file")
def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    exit_code, document = _inspect(_no_permission(tmp_path))
    assert exit_code == 1
    assert document["error"]["next_step"]


@pytest.mark.parametrize(
    "suffix", [".rhd", ".ns5", ".ncs", ".brw", ".h5", ".nwb", ".meta", ".json"]
)
@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_under_any_name_end_in_a_sentence(
    tmp_path: Path, suffix: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    magic = [b"", struct.pack("<I", 0xC6912702), b"NEURALCD\x02\x03", b"\x89HDF\r\n\x1a\n"][seed]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(magic + rng.bytes(3000))
    exit_code, document = _inspect(path)
    assert exit_code == 1
    assert document["error"]["code"] in ("input_corrupt", "input_missing")
    assert document["error"]["next_step"]
