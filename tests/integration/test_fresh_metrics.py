"""What rules and panels ask for is there before anything happens, and what happens adds no series.

A series that appears with its first event has no increase: the first refused machine, the first
lost attempt would be told to nobody.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from ruamel.yaml import YAML
from tests.support.controlled import Controlled
from tests.support.service import Service

from spikefleet.controller.outcome_counts import OutcomeCounts
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.infra.stores.sql.database import utc_now
from spikefleet.infra.telemetry import CATALOGUE, SeriesKind

MONITORING = Path(__file__).resolve().parents[2] / "charts" / "spikefleet" / "monitoring"
COUNTED = {
    series.name: series
    for series in CATALOGUE
    if series.kind in (SeriesKind.COUNTER, SeriesKind.HISTOGRAM)
    and not series.name.startswith("spikefleet_guard_")  # of a running attempt
}
_OWN = {"namespace", "release"}
_LABEL = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


def _asked() -> list[tuple[str, str]]:
    """Every counter or histogram that a rule or panel asks for, with its matchers."""
    rules = YAML(typ="safe").load(MONITORING / "alerts.yaml")["groups"][0]["rules"]
    queries = [rule["expr"] for rule in rules]
    for path in sorted((MONITORING / "dashboards").glob("*.json")):
        panels = json.loads(path.read_text(encoding="utf-8"))["panels"]
        queries += [target["expr"] for panel in panels for target in panel["targets"]]
    found = {
        each for query in queries for each in re.findall(r"(spikefleet_\w+)\{([^}]*)\}", query)
    }
    return sorted(each for each in found if _base(each[0]) in COUNTED)


def _base(name: str) -> str:
    return re.sub(r"_(bucket|count|sum)$", "", name)


def _matches(matchers: str, labels: dict[str, str]) -> bool:
    for name, how, wanted in _LABEL.findall(matchers):
        if name in _OWN or wanted.startswith("$"):
            continue
        same = re.fullmatch(wanted, labels[name]) if "~" in how else wanted == labels[name]
        if bool(same) is how.startswith("!"):
            return False
    return True


def _alternatives(matchers: str) -> Iterator[str]:
    """The matchers as they are, and with each word alone of those that they name."""
    yield matchers
    for name, how, wanted in _LABEL.findall(matchers):
        for word in wanted.split("|") if how == "=~" and name not in _OWN else ():
            yield matchers.replace(f'{name}=~"{wanted}"', f'{name}=~"{word}"')


def _series(text: str) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for line in text.splitlines():
        if line.startswith("spikefleet_"):
            name, _, rest = line.partition(" ")[0].partition("{")
            labels = {each[0]: each[2] for each in _LABEL.findall(rest)}
            found.setdefault(name, []).append(labels)
    return found


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[dict[str, str]]]]:
    """What a service shows of which nobody has asked anything yet."""
    service = Service(tmp_path_factory.mktemp("fresh") / "data").start()
    try:
        with urlopen(f"http://127.0.0.1:{service.metrics_port}/metrics", timeout=10) as answer:
            yield _series(answer.read().decode())
    finally:
        service.close()


@pytest.mark.parametrize(("name", "matchers"), _asked())
def test_what_is_asked_for_is_there_before_its_first_event(
    fresh: dict[str, list[dict[str, str]]], name: str, matchers: str
) -> None:
    shown = fresh.get(name, [])
    for asked in _alternatives(matchers):
        found = [labels for labels in shown if _matches(asked, labels)]
        assert found, f"{name}{{{asked}}}"
        if "backend" in COUNTED[_base(name)].labels:
            assert {labels["backend"] for labels in found} == set(BACKENDS), asked


def test_the_histories_that_prove_the_rules_are_of_series_that_are_shown(
    fresh: dict[str, list[dict[str, str]]],
) -> None:
    tests = YAML(typ="safe").load(MONITORING / "alerts_test.yaml")["tests"]
    told = {history["series"] for test in tests for history in test["input_series"]}
    seen = 0
    for series in told:
        name, _, inside = series.rstrip("}").partition("{")
        if _base(name) not in COUNTED:
            continue
        labels = {each[0]: each[2] for each in _LABEL.findall(inside) if each[0] != "le"}
        shown = [{k: v for k, v in own.items() if k in labels} for own in fresh.get(name, [])]
        assert labels in shown, series
        seen += 1
    assert seen > 10


@pytest.mark.parametrize(
    "plan",
    ["succeed", "die,succeed", "fail:sorter_crash,fail:sorter_crash", "fail:gpu_fault,succeed"],
)
def test_no_end_of_an_attempt_or_run_adds_a_series(tmp_path: Path, plan: str) -> None:
    controlled = Controlled(tmp_path, plan)
    OutcomeCounts(controlled.metrics, utc_now).restore(())
    before = _series(controlled.metrics.render())
    controlled.finish(controlled.submit())
    after = _series(controlled.metrics.render())
    controlled.close()
    other = "spikefleet_run_duration_seconds"  # nothing is asked of runs that do not succeed
    for name, shown in after.items():
        added = [own for own in shown if own not in before.get(name, [])]
        assert added == [] or name.startswith(other), name
