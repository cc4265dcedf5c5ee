"""Fields of HDF5 headers: what is missing, of another kind or absurd is refused by name."""

import h5py
import numpy as np
import pytest

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.formats.hdf5 import dataset_at
from spikefleet.signal.formats.hdf5_fields import (
    first_value,
    groups_in,
    number_at,
    numbers_at,
    table_at,
    whole_numbers,
)

CHANNELS = np.zeros(3, dtype=[("channel", "<i4"), ("x", "<f8"), ("name", "S4")])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "header.h5"
    with h5py.File(path, "w") as made:
        made["rate"] = np.array([20_000.0])
        made["nothing"] = np.zeros(0)
        made["not a number"] = np.array([np.nan])
        made["text"] = np.array([b"x", b"y"])
        made["clock"] = np.arange(5)
        made["table"] = CHANNELS
        made["wells/a/inside"] = 1
        made["wells/b"] = 1
        made["wells/gone"] = h5py.SoftLink("/nowhere")
        made.create_dataset("endless", shape=(1 << 40,), chunks=(1024,), dtype="<f8")
        yield made


def refused(call, file, *arguments, **options):
    with pytest.raises(InputCorruptError) as caught:
        call(file, *arguments, **options)
    return caught.value


def test_what_is_there_is_returned(file, tmp_path):
    assert number_at(file, "rate", tmp_path, above=0) == 20_000.0
    assert numbers_at(file, "clock", tmp_path).tolist() == [0, 1, 2, 3, 4]
    assert table_at(file, "table", tmp_path, numbers=("x",), others=("name",)).size == 3
    assert whole_numbers(file["clock"], tmp_path) == file["clock"]


def test_only_groups_are_groups(file, tmp_path):
    assert list(groups_in(file, "wells", tmp_path)) == ["a"]
    assert groups_in(file, "rate", tmp_path) == groups_in(file, "elsewhere", tmp_path) == {}


@pytest.mark.parametrize("name", ["wells", "elsewhere", "nothing"])
def test_a_field_that_is_none_is_named(file, tmp_path, name):
    assert name in refused(first_value, file, name, tmp_path).message


@pytest.mark.parametrize("name", ["text", "not a number"])
def test_a_number_is_one(file, tmp_path, name):
    assert refused(number_at, file, name, tmp_path).reason == "unreadable"


def test_what_claims_to_be_endless_is_not_read(file, tmp_path):
    for call in (first_value, numbers_at):
        assert refused(call, file, "endless", tmp_path).reason == "absurd"
    assert refused(table_at, file, "endless", tmp_path, numbers=("x",)).reason == "absurd"


@pytest.mark.parametrize("columns", [("y",), ("name",)])
def test_a_table_has_its_columns_and_they_hold_numbers(file, tmp_path, columns):
    assert columns[0] in refused(table_at, file, "table", tmp_path, numbers=columns).message


def test_a_clock_counts_in_whole_numbers(file, tmp_path):
    assert "rate" in refused(whole_numbers, file["rate"], tmp_path).message
    assert "table" in refused(whole_numbers, file["table"], tmp_path).message
    assert dataset_at(file, "clock", tmp_path).shape == (5,)
