"""What a process forked after its imports reads again before it sorts."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from spikeinterface.core import globals as places

from spikefleet.runner.steps import settle
from spikefleet.signal.filtering import numba_kernels


def test_folders_and_chance_are_those_of_the_new_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/elsewhere")
    monkeypatch.setattr(places, "base", Path("/elsewhere/spikeinterface_cache"))
    monkeypatch.setattr(numba_kernels.config, "CACHE_DIR", "")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    np.random.seed(1)
    drawn = np.random.random(4)
    np.random.seed(1)
    kernel_paths = [
        kernel._cache for kernel in (numba_kernels.filter_sections, numba_kernels.encode_int16)
    ]
    try:
        settle(str(tmp_path / "kernels"))
        now = [
            numba_kernels.filter_sections.stats.cache_path,
            numba_kernels.encode_int16.stats.cache_path,
        ]
    finally:
        numba_kernels.filter_sections._cache, numba_kernels.encode_int16._cache = kernel_paths
    assert tempfile.gettempdir() == str(tmp_path)
    assert places.base == tmp_path / "spikeinterface_cache"
    assert all(path.startswith(str(tmp_path / "kernels")) for path in now)
    assert not np.array_equal(np.random.random(4), drawn)
