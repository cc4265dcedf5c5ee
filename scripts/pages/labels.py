"""docs/labels.md, rendered from the tables of labels."""

from __future__ import annotations

from spikefleet.signal.units.labels import PRESETS, LabelRule

_HEAD = """# Labels of units

`curation.labels` names the table by which every unit is called `good`, `mua` (several neurons),
`noise` or, by Bombcell's table, `non_soma` (an axon). A unit is what the first rule that it
breaks says, noise before `non_soma` before `mua`; bounds are inclusive. A label rejects no unit:
that is done by the thresholds of curation. `label` and `label_why` stand in `curate/units.csv`,
the table that was applied in `curate/curation.json`, and a Phy folder has the labels as its
groups. A rule whose [metric](metrics.md) no unit has is left out, and named under `not_measured`.
This page is rendered from `signal/units/labels.py`; do not edit it by hand.
"""
_WORDS = {
    "facility": "The default: what a facility shows its users.",
    "strict": "For analyses of single neurons in acute recordings.",
    "organoid": "For cultures, which fire rarely and in bursts.",
    "bombcell": "Bombcell's published thresholds (Fabre et al. 2023), as SpikeInterface has them. "
    "A unit is `non_soma` where it is narrow and has a large peak before its trough, or stands "
    "upright. Isolation needs principal components.",
}


def render_labels() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *(part for name in PRESETS for part in _preset(name))])


def _preset(name: str) -> list[str]:
    head = ["| label of who breaks it | metric | at least | at most | not measured |"]
    lines = [*head, "| --- | --- | --- | --- | --- |", *map(_line, PRESETS[name])]
    return [f"## {name}", "", _WORDS[name], "", *lines, ""]


def _line(rule: LabelRule) -> str:
    ends = ("" if end is None else f"{end:g}" for end in (rule.at_least, rule.at_most))
    metric = f"size of `{rule.metric}`" if rule.is_size else f"`{rule.metric}`"
    missing = "breaks it" if rule.needs_value else "does not"
    return f"| {rule.label} | {metric} | {' | '.join(ends)} | {missing} |"
