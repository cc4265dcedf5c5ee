"""Every case of the corpus: recorded ends of real sorts, and ends known by their words."""

import json

import pytest
from tests.corpus.cases import FOLDER, Case, evidence, recorded, told

from spikefleet.core.failures.classify import classify
from spikefleet.core.failures.codes import BY_CODE, FailureCode
from spikefleet.core.failures.errors import Failure

RECORDED, TOLD = recorded(), told()


def named(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", RECORDED, ids=named)
def test_what_a_sorter_really_did_gets_its_name(case, tmp_path):
    failure = classify(evidence(case, tmp_path))
    assert (failure.code, failure.rule_id) == (case.expect["code"], case.expect["rule"])
    assert failure.category == case.expect["category"]
    known = {**(failure.evidence.complaint or {}), **failure.evidence}
    assert {key: known.get(key) for key in case.expect["evidence"]} == (case.expect["evidence"])


@pytest.mark.parametrize("case", TOLD, ids=named)
def test_what_a_sorter_said_gets_its_name(case, tmp_path):
    failure = classify(evidence(case, tmp_path))
    assert failure.code == case.expect["code"], failure.rule_id
    known = {**(failure.evidence.complaint or {}), **failure.evidence}
    assert {key: known.get(key) for key in case.expect["evidence"]} == (case.expect["evidence"])
    assert failure.evidence["sorter"] == case.given["backend"]
    assert failure.message


@pytest.mark.parametrize("case", RECORDED, ids=named)
def test_the_log_alone_says_what_the_document_says_or_nothing(case, tmp_path):
    unmeasured = Case("", {**case.given, "preflight": {}, "sorter_params": {}}, {})
    by_document = classify(evidence(unmeasured, tmp_path))
    by_log = classify(evidence(unmeasured, tmp_path, with_document=False))
    assert by_log.code in (by_document.code, FailureCode.UNCLASSIFIED)


def test_the_corpus_is_large_and_covers_the_categories():
    assert len(RECORDED) + len(TOLD) >= 120
    assert len(RECORDED) >= 60
    codes = {FailureCode(case.expect["code"]) for case in (*RECORDED, *TOLD)}
    assert len({BY_CODE[code].category for code in codes}) == 6
    assert len(codes) >= 20


def test_every_mixed_log_is_used_and_every_name_is_single():
    used = {case.given["log_file"] for case in TOLD if "log_file" in case.given}
    assert used == {path.name for path in (FOLDER / "mixed").iterdir()}
    names = [case.name for case in (*RECORDED, *TOLD)]
    assert len(set(names)) == len(names)


def test_every_failure_of_the_corpus_can_be_written_as_json(tmp_path):
    for case in (*RECORDED, *TOLD):
        failure = classify(evidence(case, tmp_path))
        assert Failure.from_json(json.loads(json.dumps(failure.to_json()))) == failure, case.name
