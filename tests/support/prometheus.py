"""A real Prometheus for tests: scrapes what it is pointed at and answers queries."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

_CONFIG = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [RULES]
scrape_configs:
  - job_name: spikefleet
    honor_labels: true
    file_sd_configs: [{files: [TARGETS], refresh_interval: 1s}]
  - job_name: beside
    honor_labels: true
    static_configs: [{targets: [BESIDE]}]
"""
_START_LIMIT_S = 30.0


def prometheus_program() -> str:
    """The path of prometheus; skips where there is none."""
    beside = Path(sys.executable).with_name("prometheus")
    found = str(beside) if beside.exists() else shutil.which("prometheus")
    if found is None:
        pytest.skip("prometheus is not installed (`make test` fetches it); no query was asked")
    return found


class Prometheus:
    """One server on a free port of this machine, with its data in ``folder``.

    ``targets`` is a file of file_sd_configs, ``beside`` the port of one more target.
    """

    def __init__(self, folder: Path, *, targets: Path, beside: int, rules: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        text = _CONFIG.replace("RULES", str(rules)).replace("TARGETS", str(targets))
        config = folder / "prometheus.yaml"
        config.write_text(text.replace("BESIDE", f"'127.0.0.1:{beside}'"), encoding="utf-8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                prometheus_program(), f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
            ],
            stdout=self._log, stderr=self._log,
        )  # fmt: skip

    def wait_until_ready(self) -> None:
        """Return when it answers. Raises AssertionError when it ends or does not begin to."""
        deadline = time.monotonic() + _START_LIMIT_S
        while True:
            assert self._process.poll() is None, "prometheus ended"
            assert time.monotonic() < deadline, "prometheus does not answer"
            try:
                with urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=2):
                    return
            except (URLError, OSError):
                time.sleep(0.2)

    def ask(self, query: str) -> list[Any]:
        """Return the series of an instant query."""
        return self._get("query", query=query)

    def ask_range(self, query: str, seconds: float) -> list[Any]:
        """Return the series of a query over the last ``seconds``."""
        now = time.time()
        return self._get("query_range", query=query, start=now - seconds, end=now, step="2s")

    def alerts(self) -> list[str]:
        """Return the names of the alert rules that were loaded without an error."""
        with urlopen(f"http://127.0.0.1:{self._port}/api/v1/rules", timeout=10) as answer:
            groups = json.load(answer)["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return [rule["name"] for rule in rules if rule["health"] == "ok"]

    def _get(self, kind: str, **words: Any) -> list[Any]:
        url = f"http://127.0.0.1:{self._port}/api/v1/{kind}?{urlencode(words)}"
        with urlopen(url, timeout=10) as answer:
            found = json.load(answer)
        assert found["status"] == "success", found
        return list(found["data"]["result"])

    def close(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.wait()
        self._log.close()
