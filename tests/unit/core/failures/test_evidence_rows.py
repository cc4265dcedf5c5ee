"""What a row publishes is what is emitted for it, wherever in the code that happens."""

import ast
import json
import pickle
import re
from pathlib import Path

import pytest

from spikefleet.core.failures.classify import RULES
from spikefleet.core.failures.codes import BY_CODE, FAILURES, FailureCode
from spikefleet.core.failures.errors import CLASS_BY_CODE, Failure, HostMemoryWatchdogError
from spikefleet.core.failures.evidence import FailureEvidence
from spikefleet.core.failures.evidence_rows import HostMemoryEvidence
from spikefleet.core.failures.reading.cluster_reasons import REASONS, from_reason

PACKAGE = Path(__file__).parents[4] / "services" / "spikefleet"
BY_CLASS = {cls.__name__: BY_CODE[code].evidence for code, cls in CLASS_BY_CODE.items()}
# Helpers that take evidence as keywords beside the code.
TAKE_EVIDENCE = {"_of", "_changed", "_quiet", "_outside", "becomes"}
NO_EVIDENCE = {"rule_id", "message", "stage", "suggest", "code", "evidence"}
# The attributes that the classes of SpikeLab carry.
REFERENCE = {
    FailureCode.INSUFFICIENT_ACTIVITY: (
        "sorter",
        "threshold_crossings",
        "units_at_failure",
        "nspks_at_failure",
        "log_path",
    ),
    FailureCode.NO_GOOD_CHANNELS: ("sorter", "total_channels", "bad_channels", "log_path"),
    FailureCode.SATURATED_SIGNAL: ("channels_saturated", "total_channels"),
    FailureCode.EMPTY_WAVEFORM_METRICS: ("metric_name",),
    FailureCode.CONCURRENT_SORT: ("lock_path", "holder_pid", "holder_hostname", "started_at"),
    FailureCode.HDF5_PLUGIN_MISSING: ("configured_path",),
    FailureCode.DOCKER_ENVIRONMENT: ("reason",),
    FailureCode.MODEL_LOADING: ("sorter", "model_path"),
    FailureCode.GPU_OUT_OF_MEMORY: ("sorter", "log_path"),
    FailureCode.SORTER_TIMEOUT: ("sorter", "inactivity_s", "log_path"),
    FailureCode.DISK_EXHAUSTION: ("folder", "free_gb_at_trip", "abort_threshold_gb", "report"),
    FailureCode.GPU_MEMORY_WATCHDOG: ("device_index", "used_pct_at_trip", "abort_pct"),
    FailureCode.GPU_THERMAL_WATCHDOG: ("device_index", "temperature_c_at_trip", "abort_temp_c"),
    FailureCode.IO_STALL: ("device", "stall_s"),
    FailureCode.HOST_MEMORY_WATCHDOG: ("percent_at_trip", "abort_pct"),
}


def calls():
    for path in sorted(PACKAGE.rglob("*.py")):
        if "api" in path.relative_to(PACKAGE).parts[:1]:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", name, node


def code_of(node):
    given = [*node.args, *(word.value for word in node.keywords if word.arg == "code")]
    text = " ".join(ast.unparse(value) for value in given)
    found = re.search(r"FailureCode\.([A-Z_0-9]+)", text)
    known = found and found[1] in FailureCode.__members__
    return BY_CODE[FailureCode[found[1]]].evidence if known else None


def emitted():
    """Every name of evidence that the code writes for a row, with the place."""
    for place, name, node in calls():
        keywords = {word.arg: word.value for word in node.keywords if word.arg}
        if name in BY_CLASS:
            for word in keywords:
                yield place, BY_CLASS[name], word
        elif name in TAKE_EVIDENCE and (row := code_of(node)):
            for word in set(keywords) - NO_EVIDENCE:
                yield place, row, word
        elif name == "Failure" and (row := code_of(node)):
            evidence = keywords.get("evidence")
            if isinstance(evidence, ast.Dict):
                for key in evidence.keys:
                    if isinstance(key, ast.Constant):
                        yield place, row, str(key.value)


def test_every_name_that_the_code_emits_is_published_by_its_row():
    found = list(emitted())
    assert len(found) > 120
    foreign = [
        f"{place}: {row.__name__} has no {name!r}"
        for place, row, name in found
        if name not in row.names()
    ]
    assert foreign == []


def test_every_name_that_a_rule_takes_out_of_a_text_is_published():
    foreign = []
    for rule in RULES:
        names = BY_CODE[rule.code].evidence.names()
        taken = [re.sub("_size$", "_bytes", group) for group in re.compile(rule.pattern).groupindex]
        foreign += [(rule.rule_id, name) for name in (*rule.evidence, *taken) if name not in names]
    assert foreign == []


@pytest.mark.parametrize("row", REASONS, ids=lambda row: row.name)
def test_a_clusters_reason_carries_published_names(row):
    failure = from_reason(f"{row.words[0]}: exceeds the limit")
    assert failure.evidence.extra == {}
    assert failure.evidence.reason


@pytest.mark.parametrize("code", REFERENCE)
def test_the_attributes_of_the_reference_exist_and_are_none_where_unknown(code):
    error = CLASS_BY_CODE[code]("x")
    assert [getattr(error, name) for name in REFERENCE[code]] == [None] * len(REFERENCE[code])


def test_every_row_says_something_of_its_own_and_explains_every_name():
    for row in FAILURES:
        assert row.evidence.own_names(), row.code
        known = row.evidence.of(dict.fromkeys(row.evidence.names(), 1))
        assert set(known) == row.evidence.names(), row.code
        assert dict(known) == known.to_json() == json.loads(json.dumps(known.to_json())), row.code
        assert pickle.loads(pickle.dumps(known)) == known, row.code


def test_what_is_not_known_is_not_written():
    evidence = HostMemoryEvidence(percent_at_trip=93.5)
    assert dict(evidence) == {"percent_at_trip": 93.5}
    assert evidence.abort_pct is None
    assert len(evidence) == 1


def test_a_document_of_an_older_version_stays_readable():
    stored = {
        "code": "host_memory_watchdog",
        "message": "x",
        "evidence": {"used_pct": 93.5, "made_up": {"n": 1}},
    }
    failure = Failure.from_json(stored)
    assert failure.evidence.percent_at_trip == 93.5
    assert failure.evidence["made_up"] == {"n": 1}
    assert failure.to_json()["evidence"] == {"percent_at_trip": 93.5, "made_up": {"n": 1}}
    assert Failure.from_json(failure.to_json()) == failure
    error = failure.to_error()
    assert isinstance(error, HostMemoryWatchdogError)
    assert (error.percent_at_trip, error.made_up) == (93.5, {"n": 1})


def test_evidence_may_not_be_changed_behind_a_failures_back():
    evidence = HostMemoryEvidence(percent_at_trip=93.5)
    with pytest.raises(AttributeError):
        evidence.percent_at_trip = 1.0


def test_under_another_code_what_only_the_old_row_knows_is_kept_as_its_complaint():
    before = Failure(
        FailureCode.INSUFFICIENT_ACTIVITY,
        "Too few.",
        evidence={"sorter": "kilosort4", "n_clusters": 6},
    )
    after = before.becomes(FailureCode.SATURATED_SIGNAL, "measured.x", "At the rail.")
    assert after.evidence == {"sorter": "kilosort4", "complaint": {"n_clusters": 6}}
    assert isinstance(after.evidence, FailureEvidence)
