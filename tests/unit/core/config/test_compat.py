import pytest

from spikefleet.core.config import SortingConfig
from spikefleet.core.config.compat import ACCEPTED, told, without_effect
from spikefleet.core.config.names import RENAMED, dotted_names, flat_names
from spikefleet.core.failures.errors import InvalidConfigurationError


def test_a_name_has_one_meaning_only():
    assert not set(ACCEPTED) & set(dotted_names(SortingConfig))
    assert not {name for name in flat_names(SortingConfig) if without_effect(name)}
    assert not {name for name in RENAMED if without_effect(name)}


def test_the_old_names_are_told_with_the_reason():
    (sentence,) = told(["snr_min", "save_script"])
    assert sentence.endswith("no effect here: the resolved configuration is always kept.")
    assert told(["streaming_waveforms"])[0].startswith("streaming_waveforms is accepted")
    assert told(["snr_min", "delete_inter"]) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("total_memory", 0),
        ("total_memory", "lots"),
        ("execution.total_memory", "0G"),
        ("save_script", "perhaps"),
        ("sorter_inactivity_in_process_grace_s", -1),
        ("out_file", 3),
    ],
)
def test_a_value_that_such_a_setting_never_had_is_refused_with_what_it_was(name, value):
    with pytest.raises(InvalidConfigurationError, match="no effect here in any case"):
        SortingConfig().override(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("total_memory", "16G"),
        ("total_memory", "1.5 GiB"),
        ("save_script", True),
        ("out_file", "a.log"),
    ],
)
def test_a_value_that_such_a_setting_had_changes_nothing(name, value):
    assert SortingConfig().override(**{name: value}) == SortingConfig()


def test_a_document_of_an_earlier_version_stays_readable():
    document = SortingConfig().override(snr_min=3).to_document()
    for dotted in ACCEPTED:
        group, _, field = dotted.partition(".")
        document[group][field] = "as it was"
    assert SortingConfig.from_document(document) == SortingConfig().override(snr_min=3)
