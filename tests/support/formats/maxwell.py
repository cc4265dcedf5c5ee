"""MaxWell files as only other systems write them."""

import shutil
from pathlib import Path

import h5py

VENDOR_FILTER = 401


def compressed_by_the_vendor(path: Path) -> Path:
    """Return a copy whose traces carry the vendor's filter; the original may be open."""
    return compressed_with(path, VENDOR_FILTER)


def compressed_with(path: Path, filter_number: int) -> Path:
    """Return a copy whose traces say they went through a filter; the original may be open."""
    changed = path.with_name("compressed.raw.h5")
    shutil.copyfile(path, changed)
    with h5py.File(changed, "r+") as file:
        routed = file["data_store/data0000/groups/routed"]
        shape = routed["raw"].shape
        del routed["raw"]
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk((shape[0], 100))
        creation.set_filter(filter_number, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple(shape)
        raw = h5py.h5d.create(routed.id, b"raw", h5py.h5t.STD_U16LE, space, creation)
        for first in range(0, shape[1], 100):
            raw.write_direct_chunk((0, first), b"what the filter makes, say" * 4)
    return changed
