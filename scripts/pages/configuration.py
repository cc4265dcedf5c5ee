"""What is published of the configuration: docs/configuration.md and its JSON Schema.

Both are rendered from the models and held equal to the committed files by a test.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.fields import FieldInfo

from spikefleet.core.config.compat import ACCEPTED
from spikefleet.core.config.effects import MARK, SORT_FIELDS, described
from spikefleet.core.config.names import RENAMED
from spikefleet.core.config.operators import told_of
from spikefleet.core.config.presets import OWN_PRESETS, PRESETS
from spikefleet.core.config.schema import json_schema
from spikefleet.core.config.sorting import SortingConfig

_HEAD = f"""# Configuration

A run's configuration is a preset with overrides. The service resolves it, validates it, keeps the
complete document with the run and publishes [its JSON Schema](schema/sorting-config.schema.json).
This page is rendered from the models; do not edit it by hand.

An override names a field by its short name (`snr_min`), by group and field (`curation.snr_min`) or
one of the sorter's own parameters (`sorter_params.batch_size`). An unknown name is an error that
names the nearest one. Only the fields marked *Sorts again.* make another sort of the same
recording; when any other is changed, the finished sort is taken over.

What names places, programs or images of the machine that sorts is the operator's: such fields are
marked, and a submission that sets one is refused by its name, as is a sorter's own parameter that
sounds like a place (a path, a folder, a file).

Fields marked *{MARK}* are accepted and recorded with the run; preflight warns when one was changed.
The sorter `kilosort2`, and thus the presets that name it, is refused today.
"""

_ACCEPTED = """Names of earlier pipelines that do nothing here. They are accepted, so that settings
people have still work, and told; they are not recorded."""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _default(info: FieldInfo) -> str:
    value = list(info.default) if isinstance(info.default, tuple) else info.default
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def render_configuration() -> str:
    """Return docs/configuration.md."""
    lines = [_HEAD, "## Presets", "", "| preset | sets |", "| --- | --- |"]
    for name, changes in {**PRESETS, **OWN_PRESETS}.items():
        sets = ", ".join(f"`{key}={json.dumps(value)}`" for key, value in changes.items())
        lines.append(f"| `{name.lower()}` | {_cell(sets)} |")
    flat = {dotted: name for name, dotted in RENAMED.items()}
    for group, info in SortingConfig.model_fields.items():
        lines += ["", f"## {group}", "", f"{info.description}", ""]
        lines += ["| field | default | meaning |", "| --- | --- | --- |"]
        kind: Any = info.annotation
        for field, entry in kind.model_fields.items():
            other = flat.get(f"{group}.{field}", field)
            also = f" (also `{other}`)" if other != field else ""
            meaning = _cell(described(group, field, entry.description or ""))
            meaning += " *Sorts again.*" if f"{group}.{field}" in SORT_FIELDS else ""
            meaning = f"{meaning} {told_of(f'{group}.{field}')}".rstrip()
            lines.append(f"| `{field}`{also} | {_default(entry)} | {meaning} |")
    lines += ["", "## Accepted without effect", "", _ACCEPTED, ""]
    lines += ["| name | why |", "| --- | --- |"]
    lines += [f"| `{name}` | {_cell(why)} |" for name, why in ACCEPTED.items()]
    return "\n".join(lines) + "\n"


def render_schema() -> str:
    """Return docs/schema/sorting-config.schema.json."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"
