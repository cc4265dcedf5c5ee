"""What a dashboard and a panel are, and the PromQL that many panels share."""

import re
from dataclasses import dataclass, field
from typing import Any

PAGES = "docs/operations"
_COLUMNS = 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


# Which installation is looked at, by the labels that its scraping adds. One that is scraped without
# them is looked at where both are left empty.
_INSTALLATION = (
    ("namespace", "label_values(spikefleet_build_info, namespace)"),
    ("release", "label_values(spikefleet_build_info, release)"),
)
# Series are there at zero from the start: of those a panel shows what happened, or one zero.
SEEN = "> 0 or vector(0)"
_OWN = 'namespace=~"$namespace", release=~"$release"'


@dataclass(frozen=True)
class Panel:
    """One panel. ``queries`` are pairs of PromQL and legend; ``page`` is a place below PAGES."""

    title: str
    description: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    page: str
    kind: str = "timeseries"
    width: int = 8
    stacked: bool = False

    def to_json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """Return the panel as Grafana reads it, at a place of the grid."""
        custom = {"stacking": {"mode": "normal"}, "fillOpacity": 30} if self.stacked else {}
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": _SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": 8},
            "fieldConfig": {"defaults": {"unit": self.unit, "custom": custom}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom"}}
            if self.kind == "timeseries"
            else {},
            "links": [{"title": "What to do", "url": f"{PAGES}/{self.page}", "targetBlank": True}],
            "targets": [
                {
                    "refId": chr(ord("A") + index),
                    "datasource": _SOURCE,
                    "expr": scoped(query),
                    "legendFormat": legend,
                    "instant": self.kind == "table",
                    "format": "table" if self.kind == "table" else "time_series",
                }
                for index, (query, legend) in enumerate(self.queries)
            ],
        }


@dataclass(frozen=True)
class Dashboard:
    """One dashboard. ``variables`` are pairs of a name and the query of its values."""

    uid: str
    title: str
    description: str
    panels: tuple[Panel, ...]
    variables: tuple[tuple[str, str], ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return the dashboard as Grafana reads it, panels from left to right."""
        placed, x, y = [], 0, 0
        for number, panel in enumerate(self.panels, 1):
            if x + panel.width > _COLUMNS:
                x, y = 0, y + 8
            placed.append(panel.to_json(number, x, y))
            x += panel.width
        source = {"name": "datasource", "type": "datasource", "query": "prometheus"}
        lists = [
            {
                "name": name,
                "type": "query",
                "datasource": _SOURCE,
                "query": scoped(query),
                "refresh": 2,
                "includeAll": name == "backend",
                "multi": name == "backend",
                "allValue": ".*",
            }
            for name, query in (*_INSTALLATION, *self.variables)
        ]
        return {
            "uid": f"spikefleet-{self.uid}",
            "title": f"spikefleet / {self.title}",
            "description": self.description,
            "tags": ["spikefleet"],
            "schemaVersion": 39,
            "editable": False,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "templating": {"list": [source, *lists]},
            "links": [
                {"type": "dashboards", "tags": ["spikefleet"], "title": "spikefleet",
                 "asDropdown": True, "includeVars": False, "keepTime": True}
            ],
            "panels": placed,
        }  # fmt: skip


def scoped(query: str) -> str:
    """The query, of one installation alone: its labels are put into every series."""
    if query == _INSTALLATION[0][1]:
        return query
    own = _OWN if query != _INSTALLATION[1][1] else _OWN.partition(",")[0]

    def add(found: re.Match[str]) -> str:
        inside = found["inside"]
        return f"{found['name']}{{{own}{', ' + inside if inside else ''}}}"

    series = r"(?P<name>\bspikefleet_[a-z0-9_]+\b)(\{(?P<inside>[^}]*)\})?"
    return re.sub(series, add, query)


def quantile(share: float, series: str, by: str, window: str, where: str = "") -> str:
    """The PromQL of a quantile of a histogram over a window."""
    labels = ", ".join(filter(None, ("le", by)))
    return (
        f"histogram_quantile({share}, sum by ({labels}) (rate({series}_bucket{where}[{window}])))"
    )


def guard(name: str, signal: str, where: str, by: str = "run_id") -> str:
    """The PromQL of what a guard reads of a running sort."""
    labels = f'guard="{name}", signal="{signal}", {where}'
    return f"max by ({by}) (spikefleet_guard_value{{{labels}}})"


def threshold(name: str, kind: str, where: str) -> str:
    """The PromQL of the value at which a guard warns or ends the sort."""
    labels = f'guard="{name}", threshold="{kind}", {where}'
    return f"max(spikefleet_guard_threshold{{{labels}}})"
