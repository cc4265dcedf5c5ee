"""Kilosort 4."""

from __future__ import annotations

from spikefleet.core.sorters.row import BackendInfo, BatchKnob, Cost, GpuCost, LadderStep, rule

# Shares measured on CPU and on the stored output of a 90 s Neuropixels sort on a GPU.
_PROGRESS = (
    rule(r"Computing preprocessing variables", "preprocess", 0.0),
    rule(r"Computing drift correction", "drift", 0.02),
    rule(r"Extracting spikes using templates", "detect", 0.28),
    rule(r"First clustering", "first clustering", 0.58),
    rule(r"Extracting spikes using cluster waveforms", "extract", 0.70),
    rule(r"(?P<spikes>\d+) spikes extracted in", "", 0.0),
    rule(r"Final clustering", "final clustering", 0.80),
    rule(r"Merging clusters", "merge", 0.94),
    rule(r"Saving to phy", "save", 0.98),
)

# How much smaller batches get when memory ran out is the policy's matter.
_LADDER = (
    LadderStep("gpu_out_of_memory", {"clear_cache": True}, result_neutral=True),
    # Templates are learnt from every 25th batch: shorter batches look at more moments.
    LadderStep("parameter_sensitive", {"batch_size": 15000}, result_neutral=False),
    LadderStep(
        "parameter_sensitive", {"batch_size": 15000, "Th_single_ch": 5}, result_neutral=False
    ),
)

# A published run (90 s of 385 channels on a GPU) took 2.1 times that; its memory is assumed, with
# the one fact that about 1020 channels have exhausted a card with default settings.
_ON_GPU = GpuCost(2_000.0, 14.0, 40.0, 2.1, 385, 0.5)

BATCH = BatchKnob("batch_size", 60_000, 1024, learns_from_every=25)

ROW = BackendInfo(
    "kilosort4",
    "Kilosort 4",
    extra="kilosort4",
    distribution="kilosort",
    uses_gpu=True,
    # Measured on simulated recordings of two neurons: with one electrode it finds no spikes to
    # learn its templates from. The others sort one (MountainSort 5: accuracy 0.96).
    min_channels=2,
    # Of two neurons on each of four tetrodes it made four units, each of both neurons.
    suited_from=8,
    min_duration_s=3.0,
    progress=_PROGRESS,
    ladder=_LADDER,
    log_names=("sorter_output/kilosort4.log",),
    packages=("kilosort/",),
    batch=BATCH,
    cost=Cost(700.0, 10.0, 1.25, 10.0, 4.0, 10.0, 3.4, gpu=_ON_GPU),
)
