"""Kilosort 4, called directly: no wrapper between its exceptions and our classifier.

Ours, and recorded with the result: common average reference on, drift correction only from
64 channels on (below that its estimate does more harm than drift), no extra files. Everything else
is Kilosort's default. Kilosort fixes its own seeds, so the seed of the request changes nothing.
"""

from __future__ import annotations

import gc
import logging
import math
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kilosort
import numpy as np
import torch
from kilosort.parameters import DEFAULT_SETTINGS, EXTRA_PARAMETERS, MAIN_PARAMETERS
from kilosort.run_kilosort import run_kilosort
from spikeinterface.core import NumpySorting, write_binary_recording

from spikefleet.core.failures.errors import EnvironmentSortFailure, ParameterSensitiveError
from spikefleet.signal.sorters.activity import require_activity, require_units
from spikefleet.signal.sorters.base import SortRequest
from spikefleet.signal.sorters.params import merge_params

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

log = logging.getLogger(__name__)

MIN_CHANNELS_FOR_DRIFT = 64
READABLE_DTYPES = ("int16", "uint16", "int32", "float32")
# Arguments of run_kilosort that are parameters to a user; the rest are its settings.
ARGUMENTS = {"do_CAR": True, "invert_sign": False, "clear_cache": False, "bad_channels": None}
# Kilosort's infinity is written as None, because JSON has no infinity.
UNLIMITED = ("tmax", "artifact_threshold")
FROM_RECORDING = ("n_chan_bin", "fs")


class Kilosort4:
    """The adapter. Results and Kilosort's own log are in ``folder/sorter_output``."""

    name = "kilosort4"
    keeps = ()

    def default_params(self) -> dict[str, Any]:
        """Kilosort's settings and ours; ``nblocks`` None is decided by the channel count."""
        settings = {
            key: value for key, value in DEFAULT_SETTINGS.items() if key not in FROM_RECORDING
        }
        settings |= dict.fromkeys(UNLIMITED)
        return {**settings, "nblocks": None, **ARGUMENTS, "keep_good_only": False}

    def published_bounds(self) -> dict[str, dict[str, Any]]:
        """What Kilosort itself says of its settings: type, bounds, values left out."""
        return {**MAIN_PARAMETERS, **EXTRA_PARAMETERS}

    def versions(self) -> dict[str, str]:
        """Kilosort and torch, and the CUDA build they were made for ("none" on a CPU build)."""
        return {
            "kilosort": str(kilosort.__version__),
            "torch": str(torch.__version__),
            "cuda": str(torch.version.cuda or "none"),
        }

    def resolve(self, request: SortRequest) -> dict[str, Any]:
        """Return the parameters this request will run with.

        Raises InvalidConfigurationError for a name Kilosort does not know.
        """
        params = merge_params("Kilosort 4", self.default_params(), request.params)
        if params["nblocks"] is None:
            n_channels = int(request.recording.get_num_channels())
            params["nblocks"] = 1 if n_channels >= MIN_CHANNELS_FOR_DRIFT else 0
        return params

    def sort(self, request: SortRequest) -> BaseSorting:
        """Run Kilosort on a flat binary file of the recording.

        Raises what Kilosort raises, except where it learns its templates from batches that happen
        to be quiet although the recording is not: ParameterSensitiveError.
        """
        params = self.resolve(request)
        activity = require_activity(request.recording, self.name)
        results = request.folder / "sorter_output"
        results.mkdir(parents=True, exist_ok=True)
        binary, dtype = binary_file(request.recording, results / "recording.dat", request.n_jobs)
        try:
            run_kilosort(
                settings=self._settings(params, request.recording),
                probe=probe_dictionary(request.recording),
                filename=binary,
                results_dir=results,
                data_dtype=dtype,
                device=pick_device(request.device),
                save_extra_vars=False,
                torch_thread_lim=request.threads or request.n_jobs,
                **{key: params[key] for key in ARGUMENTS},
            )
        except ValueError as error:
            if _learned_from_nothing(error):
                raise ParameterSensitiveError(
                    "Kilosort 4 found no spikes in the batches it learns its templates from, "
                    "although there are spikes elsewhere in the recording.",
                    sorter=self.name,
                    parameter="batch_size",
                    threshold_crossings=activity.n_crossings,
                    cause=str(error).splitlines()[0][:300],
                ) from error
            raise
        finally:
            (results / "recording.dat").unlink(missing_ok=True)
        sorting = read_results(results, request.recording)
        if params["keep_good_only"]:
            sorting = sorting.select_units(
                sorting.unit_ids[sorting.get_property("KSLabel") == "good"]
            )
        return require_units(sorting, self.name, activity)

    def _settings(self, params: dict[str, Any], recording: BaseRecording) -> dict[str, Any]:
        settings = {key: value for key, value in params.items() if key in DEFAULT_SETTINGS}
        for key in UNLIMITED:
            settings[key] = math.inf if settings[key] is None else settings[key]
        settings["n_chan_bin"] = int(recording.get_num_channels())
        settings["fs"] = float(recording.get_sampling_frequency())
        return settings


