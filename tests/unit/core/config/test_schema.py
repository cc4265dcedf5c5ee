from spikefleet.core.config import SortingConfig, json_schema


def test_every_field_says_what_it_means():
    for group, info in SortingConfig.model_fields.items():
        assert info.description
        for field, entry in info.annotation.model_fields.items():
            assert entry.description, f"{group}.{field}"
            assert entry.description.endswith("."), f"{group}.{field}"


def test_numbers_with_a_dimension_say_their_unit():
    units = {"_s": "(s", "_ms": "(ms", "_gb": "(GiB", "_pct": "%", "_temp_c": "°C"}
    seen = set()
    for info in SortingConfig.model_fields.values():
        for field, entry in info.annotation.model_fields.items():
            for suffix, unit in units.items():
                if field.endswith(suffix) or f"{suffix}_" in field.replace("_s_", "_"):
                    seen.add(suffix)
                    assert unit in entry.description or "frames" in entry.description, field
    assert seen == set(units)


def test_the_schema_is_closed_and_bounded():
    schema = json_schema()
    assert schema["additionalProperties"] is False
    curation = schema["$defs"]["CurationConfig"]
    assert curation["additionalProperties"] is False
    assert curation["properties"]["snr_min"]["default"] == 5.0
