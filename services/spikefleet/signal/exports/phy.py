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
from spikefleet.core.files import write_json
from spikefleet.signal.exports.clusters import FOLDER_FILE, Clusters
from spikefleet.signal.exports.hand_curation import hand_curation
from spikefleet.signal.exports.source import ANALYZER, ExportedUnit, ExportSource
from spikefleet.signal.units.analyzer_folder import open_analyzer
from spikefleet.signal.units.labels import GOOD, MUA, NOISE

_METRICS = ("snr", "isi_hill", "presence_ratio", "std_norm")

_FROM_CURATION = ("contamination", "possible_duplicate", "similar_unit")


def write_phy(source: ExportSource, folder: Path) -> None:
    """Write the folder. Units without spikes are left out, as Phy cannot show them.

    Raises InputMissingError where no unit has a spike: Phy opens no empty sort.
    """
    replaced = source.edits.replaced  # their spikes are in the clusters of what they became
    units = {
        unit.quality.unit_id: unit
        for unit in source.units
        if len(unit.frames) and unit.quality.unit_id not in replaced
    }
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
        wanted = _templates(source, units)
        chosen = [unit_id for unit_id in analyzer.unit_ids if str(unit_id) in wanted]
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
    samples = np.load(folder / "spike_times.npy").ravel()
    timeline = source.data.timeline
    np.save(folder / "spike_frames.npy", timeline.to_original(samples) if timeline else samples)
    clusters = Clusters.of([str(unit_id) for unit_id in chosen], source.edits)
    templates = np.load(folder / "spike_templates.npy").ravel()
    found = clusters.of_spikes(templates, source.edits).astype(np.int32)
    # One number a spike, as sorters write them: not every reader takes SpikeInterface's columns.
    np.save(folder / "spike_clusters.npy", found)
    np.save(folder / "spike_times.npy", samples)
    np.save(folder / "spike_templates.npy", templates)
    ordered = {cluster: units[unit] for cluster, unit in clusters.units.items() if unit in units}
    _write_columns(folder, ordered)
    groups = {str(cluster): _group(unit) for cluster, unit in ordered.items()}
    about = {"templates": clusters.templates, "groups": groups, **hand_curation(source).to_json()}
    write_json(folder / FOLDER_FILE, about)


def _templates(source: ExportSource, units: Mapping[str, ExportedUnit]) -> set[str]:
    """The units of the sort that the exported ones are, or are made of."""
    made_from = source.edits.made_from
    return {part for unit in units for part in made_from.get(unit, (unit,))}


def _write_columns(folder: Path, units: Mapping[int, ExportedUnit]) -> None:
    columns = {
        "group": [_group(unit) for unit in units.values()],
        "label": [str(unit.fetched.metrics.get("label") or "") for unit in units.values()],
        "failed_on": [unit.fetched.failed_on for unit in units.values()],
        "spikefleet_unit": [unit.quality.unit_id for unit in units.values()],
    } | {
        name: [f"{getattr(unit.quality, name):.6g}" for unit in units.values()] for name in _METRICS
    }
    for name in _FROM_CURATION:
        told = [unit.fetched.metrics.get(name) for unit in units.values()]
        if any(value is not None for value in told):
            columns[name] = [_shown(value) for value in told]
    for name, values in columns.items():
        with (folder / f"cluster_{name}.tsv").open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
            writer.writerow(("cluster_id", name))
            writer.writerows(zip(units, values, strict=True))


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)


def _group(unit: ExportedUnit) -> str:
    """The word that Phy knows for a unit: its label; "unsorted" where it is rejected or has none.

    Where no unit was labelled, what is kept is good.
    """
    label = unit.fetched.metrics.get("label")
    if not unit.fetched.passed or label == "":
        return "unsorted"
    if label is None:
        return GOOD
    return label if label in (GOOD, MUA, NOISE) else MUA
