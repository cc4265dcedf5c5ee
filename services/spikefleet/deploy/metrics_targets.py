"""Where a Prometheus on this machine finds the metrics of the service and of every running sort.

One file in the form of Prometheus' ``file_sd_configs``, written when a sort starts or ends.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from spikefleet.core.files import read_json

log = logging.getLogger(__name__)

FILE_NAME = "metrics_targets.json"


class MetricsTargets:
    """Keeps the file at ``path``; ``attempts`` is the folder of the attempts' run folders."""

    def __init__(self, path: Path, attempts: Path) -> None:
        self._path, self._attempts = path, attempts
        self._service_port = 0
        self._written = ""

    def serve(self, port: int) -> None:
        """Note where the service's own metrics are, and write the file."""
        self._service_port = port
        self()

    def __call__(self) -> None:
        """Write the file where something has changed; a disk that refuses is only logged."""
        if not self._service_port:
            return
        text = json.dumps(self._targets(), indent=1)
        if text == self._written:
            return
        partial = self._path.with_name(f".{self._path.name}.part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(text, encoding="utf-8")
            partial.chmod(0o644)  # Prometheus is another user
            os.replace(partial, self._path)
        except OSError as error:
            log.warning("metrics_targets.not_written", extra={"error": str(error)})
            return
        self._written = text

    def _targets(self) -> list[dict[str, Any]]:
        found = [_target(self._service_port, part="service")]
        for folder in sorted(self._attempts.glob("s-*-sort-*")):
            started = read_json(folder / "started.json") or {}
            port = started.get("metrics_port")
            if isinstance(port, int) and port and not (folder / "exit.json").exists():
                run_id = f"run-{folder.name.split('-')[1]}"
                found.append(_target(port, part="attempt", attempt=folder.name, run_id=run_id))
        return found


def _target(port: int, **labels: str) -> dict[str, Any]:
    return {"targets": [f"127.0.0.1:{port}"], "labels": labels}
