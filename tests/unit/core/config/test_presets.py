import copy
import json
from pathlib import Path

import pytest

from spikefleet.core.config import OWN_PRESETS, PRESETS, preset, preset_names, resolve
from spikefleet.core.config.compat import ACCEPTED
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.sorters.catalogue import BACKENDS

HERE = Path(__file__).parent
SHARED = HERE.parents[4] / "shared" / "reference" / "config_presets.json"

# Settings that labs do not know from before, with their defaults.
OUR_OWN = {"execution.allow_result_affecting": False}


def expected_presets():
    """The values every lab knows: one full document, and what each preset changes in it."""
    fixture = json.loads((HERE / "reference_presets.json").read_text())
    documents = {}
    for name, changes in fixture["changes"].items():
        documents[name] = copy.deepcopy(fixture["base"])
        for dotted, value in changes.items():
            group, field = dotted.split(".")
            documents[name][group][field] = value
    return documents


def expanded(document):
    return {
        f"{group}.{field}": value
        for group, fields in document.items()
        for field, value in fields.items()
    }


@pytest.mark.parametrize("name", sorted(expected_presets()))
def test_every_field_and_default_of_a_preset_is_the_one_labs_know(name):
    expected = expanded(expected_presets()[name])
    here = {field: value for field, value in expected.items() if field not in ACCEPTED}
    assert len(expected) - len(here) == len(ACCEPTED)
    assert expanded(preset(name).to_document()) == {**OUR_OWN, **here}


def test_the_committed_copy_of_the_presets_is_the_original():
    if not SHARED.exists():
        pytest.skip("the original preset file is not beside this checkout")
    assert expected_presets() == json.loads(SHARED.read_text())


def test_there_are_six_presets_and_one_for_each_other_sorter():
    assert set(PRESETS) == set(expected_presets())
    assert set(OWN_PRESETS) == {
        "LUPIN",
        "SPYKINGCIRCUS2",
        "TRIDESCLOUS2",
        "MOUNTAINSORT5",
        "RT_SORT",
        "RT_SORT_MEA_PUBLISHED",
    }
    assert len(preset_names()) == 12


@pytest.mark.parametrize("name", [name.lower() for name in OWN_PRESETS if name.lower() in BACKENDS])
def test_a_cpu_preset_differs_from_kilosort4_only_in_the_sorter(name):
    expected = preset("kilosort4").to_document()
    expected["sorter"]["sorter_name"] = name
    assert preset(name).to_document() == expected


@pytest.mark.parametrize("name", ["Kilosort4-Docker", " kilosort4_docker ", "KILOSORT4 DOCKER"])
def test_case_dashes_and_spaces_do_not_matter_in_a_preset_name(name):
    assert preset(name) == preset("KILOSORT4_DOCKER")


def test_an_unknown_preset_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidConfigurationError, match="did you mean 'kilosort4'"):
        preset("kilosrot4")


def test_an_unknown_preset_like_nothing_lists_what_there_is():
    with pytest.raises(InvalidConfigurationError, match=r"choose one of kilosort2,.*mountainsort5"):
        preset("zzz")


def test_a_submission_resolves_to_preset_plus_overrides():
    config = resolve("kilosort4", {"snr_min": 3, "sorter": "lupin"})
    assert config.curation.snr_min == 3.0
    assert config.sorter.sorter_name == "lupin"


def test_changing_the_parameters_of_one_copy_leaves_the_preset_alone():
    preset("rt_sort_neuropixels").rt_sort.params["loose_thresh"] = 99
    assert preset("rt_sort_neuropixels").rt_sort.params["loose_thresh"] == 0.075
