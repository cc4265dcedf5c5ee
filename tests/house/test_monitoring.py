"""Dashboards and alerts: they parse, ask for series that are exported, and lead to what to do."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.house.charts import CHART, RELEASE, one, program, read_yaml, render, run_helm
from tests.house.source import ROOT

from spikefleet.core.failures.codes import FailureCode, RunStatus
from spikefleet.infra.telemetry import CATALOGUE, SeriesKind

MONITORING = CHART / "monitoring"
PAGES = ROOT / "docs" / "operations"
BOARDS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((MONITORING / "dashboards").glob("*.json"))
}
PANELS = [
    pytest.param(panel, id=f"{name}-{panel['title']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
]
RULES = read_yaml(MONITORING / "alerts.yaml")["groups"][0]["rules"]
LABELS = {series.name: set(series.labels) for series in CATALOGUE}
HISTOGRAMS = {series.name for series in CATALOGUE if series.kind is SeriesKind.HISTOGRAM}
# Units of Grafana that these panels use.
UNITS = {"short", "none", "s", "bytes", "Bps", "reqps", "percentunit", "celsius"}


def _queries() -> list[str]:
    found = [target["expr"] for panel in PANELS for target in panel.values[0]["targets"]]
    return found + [rule["expr"] for rule in RULES]


def _place_exists(page: str) -> bool:
    name, _, anchor = page.removeprefix("docs/operations/").partition("#")
    heads = re.findall(r"^#+ (.+)$", (PAGES / name).read_text(encoding="utf-8"), re.MULTILINE)
    return anchor in {head.lower().replace(" ", "-") for head in heads}


def _plain(query: str) -> str:
    return re.sub(r"\$(backend|namespace|release)\b", ".*", query).replace("$run_id", "run-1")


def _promtool(*arguments: str, cwd: Path) -> None:
    done = subprocess.run(
        [program("promtool"), *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_a_dashboard_for_every_question() -> None:
    assert set(BOARDS) == {"facility", "backend", "ingest", "run"}
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_has_a_unit_a_description_and_a_page(panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["description"].endswith(".")
    (link,) = panel["links"]
    assert _place_exists(link["url"]), link["url"]
    assert all(target["legendFormat"] for target in panel["targets"])


def test_the_dashboards_are_those_that_the_script_writes(tmp_path: Path) -> None:
    script = str(ROOT / "scripts" / "dashboards")
    subprocess.run([sys.executable, "-B", script, str(tmp_path)], check=True)
    written = {path.stem: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert set(written) == set(BOARDS)
    for name, text in written.items():
        kept = (MONITORING / "dashboards" / f"{name}.json").read_text(encoding="utf-8")
        assert text == kept, f"run python scripts/dashboards ({name})"


def test_every_query_asks_for_exported_series_by_their_own_labels() -> None:
    for query in _queries():
        names = re.findall(r"\bspikefleet_\w+", query)
        assert names, query
        for name, inside in re.findall(r"\b(spikefleet_\w+)\{([^}]*)\}", query):
            series = re.sub(r"_(bucket|count|sum)$", "", name)
            known = LABELS[series] | ({"le"} if series in HISTOGRAMS else set())
            asked = set(re.findall(r"(\w+)[!=]?[=~]", inside))
            assert asked <= known | {"namespace", "release"}, query
        for name in names:
            base = re.sub(r"_(bucket|count|sum)$", "", name)
            assert name in LABELS or base in HISTOGRAMS, query


def test_every_code_and_status_that_a_query_names_is_one_of_ours() -> None:
    words = {str(code) for code in FailureCode} | {"none"}
    statuses = {str(status) for status in RunStatus}
    for query in _queries():
        for name, text in re.findall(r'\b(code|status)[!=]?[=~]"([^"]+)"', query):
            if "rpc_handled" in query:
                continue
            known = words if name == "code" else statuses
            for each in text.split("|"):
                assert any(re.fullmatch(each, word) for word in known), (each, query)


def test_prometheus_can_read_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"check:query{number}", "expr": _plain(query)}
        for number, query in enumerate(_queries())
    ]
    assert len(rules) > 50
    group = {"groups": [{"name": "queries", "rules": rules}]}
    (tmp_path / "rules.yaml").write_text(json.dumps(group))
    _promtool("check", "rules", "--lint-fatal", "rules.yaml", cwd=tmp_path)


def test_every_alert_says_what_to_do_and_how_urgent_it_is() -> None:
    assert len(RULES) == len({rule["alert"] for rule in RULES})
    for rule in RULES:
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        page = rule["annotations"]["runbook_url"]
        assert page == f"docs/operations/runbooks.md#{rule['alert'].lower()}"
        assert _place_exists(page), page


def test_every_runbook_is_of_an_alert() -> None:
    heads = re.findall(r"^## (.+)$", (PAGES / "runbooks.md").read_text(), re.MULTILINE)
    assert sorted(heads) == sorted(rule["alert"] for rule in RULES)


def test_every_alert_fires_when_it_should_and_keeps_calm_otherwise() -> None:
    tests = read_yaml(MONITORING / "alerts_test.yaml")["tests"]
    expected: dict[str, set[bool]] = {}
    for each in tests:
        for wanted in each["alert_rule_test"]:
            expected.setdefault(wanted["alertname"], set()).add(bool(wanted["exp_alerts"]))
    assert expected == {rule["alert"]: {True, False} for rule in RULES}
    _promtool("test", "rules", "alerts_test.yaml", cwd=MONITORING)


def test_the_chart_gives_the_alerts_and_dashboards_with_the_facilitys_own_pages() -> None:
    pages = 'monitoring.docsUrl="https://wiki.lab/sorting"'
    objects = render("gpu-facility-values.yaml", pages)
    (group,) = one(objects, "PrometheusRule", "rules")["spec"]["groups"]
    for rule in group["rules"]:
        assert rule["annotations"]["runbook_url"].startswith(
            "https://wiki.lab/sorting/runbooks.md#"
        )
    for name, board in BOARDS.items():
        config = one(objects, "ConfigMap", f"dashboard-{name}")
        shown = json.loads(config["data"][f"{name}.json"])
        assert len(shown["panels"]) == len(board["panels"])
        for panel in shown["panels"]:
            assert panel["links"][0]["url"].startswith("https://wiki.lab/sorting/")


def test_a_panel_shows_one_installation_and_a_variable_chooses_it() -> None:
    for name, board in BOARDS.items():
        chosen = [each["name"] for each in board["templating"]["list"]]
        assert chosen[:3] == ["datasource", "namespace", "release"], name
        for panel in board["panels"]:
            for target in panel["targets"]:
                series = re.findall(r"\bspikefleet_[a-z0-9_]+\b(.*)", target["expr"])
                own = '{namespace=~"$namespace", release=~"$release"'
                assert series
                assert all(inside.startswith(own) for inside in series), target


def _of(test: dict[str, Any], **own: str) -> dict[str, Any]:
    """The test's history as that of one installation, scraped as the chart has it scraped."""
    labels = ",".join(f'{name}="{value}"' for name, value in own.items())
    found = copy.deepcopy(test)
    for history in found["input_series"]:
        name, _, inside = history["series"].rstrip("}").partition("{")
        history["series"] = f"{name}{{{','.join(filter(None, (inside, labels)))}}}"
    return found


