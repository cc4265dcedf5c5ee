"""Folders of models: the published ones are read, whatever does not fit ends with a reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikefleet.core.failures.errors import ModelLoadingError
from spikefleet.rt_sort import detection_model
from spikefleet.rt_sort.detection_model import (
    arrays_of,
    header_of,
    model_from_arrays,
    read_model,
    shipped_model,
)
from spikefleet.rt_sort.network import read_weights

MODELS = Path(detection_model.__file__).parent / "models"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODELS / "mea", tmp_path / "mea"))


def describe(folder: Path, **changes: Any) -> None:
    path = folder / "init_dict.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("probe", "taps", "parameters"), [("mea", 21, 107_251), ("neuropixels", 31, 158_251)]
)
def test_a_published_model_is_read_on_a_machine_without_its_device(
    probe: str, taps: int, parameters: int
) -> None:
    model = shipped_model(probe, read_weights)
    assert model.taps == taps
    assert sum(weight.size + bias.size for weight, bias in model.layers) == parameters


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"architecture_params": [7, 50, "relu", 0, 0, 0, 0]}, "architecture code 7"),
        ({"architecture_params": [4, 50, "prelu", 0, 0, 0, 0]}, "beyond convolutions and ReLU"),
        ({"architecture_params": [4, 50, "relu", 0, 0, 1, 0]}, "beyond convolutions and ReLU"),
        ({"architecture_params": [-4, 50, "relu", 0, 0, 0, 0]}, "convolution 0 has shape"),
        ({"architecture_params": [4, 24, "relu", 0, 0, 0, 0]}, "convolution 0 has shape"),
        ({"architecture_params": "relu"}, "not a list of seven"),
        ({"buffer_front_sample": 30}, "its ends are 30 and 40"),
        ({"num_channels_in": 2}, "one electrode at a time"),
        ({"sample_size": 80}, "leaves no output"),
        ({"input_scale": 0.0}, "not above zero"),
        ({"input_scale": "much"}, "no number"),
    ],
)
def test_a_model_of_another_shape_is_refused(
    folder: Path, changes: dict[str, Any], told: str
) -> None:
    describe(folder, **changes)
    with pytest.raises(ModelLoadingError, match=told) as raised:
        read_model(folder, read_weights)
    assert raised.value.row.exit_code == 93


def test_a_model_without_one_of_its_files_is_refused(folder: Path) -> None:
    (folder / "state_dict.pt").unlink()
    with pytest.raises(ModelLoadingError, match="no file state_dict"):
        read_model(folder, read_weights)


def test_a_description_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / "init_dict.json").write_text("{")
    with pytest.raises(ModelLoadingError, match="cannot be read"):
        read_model(folder, read_weights)


def test_a_model_survives_being_taken_apart(folder: Path) -> None:
    model = read_model(folder, read_weights)
    again = model_from_arrays(header_of(model), arrays_of(model))
    assert header_of(again) == header_of(model)
    for (weight, bias), (other, offset) in zip(model.layers, again.layers, strict=True):
        np.testing.assert_array_equal(weight, other)
        np.testing.assert_array_equal(bias, offset)


def test_weights_that_were_changed_since_are_refused(folder: Path) -> None:
    model = read_model(folder, read_weights)
    arrays = {name: array.copy() for name, array in arrays_of(model).items()}
    arrays["model_bias_0"][0] += 1.0
    with pytest.raises(ModelLoadingError, match="not those it was saved with"):
        model_from_arrays(header_of(model), arrays)
