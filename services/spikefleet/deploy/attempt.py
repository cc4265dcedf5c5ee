"""Entry of one sort attempt: ``python -m spikefleet.deploy.attempt <folder>``.

Chooses the adapters the runner's parent works with (store, sink) from the attempt's own spec, and
nothing else. Its exit code is the attempt's.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

from spikefleet.core.attempts import AttemptSpec, RunFolder
from spikefleet.core.files import read_json
from spikefleet.deploy.attempt_secret import read_attempt_secret
from spikefleet.deploy.attempt_sink import make_sink
from spikefleet.deploy.settings import (
    confined_environment,
    hdf5_plugin_path,
    image_digest,
    s3_credentials,
    visible_gpus,
    warm_child,
)
from spikefleet.infra.logs import configure_logging
from spikefleet.infra.stores.bytes.artifacts_open import open_artifacts
from spikefleet.runner.outcome import write_unreadable_spec
from spikefleet.runner.parent import run_attempt
from spikefleet.runner.place import ParentOptions
from spikefleet.runner.warm_child import WarmChild

_log = logging.getLogger(__name__)


def main(root: Path) -> int:
    """Run the attempt in ``root``; return its exit code."""
    configure_logging(as_json=True)
    warm = WarmChild(warm_child())
    secret = read_attempt_secret()
    folder = RunFolder(root)
    try:
        spec = AttemptSpec.from_json(read_json(folder.spec) or {})
        artifacts = open_artifacts(spec.artifacts_url, s3_credentials())
    except (ValueError, TypeError, KeyError, OSError) as error:
        _log.exception("attempt.unreadable_spec")
        return write_unreadable_spec(folder, error)
    options = replace(parent_options(), environment=confined_environment(), warm=warm)
    return run_attempt(
        root, artifacts, sink=make_sink(spec.report_address, secret), options=options
    )


def parent_options() -> ParentOptions:
    """What this process's environment says of the place it runs in."""
    return ParentOptions(
        gpu_ids=visible_gpus(), image_digest=image_digest(), hdf5_plugin_path=hdf5_plugin_path()
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
