"""Arrays in chunks: any shape and any bits come back, and no other bytes are decoded."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.archive.chunks import (
    CHUNK_BYTES,
    ArrayReader,
    ArrayWriter,
    ChunkGrid,
    plan_grid,
)
from spikefleet.signal.archive.codec import candidate_codecs
from spikefleet.signal.archive.digests import Digest

DTYPES = ("<i2", "<u2", "<i4", "<f4")


def _write(root, traces, grid, codec):
    (root / "a").mkdir(parents=True, exist_ok=True)
    writer = ArrayWriter(root, "a", grid, codec)
    objects = []
    for row in range(grid.n_rows):
        start, stop = grid.frames(row)
        objects += writer.append(traces[start:stop])
    return writer.finish(traces.dtype), {stored.path: stored for stored in objects}


def _read(root, array, known):
    reader = ArrayReader(root, array, known.__getitem__)
    rows = []
    for row in range(reader.grid.n_rows):
        start, stop = reader.grid.frames(row)
        groups = [reader.chunk(row, group) for group in range(reader.grid.n_groups)]
        rows.append(np.concatenate(groups)[: array.n_channels, : stop - start].T)
    return np.concatenate(rows)


@st.composite
def _arrays(draw):
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    n_frames, n_channels = draw(st.integers(1, 70)), draw(st.integers(1, 9))
    raw = draw(
        st.one_of(
            st.binary(min_size=8, max_size=64),
            st.sampled_from([b"\x00" * 8, b"\xff" * 8, b"\x00\x80" * 4, b"\xff\x7f" * 4]),
        )
    )
    repeats = -(-n_frames * n_channels * dtype.itemsize // len(raw))
    # Any bits at all, NaN payloads, infinities, full scale and negative zero among them.
    flat = np.frombuffer((raw * repeats)[: n_frames * n_channels * dtype.itemsize], dtype=dtype)
    return flat.reshape(n_frames, n_channels)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    traces=_arrays(),
    chunk_frames=st.integers(1, 80),
    chunk_channels=st.integers(1, 9),
    which=st.integers(0, 2),
)
def test_any_samples_come_back_bit_for_bit_through_any_codec_and_chunking(
    tmp_path_factory, traces, chunk_frames, chunk_channels, which
):
    root = tmp_path_factory.mktemp("array")
    grid = ChunkGrid(*traces.shape, chunk_frames, min(chunk_channels, traces.shape[1]))
    array, known = _write(root, traces, grid, candidate_codecs(traces.dtype)[which])
    assert _read(root, array, known).tobytes() == traces.tobytes()
    assert array.samples_digest == f"blake3:{blake3(traces.tobytes()).hexdigest()}"


@pytest.mark.parametrize("n_channels", [1, 384, 4096])
def test_wide_and_narrow_recordings_come_back_with_their_short_last_chunk(tmp_path, n_channels):
    rng = np.random.default_rng(n_channels)
    traces = rng.integers(-(2**15), 2**15, (2_500, n_channels), dtype=np.int16)
    grid = plan_grid(2_500, n_channels, 1_000.0, 2)
    assert grid.n_rows == 3
    array, known = _write(tmp_path, traces, grid, candidate_codecs(traces.dtype)[0])
    assert np.array_equal(_read(tmp_path, array, known), traces)


def test_chunks_last_about_a_second_and_stay_small_however_many_channels():
    grid = plan_grid(600_000, 4096, 30_000.0, 2)
    assert grid.chunk_frames == 30_000
    assert grid.chunk_frames * grid.chunk_channels * 2 <= CHUNK_BYTES
    assert grid.n_groups * grid.chunk_channels - 4096 < grid.n_groups
    assert plan_grid(10, 4, 30_000.0, 2).chunk_frames == 10


def test_the_digest_of_decoded_chunks_is_that_of_the_samples_in_a_flat_file(tmp_path):
    traces = np.random.default_rng(0).integers(0, 900, (1_300, 7), dtype=np.uint16)
    grid = ChunkGrid(1_300, 7, 600, 3)
    array, known = _write(tmp_path, traces, grid, candidate_codecs(traces.dtype)[1])
    reader, digest = ArrayReader(tmp_path, array, known.__getitem__), Digest("sha256")
    for row in range(grid.n_rows):
        reader.update_digest(digest, row, [reader.chunk(row, group) for group in range(3)])
    assert digest.hex == hashlib.sha256(traces.tobytes()).hexdigest()


def test_a_chunk_whose_bytes_changed_is_refused_before_it_is_decoded(tmp_path):
    traces = np.arange(400, dtype=np.int16).reshape(100, 4)
    array, known = _write(
        tmp_path, traces, ChunkGrid(100, 4, 100, 4), candidate_codecs(traces.dtype)[1]
    )
    known["a/0.0"] = replace(known["a/0.0"], digest=f"blake3:{0:064}")
    with pytest.raises(InputCorruptError, match="not what was archived"):
        ArrayReader(tmp_path, array, known.__getitem__).chunk(0, 0)
