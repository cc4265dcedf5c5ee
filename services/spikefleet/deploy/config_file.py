"""The user's configuration file, ``config.toml``: settings of the service, defaults of ``submit``.

Reads and refuses; whose word counts where several say something is decided in ``settings``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

_OPTION_NAMES = {"data": "data_dir"}


@dataclass(frozen=True)
class SubmitDefaults:
    """What ``submit`` takes where no option says otherwise; "" is not said."""

    sorter: str = ""
    preset: str = ""
    project: str = ""


def config_file(environment: Mapping[str, str]) -> Path | None:
    """Where the user's configuration file is, whether or not it is there; None: nowhere."""
    folder = environment.get("XDG_CONFIG_HOME", "")
    if not folder and not environment.get("HOME"):
        return None
    base = Path(folder) if folder else Path(environment["HOME"]) / ".config"
    return base / "spikefleet" / "config.toml"


def read_config_file(
    environment: Mapping[str, str], known: Mapping[str, Any]
) -> tuple[dict[str, Any], SubmitDefaults]:
    """Return the settings in the user's file, and its table ``[submit]``.

    ``known`` has the names of all settings. Raises ValueError naming the file.
    """
    path = config_file(environment)
    if path is None or not path.is_file():
        return {}, SubmitDefaults()
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    submit = found.pop("submit", {})
    # The options of ``serve`` are names, too.
    found = {_OPTION_NAMES.get(name, name.replace("-", "_")): found[name] for name in found}
    _require_known(path, "", found, known)
    _require_known(path, "submit.", submit, SubmitDefaults.__dataclass_fields__)
    return found, SubmitDefaults(**{name: str(value) for name, value in submit.items()})


def _require_known(path: Path, prefix: str, given: Any, known: Mapping[str, Any]) -> None:
    if not isinstance(given, dict):
        raise ValueError(f"{path}: submit is a table, [submit]")  # noqa: TRY004 - a file's value
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(f"{path}: {prefix}{name} is unknown; {hint}known: {', '.join(known)}")
