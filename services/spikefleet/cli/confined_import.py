"""Where a confined process reads what a person curated by hand: a Phy folder or a document."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikefleet.core.failures.errors import InputCorruptError, InputMissingError
from spikefleet.signal.exports.curation_json import read_curation_json
from spikefleet.signal.exports.phy_import import read_phy_curation


def read_by_hand(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Read the folder or file at ``path``.

    Answers with ``curation``, or in words ``refused``: what is wrong with it.
    """
    path = Path(arguments["path"])
    try:
        hand = read_phy_curation(path) if path.is_dir() else read_curation_json(path)
    except (InputCorruptError, InputMissingError) as error:
        return {"refused": str(error)}
    return {"curation": hand.to_json()}
