"""Where a confined process enters ``fetch --as``: arguments and answers as JSON.

The command names this function to the process that it is forked from and never imports this
module, so that no library reads a run's files in the person's own process.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikefleet.core.failures.errors import InputCorruptError, InputMissingError
from spikefleet.signal.exports.session_metadata import SessionMetadata
from spikefleet.signal.exports.write import ExportChangedError, write_exports


def export(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Write one format of one run; see ``signal.exports.write``.

    Answers with one of ``made`` (its name below ``exports``; with ``notes`` of what a setting asked
    for and the sort did not keep), and in words: ``problem`` (there is
    nothing to export), ``refused`` (a file, ``path``, is not what a run leaves) and ``changed``
    (an export is kept because somebody changed it).
    """
    name = str(arguments["format"])
    try:
        made = write_exports(
            Path(arguments["folder"]),
            [name],
            metadata=SessionMetadata.model_validate(arguments["metadata"]),
            with_failed=bool(arguments["with_failed"]),
            overwrite=bool(arguments["overwrite"]),
        )
    except InputMissingError as error:
        return {"problem": str(error)}
    except InputCorruptError as error:
        return {"refused": str(error), "path": str(error.evidence.get("path") or "")}
    except ExportChangedError as error:
        return {"changed": str(error)}
    told = "; ".join(made[name].notes)
    return {"made": made[name].place.name} | ({"notes": told} if told else {})
