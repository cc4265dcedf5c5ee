"""RT-Sort: neurons by how their action potentials travel over a dense array of electrodes.

The network is the one published for the probe; limits are the probe's unless they are given.
``sequences.npz`` in the folder is what another recording of the same electrodes can be sorted by.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from spikefleet.core.failures.errors import InsufficientActivityError, InvalidConfigurationError
from spikefleet.rt_sort.detection_model import read_model
from spikefleet.rt_sort.limits import TABLES, RtSortLimits, limits_of
from spikefleet.rt_sort.network import read_weights
from spikefleet.rt_sort.sorting import RtSortOptions, detect_and_sort
from spikefleet.signal.sorters.activity import require_activity, require_units
from spikefleet.signal.sorters.base import SortRequest
from spikefleet.signal.sorters.params import merge_params

if TYPE_CHECKING:
    from spikeinterface.core import BaseSorting

SEQUENCES = "sequences.npz"
_RUN = {
    "probe": "mea",
    "model_path": None,
    "device": None,
    "num_processes": None,
    "recording_window_ms": None,
    "detection_window_s": None,
    "chunk_frames": None,
    "scaling": "spread",
    "precision": "auto",
    "keep_sequences": True,
    "verbose": True,
}
_LIMITS = tuple(item.name for item in fields(RtSortLimits))
_SCALINGS, _PRECISIONS = ("spread", "first_50ms"), ("auto", "float32", "bfloat16", "float16")


class RtSort:
    """The adapter."""

    name = "rt_sort"
    keeps = (SEQUENCES,)

    def default_params(self) -> dict[str, Any]:
        """How it runs, and every limit; a limit that is None is the probe's."""
        return {**_RUN, **dict.fromkeys(_LIMITS)}

    def published_bounds(self) -> dict[str, dict[str, Any]]:
        """Type and bounds of each setting, for the table of parameters."""
        rows: dict[str, dict[str, Any]] = {
            item.name: {"type": type(getattr(RtSortLimits(), item.name))}
            for item in fields(RtSortLimits)
        }
        for name, row in rows.items():
            if row["type"] is not bool:
                row["min"] = -100 if name == "relocate_root_max_latency" else 0
        return rows | {
            "model_path": {"type": str},
            "device": {"type": str},
            "num_processes": {"type": int, "min": 1, "max": 256},
            "recording_window_ms": {"type": list},
            "detection_window_s": {"type": float, "min": 0, "exclude": (0,)},
            "chunk_frames": {"type": int, "min": 1},
        }

    def versions(self) -> dict[str, str]:
        """The libraries that decide the result."""
        return {
            "torch": str(torch.__version__),
            "numba": version("numba"),
            "scikit-learn": version("scikit-learn"),
        }

    def resolve(self, request: SortRequest) -> dict[str, Any]:
        """Return the parameters this request will run with, every limit with its number.

        Raises InvalidConfigurationError for a name RT-Sort does not know or a value that is none.
        """
        params = merge_params("RT-Sort", self.default_params(), request.params)
        for name, known in (("probe", TABLES), ("scaling", _SCALINGS), ("precision", _PRECISIONS)):
            if params[name] not in known:
                raise InvalidConfigurationError(
                    f"RT-Sort has no {name} {params[name]!r}; choose one of {', '.join(known)}.",
                    field=f"sorter.sorter_params.{name}",
                    value=repr(params[name])[:200],
                )
        return {**params, **_limits(params).to_json()}

    def sort(self, request: SortRequest) -> BaseSorting:
        """Find sequences and sort by them.

        Raises InsufficientActivityError where there are no sequences, ModelLoadingError where the
        network cannot be read.
        """
        params = self.resolve(request)
        options = self._options(params, request)
        activity = require_activity(request.recording, self.name)
        request.folder.mkdir(parents=True, exist_ok=True)
        found = detect_and_sort(request.recording, request.folder, options)
        if not len(found.sequences):
            raise InsufficientActivityError(
                "RT-Sort found no sequence: no neuron is seen by enough neighbouring electrodes "
                f"({options.settled_limits().min_loose_detections_n} within "
                f"{options.settled_limits().inner_radius:g} µm), often enough.",
                sorter=self.name,
                threshold_crossings=activity.n_crossings,
                units_at_failure=0,
            )
        if params["keep_sequences"]:
            found.sequences.save(request.folder / SEQUENCES)
        return require_units(found.to_sorting(), self.name, activity)

    def _options(self, params: Mapping[str, Any], request: SortRequest) -> RtSortOptions:
        window = params["recording_window_ms"]
        model = params["model_path"]
        device = params["device"] or request.device
        if device.startswith("cuda") and request.device == "cpu":
            device = "cpu"
            _say("WARNING: RT-Sort was asked for a GPU and got none; it runs on the CPU.")
        return RtSortOptions(
            probe=params["probe"],
            limits=_limits(params),
            model=read_model(Path(model), read_weights) if model else None,
            window_ms=None if window is None else (float(window[0]), float(window[1])),
            detection_window_s=params["detection_window_s"],
            device="cpu" if device in ("auto", "cpu") and request.device == "cpu" else device,
            precision=params["precision"],
            workers=params["num_processes"] or request.n_jobs,
            chunk_frames=params["chunk_frames"] or 0,
            scaling=params["scaling"],
            tell=_say if params["verbose"] else _say_progress,
        )


def _limits(params: Mapping[str, Any]) -> RtSortLimits:
    given = {name: params[name] for name in _LIMITS if params[name] is not None}
    return limits_of(params["probe"], given)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _say_progress(line: str) -> None:
    if line.startswith("RT-Sort:"):
        _say(line)


BACKEND = RtSort()
