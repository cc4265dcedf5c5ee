"""An array file is judged by its header, which is never evaluated or unpickled."""

import io
import zipfile

import numpy as np
import pytest
from tests.support.hostile.sort_folders import fields_of_objects, header_of, objects

from spikefleet.signal.units.plain_arrays import what_is_wrong


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4)),
        np.zeros((0, 7)),
        np.float32(1),
        np.array(["a", "bc"]),
        np.zeros(2, dtype=[("sample_index", "i8"), ("place", "f4", (2,))]),
        np.asfortranarray(np.ones((2, 3), dtype=bool)),
    ],
)
def test_numbers_and_text_are_plain(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    assert what_is_wrong(tmp_path / "a.npy") == ""


def test_a_file_that_is_no_array_is_not_judged(tmp_path):
    (tmp_path / "notes.txt").write_text("cut at 300 Hz")
    assert what_is_wrong(tmp_path / "notes.txt") == ""


@pytest.mark.parametrize("make", [objects, fields_of_objects])
def test_objects_are_refused_whatever_the_file_is_called(tmp_path, make):
    (tmp_path / "a.dat").write_bytes(make(tmp_path / "mark"))
    assert "never loaded" in what_is_wrong(tmp_path / "a.dat")


def test_an_array_that_was_cut_claims_more_than_it_holds(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(100))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-1])
    assert "claims more" in what_is_wrong(tmp_path / "a.npy")


@pytest.mark.parametrize("version", [0, 3, 9])
def test_a_version_that_no_sort_writes_is_refused(tmp_path, version):
    content = bytearray(header_of("(8,)"))
    content[6] = version
    (tmp_path / "a.npy").write_bytes(content)
    assert "no readable array" in what_is_wrong(tmp_path / "a.npy")


def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(5):
            with archive.open(f"{number}.npy", "w") as member:
                member.write(_header(1 << 28))
                for _ in range(256):
                    member.write(bytes(1 << 20))
    assert "without bounds" in what_is_wrong(tmp_path / "a.npz")


def _header(size: int) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        out, {"descr": "|u1", "fortran_order": False, "shape": (size,)}
    )
    return out.getvalue()


def test_damage_to_a_header_never_raises(tmp_path):
    out = io.BytesIO()
    np.save(out, np.zeros(4, dtype=[("a", "<i8"), ("b", "<f4")]))
    genuine, random = out.getvalue(), np.random.default_rng(1)
    path = tmp_path / "a.npy"
    for _ in range(3000):
        damaged = bytearray(genuine)
        for at in random.integers(6, 128, size=random.integers(1, 6)):
            damaged[at] = random.integers(0, 256)
        path.write_bytes(damaged)
        what_is_wrong(path)
