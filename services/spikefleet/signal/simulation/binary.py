"""Writes SpikeInterface's ``binary_folder``: int16 at 0.195 µV per code, or float32 µV."""

from __future__ import annotations

import warnings
from pathlib import Path

from spikeinterface.core import BaseRecording, BinaryFolderRecording

from spikefleet.signal.formats.spikeinterface_folder import ANNOTATED_LENGTH
from spikefleet.signal.simulation.signal import StoredCoding

CODING = StoredCoding(lsb_uv=0.195)
_BLOCK_S = "1s"


def write(recording: BaseRecording, path: Path) -> None:
    """Write the folder block by block, with its length, which the format does not store."""
    recording.annotate(**{ANNOTATED_LENGTH: int(recording.get_num_samples())})
    with warnings.catch_warnings():
        # A generated signal has no file it came from, and need not be told so.
        warnings.filterwarnings("ignore", message="The extractor is not serializable")
        BinaryFolderRecording.write_recording(
            recording, path, n_jobs=1, chunk_duration=_BLOCK_S, progress_bar=False
        )
