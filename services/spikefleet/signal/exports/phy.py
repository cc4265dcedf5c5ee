"""A Phy folder: SpikeInterface's export of the analyzer, with what curation decided.

Made without the recording, so that Phy shows templates, amplitudes, correlograms and sampled
waveforms, and no trace. Spike times are samples of what was sorted, as Phy wants them beside a
prepared copy; ``spike_frames.npy`` holds the original frames in the same order.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from spikeinterface.exporters import export_to_phy

from spikefleet.core.failures.errors import InputMissingError
from spikefleet.signal.exports.source import ANALYZER, ExportedUnit, ExportSource
from spikefleet.signal.units.analyzer_folder import open_analyzer
from spikefleet.signal.units.labels import GOOD, MUA, NOISE

_METRICS = ("snr", "isi_hill", "presence_ratio", "std_norm")


def write_phy(source: ExportSource, folder: Path) -> None:
    """Write the folder. Units without spikes are left out, as Phy cannot show them.

    Raises InputMissingError where no unit has a spike: Phy opens no empty sort.
    """
    units = {unit.quality.unit_id: unit for unit in source.units if len(unit.frames)}
    if not units:
        raise InputMissingError(
            f"{source.results.run_id} has no units with spikes to open in Phy. Export the rejected "
            "ones too (--with-failed), or see what rejected them in curate/units.csv.",
            path=str(folder),
        )
    with warnings.catch_warnings():
        # That the recording is not there is intended.
        warnings.simplefilter("ignore", UserWarning)
        analyzer = open_analyzer(source.results.folder / ANALYZER)
        chosen = [unit_id for unit_id in analyzer.unit_ids if str(unit_id) in units]
        part = analyzer.select_units(chosen)
        export_to_phy(
            part,
            folder,
            compute_pc_features=False,
            compute_amplitudes=analyzer.has_extension("spike_amplitudes"),
            add_waveforms=True,
            copy_binary=False,
            verbose=False,
            n_jobs=1,
            progress_bar=False,
        )
    ordered = [units[str(unit_id)] for unit_id in chosen]
    samples = np.load(folder / "spike_times.npy").ravel()
    timeline = source.data.timeline
    np.save(folder / "spike_frames.npy", timeline.to_original(samples) if timeline else samples)
    labels = {
        "group": [_group(unit) for unit in ordered],
        "label": [str(unit.fetched.metrics.get("label") or "") for unit in ordered],
        "failed_on": [unit.fetched.failed_on for unit in ordered],
        "spikefleet_unit": [unit.quality.unit_id for unit in ordered],
    }
    _write_labels(folder, labels)
    for name in _METRICS:
        _write_labels(folder, {name: [f"{getattr(unit.quality, name):.6g}" for unit in ordered]})


def _group(unit: ExportedUnit) -> str:
    """The word that Phy knows for a unit: its label; "unsorted" where curation rejected it."""
    if not unit.fetched.passed:
        return "unsorted"
    label = str(unit.fetched.metrics.get("label") or GOOD)
    return label if label in (GOOD, MUA, NOISE) else MUA


def _write_labels(folder: Path, columns: Mapping[str, list[str]]) -> None:
    """Write a ``cluster_NAME.tsv`` for each column, as Phy reads labels of clusters."""
    for name, values in columns.items():
        with (folder / f"cluster_{name}.tsv").open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
            writer.writerow(("cluster_id", name))
            writer.writerows(enumerate(values))
