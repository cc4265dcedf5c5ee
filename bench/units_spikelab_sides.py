"""The sides of ``bench.units`` that are SpikeLab's; run by the Python that has it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from spikelab.spike_sorting.config import SortingPipelineConfig, WaveformConfig
from spikelab.spike_sorting.pipeline import build_spikedata
from spikelab.spike_sorting.sorting_extractor import KilosortSortingExtractor
from spikelab.spike_sorting.waveform_extractor import WaveformExtractor

from bench.spikelab_names import accept_return_scaled
from bench.units_recording import write_kilosort_folder
from bench.units_sides import MOST, SEED, copy_of, filtered, measured


def spikelab(opened: Callable[[Path], Any], keep: bool) -> Callable[[Path, Path], dict[str, float]]:
    """SpikeLab's streaming extraction and its unit attributes, on a folder of Kilosort's."""

    def side(source: Path, out: Path) -> dict[str, float]:
        accept_return_scaled()
        write_kilosort_folder(source, out / "kilosort")
        (out / "initial").mkdir()
        recording, path = opened(source), source / "source.raw"
        config = SortingPipelineConfig(
            waveform=WaveformConfig(max_waveforms_per_unit=MOST, save_waveform_files=keep)
        )

        def work() -> None:
            extractor = WaveformExtractor.create_initial(
                path,
                recording,
                KilosortSortingExtractor(out / "kilosort"),
                out / "waveforms",
                out / "initial",
                np.random.default_rng(SEED),
                config=config,
            )
            extractor.run_extract_waveforms_streaming()
            build_spikedata(extractor, path, config)

        return measured(work)

    return side


SIDES: dict[str, Callable[[Path, Path], dict[str, float]]] = {
    "spikelab, filtered": spikelab(filtered, True),
    "spikelab, copy": spikelab(copy_of, True),
    "spikelab, copy, waveforms not kept": spikelab(copy_of, False),
}

if __name__ == "__main__":
    print(json.dumps(SIDES[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))))
