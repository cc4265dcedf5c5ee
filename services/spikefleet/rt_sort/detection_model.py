"""A detection model as numbers: what it is made of, read from a folder, checked before any use.

The published folders hold ``init_dict.json`` and ``state_dict.pt``. Everything here is checked
before a recording is opened: a model that does not fit ends as ModelLoadingError. Running it is
``network``'s matter; the weights here are plain arrays, so that they travel in other files too.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikefleet.core.failures.errors import ModelLoadingError

PROBES = ("mea", "neuropixels")
_DESCRIPTION, _WEIGHTS = "init_dict.json", "state_dict.pt"
_LARGEST_FILE = 64 << 20
# Code of an architecture: convolutions, taps of each.
_ARCHITECTURES = {
    1: (4, 16),
    2: (6, 11),
    3: (10, 7),
    4: (4, 21),
    -4: (4, 31),
    5: (8, 11),
    6: (10, 9),
}

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Weights (out, in, taps) and biases (out,) of one convolution."""
ReadWeights = Callable[[Path], Mapping[str, NDArray[np.float32]]]


@dataclass(frozen=True)
class DetectionModel:
    """A convolutional network that marks the troughs of action potentials on one electrode.

    ``front`` and ``end`` are the frames at either end of an input that get no output: output j of
    an input belongs to its frame ``front + j``. ``input_scale`` multiplies µV.
    """

    name: str
    sha256: str  #: of the weights' bytes, layer by layer
    window_frames: int  #: frames of one input in training
    front: int
    end: int
    input_scale: float
    layers: tuple[Layer, ...]

    @property
    def taps(self) -> int:
        """Taps of each convolution."""
        return int(self.layers[0][0].shape[2])


def shipped_model(probe: str, read_weights: ReadWeights) -> DetectionModel:
    """Return the authors' model for a kind of probe: ``mea`` (20 kHz) or ``neuropixels`` (30 kHz).

    Raises ModelLoadingError where the installation lacks it.
    """
    with as_file(files("spikefleet.rt_sort").joinpath("models", probe)) as folder:
        return read_model(folder, read_weights)


def read_model(folder: Path, read_weights: ReadWeights) -> DetectionModel:
    """Return the model in a folder as RT-Sort's authors publish them.

    The device that it was trained on does not matter. Raises ModelLoadingError naming the file.
    """
    for name in (_DESCRIPTION, _WEIGHTS):
        path = folder / name
        if not path.is_file():
            raise _refusal(folder, f"it has no file {name}")
        if path.stat().st_size > _LARGEST_FILE:
            raise _refusal(folder, f"{name} is larger than {_LARGEST_FILE >> 20} MiB")
    description = _read_description(folder)
    layers, taps = _architecture(folder, description)
    weights = read_weights(folder / _WEIGHTS)
    return _assemble(folder, description, (layers, taps), weights)


