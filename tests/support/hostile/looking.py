"""Look at a recording as the service and ``spikefleet inspect`` do. Imported by zygotes of tests.

A refusal is an answer; what is none ends the process, and its caller hears of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from spikefleet.cli.main import cli
from spikefleet.core.failures.codes import FailureCategory
from spikefleet.core.failures.errors import (
    Failure,
    InvalidConfigurationError,
    SpikeSortingClassifiedError,
)
from spikefleet.signal.measuring.summary import inspect_recording
from spikefleet.signal.open import open_recording

_OTHERS_OPENED = 2


def look(arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every refusal of the recording at ``path``; none where all of it can be read.

    What its signal holds, or does not, is no matter of reading it.
    """
    path = Path(str(arguments["path"]))
    refused = []
    try:
        found = inspect_recording(path)
        refused = [stream.refusal for stream in found.streams if stream.refusal is not None]
        refused = [each for each in refused if each.category is not FailureCategory.BIOLOGICAL]
        for stream in found.other_streams[:_OTHERS_OPENED]:
            with suppress(InvalidConfigurationError):  # it holds no spikes
                open_recording(path, stream).get_traces(start_frame=0, end_frame=1)
    except SpikeSortingClassifiedError as error:
        refused.append(Failure.from_error(error))
    return [failure.to_json() for failure in refused]


def inspect(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Run ``spikefleet inspect`` on the recording at ``path``; what it prints and its exit code."""
    done = CliRunner().invoke(cli, ["inspect", str(arguments["path"]), "--output", "json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return {"exit_code": done.exit_code, "said": done.stdout, "aside": done.stderr}
