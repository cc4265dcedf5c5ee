"""Whom a failure of the environment holds: nobody but those whom it will meet as well.

A lane is the sorter's, so that other sorters continue. A file may need what only some files need,
a run may ask of the sorter what nobody else asks, and its name may be taken in the cluster: each of
these has a lane of its own, so that no submission holds up those of others. What the machine's own
checks found, and a full disk, holds the sorter's lane.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure

PLUGIN_LANE = "hdf5-plugin"
_OWN = "own-parameters"
_CHECKED = "preflight."
NAME_CONFLICT = "launcher.name_conflict"  #: rule: the attempt's name is taken in its cluster
AT_LARGEST = "at_largest"  #: last part of a decision's rule: nothing larger is allowed


def lane_of_hold(
    backend: str, failure: Failure, config: Mapping[str, Any], rule_id: str = ""
) -> str:
    """Return the lane that ``failure`` of a run under ``config`` holds.

    ``rule_id`` is that of the decision: a run that needs more than is allowed holds itself only.
    """
    if rule_id.endswith(f".{AT_LARGEST}"):
        return f"{backend}/needs-more"
    if failure.rule_id == NAME_CONFLICT:
        return f"{backend}/name-taken"
    if failure.code is FailureCode.HDF5_PLUGIN_MISSING:
        return PLUGIN_LANE
    shared = failure.code is FailureCode.DISK_EXHAUSTION
    checked = failure.rule_id.startswith(_CHECKED)
    if not shared and not checked and (config.get("sorter") or {}).get("sorter_params"):
        return f"{backend}/{_OWN}"
    return backend