def model_from_arrays(
    header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> DetectionModel:
    """Return a model from ``header_of`` and ``arrays_of`` of another one.

    Raises ModelLoadingError.
    """
    place = Path(str(header.get("name", "saved model")))
    try:
        count = int(header["layers"])
        layers = tuple(
            (
                np.asarray(arrays[f"model_weight_{index}"], dtype=np.float32),
                np.asarray(arrays[f"model_bias_{index}"], dtype=np.float32),
            )
            for index in range(count)
        )
        model = DetectionModel(
            name=place.name,
            sha256=weights_digest(layers),
            window_frames=int(header["window_frames"]),
            front=int(header["front"]),
            end=int(header["end"]),
            input_scale=float(header["input_scale"]),
            layers=layers,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _refusal(place, f"its saved form is incomplete ({error})") from error
    _require_fit(place, model)
    if model.sha256 != header.get("sha256"):
        raise _refusal(place, "its weights are not those it was saved with")
    return model


def header_of(model: DetectionModel) -> dict[str, Any]:
    """Everything of a model but its weights, as JSON."""
    return {
        "name": model.name,
        "sha256": model.sha256,
        "window_frames": model.window_frames,
        "front": model.front,
        "end": model.end,
        "input_scale": model.input_scale,
        "layers": len(model.layers),
    }


def arrays_of(model: DetectionModel) -> dict[str, NDArray[np.float32]]:
    """The weights of a model by name."""
    named: dict[str, NDArray[np.float32]] = {}
    for index, (weight, bias) in enumerate(model.layers):
        named[f"model_weight_{index}"] = weight
        named[f"model_bias_{index}"] = bias
    return named


def weights_digest(layers: tuple[Layer, ...]) -> str:
    """SHA-256 of the weights and biases, in order, as little-endian float32."""
    digest = hashlib.sha256()
    for weight, bias in layers:
        for array in (weight, bias):
            digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return digest.hexdigest()


def _read_description(folder: Path) -> Mapping[str, Any]:
    try:
        description = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _refusal(folder, f"{_DESCRIPTION} cannot be read ({error})") from error
    if not isinstance(description, dict):
        raise _refusal(folder, f"{_DESCRIPTION} is not one JSON object")
    return description


def _architecture(folder: Path, description: Mapping[str, Any]) -> tuple[int, int]:
    """Return convolutions and taps. Raises ModelLoadingError for what is not built here."""
    params = description.get("architecture_params")
    if not isinstance(params, list) or len(params) != 7:
        raise _refusal(folder, "architecture_params is not a list of seven")
    code, _, activation, *extras = params
    if activation != "relu" or any(extras):
        raise _refusal(folder, f"its architecture {params} has parts beyond convolutions and ReLU")
    if isinstance(code, str) and code.isdecimal() and 0 < int(code) <= 100:
        return 4, int(code) + 1
    if isinstance(code, bool) or code not in _ARCHITECTURES:
        raise _refusal(folder, f"its architecture code {code!r} is none of 1 to 6, -4 or a text")
    return _ARCHITECTURES[code]


def _assemble(
    folder: Path,
    description: Mapping[str, Any],
    shape: tuple[int, int],
    weights: Mapping[str, NDArray[np.float32]],
) -> DetectionModel:
    n_layers, taps = shape
    try:
        layers = tuple(
            (weights[f"model.conv.{2 * index}.weight"], weights[f"model.conv.{2 * index}.bias"])
            for index in range(n_layers)
        )
        model = DetectionModel(
            name=folder.name,
            sha256=weights_digest(layers),
            window_frames=int(description["sample_size"]),
            front=int(description["buffer_front_sample"]),
            end=int(description["buffer_end_sample"]),
            input_scale=float(description["input_scale"]),
            layers=layers,
        )
        channels = int(description["architecture_params"][1])
        shifts = [int(description.get(key, 0)) for key in ("buffer_front_loc", "buffer_end_loc")]
    except (KeyError, TypeError, ValueError) as error:
        raise _refusal(folder, f"something is missing or no number ({error})") from error
    if description.get("num_channels_in") != 1 or any(shifts):
        raise _refusal(folder, "it does not read one electrode at a time")
    sizes = [1, *[channels] * (n_layers - 1), 1]
    for index, (weight, bias) in enumerate(layers):
        wanted = (sizes[index + 1], sizes[index], taps)
        if weight.shape != wanted or bias.shape != wanted[:1]:
            raise _refusal(
                folder,
                f"convolution {index} has shape {weight.shape}, its description says {wanted}",
            )
    _require_fit(folder, model)
    return model


def _require_fit(place: Path, model: DetectionModel) -> None:
    """Raises ModelLoadingError unless layers, ends and numbers fit together."""
    if not model.layers or any(weight.ndim != 3 for weight, _ in model.layers):
        raise _refusal(place, "it has no convolutions")
    eaten = sum(weight.shape[2] - 1 for weight, _ in model.layers)
    if model.front != model.end or model.front + model.end != eaten:
        raise _refusal(
            place,
            f"its convolutions take {eaten} frames, its ends are {model.front} and {model.end}",
        )
    if model.window_frames <= eaten:
        raise _refusal(place, f"its input of {model.window_frames} frames leaves no output")
    if not (math.isfinite(model.input_scale) and model.input_scale > 0):
        raise _refusal(place, f"its input_scale {model.input_scale} is not above zero")
    if not all(np.isfinite(array).all() for layer in model.layers for array in layer):
        raise _refusal(place, "its weights hold values that are no numbers")


def _refusal(place: Path, why: str) -> ModelLoadingError:
    return ModelLoadingError(
        f"The detection model {place.name!r} cannot be used: {why}. Put the model's two published "
        "files there again, or leave the model to the probe's own.",
        model_path=str(place),
    )