def pick_device(wanted: str) -> torch.device:
    """Return the device asked for.

    Raises EnvironmentSortFailure for a GPU on a machine where torch sees none: falling back in
    silence would turn an hour into a day.
    """
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise EnvironmentSortFailure(
            "A GPU was asked for, but torch sees none here; repair the driver or sort on the CPU.",
            device=wanted,
            torch=str(torch.__version__),
        )
    return torch.device(wanted)


def binary_file(recording: BaseRecording, copy: Path, n_jobs: int) -> tuple[Path, str]:
    """Return a flat samples x channels file of the recording and its sample type.

    The recording's own file where it has one Kilosort can read, else a copy written to ``copy``.
    """
    dtype = str(recording.get_dtype())
    flat = recording.binary_compatible_with(time_axis=0, file_paths_length=1, file_offset=0)
    if flat and dtype in READABLE_DTYPES:
        return Path(recording.get_binary_description()["file_paths"][0]), dtype
    if dtype not in READABLE_DTYPES:
        dtype = "float32"
    gc.freeze()  # the writer collects garbage once per chunk; imported modules are no garbage
    write_binary_recording(
        recording,
        file_paths=[copy],
        dtype=dtype,
        n_jobs=n_jobs,
        chunk_duration="1s",
        progress_bar=False,
    )
    return copy, dtype


def probe_dictionary(recording: BaseRecording) -> dict[str, Any]:
    """Return the contact positions in µm, shank numbers and channel map, as Kilosort wants them."""
    positions_um = np.asarray(recording.get_channel_locations(), dtype=np.float32)
    n_channels = len(positions_um)
    groups = recording.get_property("group")
    shanks = np.zeros(n_channels) if groups is None else np.unique(groups, return_inverse=True)[1]
    return {
        "xc": positions_um[:, 0].copy(),
        "yc": positions_um[:, 1].copy(),
        "kcoords": np.asarray(shanks, dtype=np.float32),
        "chanMap": np.arange(n_channels, dtype=np.int32),
        "n_chan": n_channels,
    }


def read_results(results: Path, recording: BaseRecording) -> NumpySorting:
    """Return Kilosort's spikes in samples, with its label and contamination for each unit.

    Read from the files and not from what run_kilosort returns: the files hold the times after
    duplicates were removed and the start was added. A fit that hangs over either end is dropped.
    """
    times = np.load(results / "spike_times.npy").ravel()
    clusters = np.load(results / "spike_clusters.npy").ravel()
    inside = (times >= 0) & (times < recording.get_num_samples())
    sorting = NumpySorting.from_samples_and_labels(
        [times[inside]], [clusters[inside]], float(recording.get_sampling_frequency())
    )
    for table in ("KSLabel", "ContamPct"):
        rows = (results / f"cluster_{table}.tsv").read_text(encoding="utf-8").splitlines()[1:]
        values = dict(row.split("\t") for row in rows)
        column = [values.get(str(unit), "") for unit in sorting.unit_ids]
        sorting.set_property(table, np.array(column))
    return sorting


def _learned_from_nothing(error: ValueError) -> bool:
    """Whether Kilosort died while learning templates from the few batches it samples."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.name == "extract_wPCA_wTEMP" for frame in frames)


BACKEND = Kilosort4()