def test_an_installation_is_alarmed_by_its_own_series_and_says_who_it_is(tmp_path: Path) -> None:
    pages = "https://wiki.facility.example/spikefleet/"
    rules = one(render("gpu-facility-values.yaml"), "PrometheusRule", "rules")["spec"]
    (tmp_path / "rules.yaml").write_text(json.dumps(rules))
    own, tests = {"namespace": "sorting", "release": RELEASE}, []
    for test in read_yaml(MONITORING / "alerts_test.yaml")["tests"]:
        mine = _of(test, **own)
        for wanted in mine["alert_rule_test"]:
            for alert in wanted["exp_alerts"]:
                alert["exp_labels"] |= own
                told = alert["exp_annotations"]
                told["runbook_url"] = told["runbook_url"].replace("docs/operations/", pages)
        tests.append(mine)
        if "Absent" in test["name"]:
            continue  # another's controller is no comfort
        foreign = _of(test, **own | {"namespace": "b"})
        foreign["input_series"] += _of(test, **own | {"release": "b"})["input_series"]
        for wanted in foreign["alert_rule_test"]:
            wanted["exp_alerts"] = []
        if test["alert_rule_test"][0]["exp_alerts"]:
            tests.append(foreign)
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yaml").write_text(json.dumps(document))
    _promtool("test", "rules", "tests.yaml", cwd=tmp_path)


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_what_is_scraped_is_told_apart_by_its_release(kind: str) -> None:
    objects = render("gpu-facility-values.yaml")
    (found,) = (each["spec"] for each in objects if each["kind"] == kind)
    (endpoint,) = found.get("endpoints") or found["podMetricsEndpoints"]
    assert endpoint["relabelings"] == [{"targetLabel": "release", "replacement": RELEASE}]


@pytest.mark.parametrize("wanted", ["rules", "dashboards"])
@pytest.mark.parametrize("url", ["", "docs/operations"])
def test_pages_without_an_address_are_refused(wanted: str, url: str) -> None:
    done = run_helm("template", RELEASE, str(CHART), "-f", str(CHART / "ci/minimal-values.yaml"),
                    "--set", f"monitoring.{wanted}.enabled=true",
                    "--set", f"monitoring.docsUrl={url}")  # fmt: skip
    assert done.returncode != 0
    assert "docsUrl" in done.stderr


def test_nothing_of_the_operators_is_made_unless_it_is_asked_for() -> None:
    kinds = {each["kind"] for each in render("minimal-values.yaml")}
    assert kinds & {"ServiceMonitor", "PodMonitor", "PrometheusRule"} == set()
