from spikefleet.core.config import SortingConfig, json_schema
from spikefleet.core.config.effects import (
    CURATION_FIELDS,
    EXPORT_FIELDS,
    MARK,
    PENDING_FIELDS,
    RT_SORT_FIELDS,
    SORT_FIELDS,
)
from spikefleet.core.config.names import dotted_names


def test_every_pending_name_is_a_field():
    assert set(dotted_names(SortingConfig)) >= PENDING_FIELDS


def test_a_field_is_read_by_one_stage_or_has_no_effect_yet():
    names = set(dotted_names(SortingConfig))
    assert names >= SORT_FIELDS | RT_SORT_FIELDS | CURATION_FIELDS | EXPORT_FIELDS
    assert not EXPORT_FIELDS & (SORT_FIELDS | CURATION_FIELDS)
    assert not SORT_FIELDS & CURATION_FIELDS
    assert not (SORT_FIELDS | CURATION_FIELDS) & PENDING_FIELDS


def test_the_schema_marks_them():
    compilation = json_schema()["$defs"]["CompilationConfig"]["properties"]
    assert not compilation["compile_to_mat"]["description"].startswith(MARK)
    guards = json_schema()["$defs"]["ExecutionConfig"]["properties"]
    assert guards["delete_inter"]["description"].startswith(MARK)
    assert not guards["host_ram_watchdog"]["description"].startswith(MARK)
