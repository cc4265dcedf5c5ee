import fcntl

import h5py
import numpy as np
import pytest
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.formats.hdf5 import open_hdf5, read_whole, require_samples
from spikefleet.signal.open import list_streams


def _external_link(file, secret):
    file["aside"] = h5py.ExternalLink(str(secret), "/a")


def _external_storage(file, secret):
    file.create_dataset("aside", (4,), "i4", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def _virtual(file, secret):
    layout = h5py.VirtualLayout((4,), "i4")
    layout[:] = h5py.VirtualSource(str(secret), "a", (4,))
    file.create_virtual_dataset("deep/aside", layout)


@pytest.mark.parametrize("kind", ["maxwell", "nwb"])
@pytest.mark.parametrize("leak", [_external_link, _external_storage, _virtual])
def test_an_hdf5_file_that_reaches_into_another_is_refused(tmp_path, kind, leak):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["a"] = np.arange(4, dtype="i4")
    path = make_recording(tmp_path, kind).path
    with h5py.File(path, "r+") as file:
        leak(file, secret)
    with pytest.raises(InputCorruptError) as caught:
        list_streams(path)
    assert caught.value.reason == "unsafe"
    assert "aside" in caught.value.message


def test_links_within_the_file_are_followed(tmp_path):
    path = make_recording(tmp_path, "nwb").path
    with h5py.File(path, "r+") as file:
        file["again"] = h5py.SoftLink("/acquisition")
        file["loop"] = file["/"]
    assert list_streams(path).streams


def test_a_small_file_that_claims_a_huge_table_or_signal_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("t", (1 << 34,), "i1", chunks=(1 << 20,), compression="gzip")
        file.create_dataset("s", (1 << 20, 1 << 20), "i2", chunks=(64, 64), compression="gzip")
        file["s"][:64, :64] = 1
    with open_hdf5(path) as file:
        for read in (read_whole, require_samples):
            with pytest.raises(InputCorruptError) as caught:
                read(file["t" if read is read_whole else "s"], path)
            assert caught.value.reason == "absurd"


def test_a_file_that_another_program_writes_is_told_as_such(tmp_path):
    path = make_recording(tmp_path, "maxwell").path
    with path.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        with pytest.raises(InputCorruptError) as caught:
            list_streams(path)
    assert caught.value.reason == "still_written"
    assert "Wait until" in caught.value.message
    assert list_streams(path).streams
