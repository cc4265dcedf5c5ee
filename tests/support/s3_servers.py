"""Real S3 servers on loopback, started for a test session by a tool beside the checkout."""

import os
import shlex
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from minio import Minio

from spikefleet.infra.stores.bytes.s3.artifacts_s3 import S3Artifacts
from spikefleet.infra.stores.bytes.s3.bucket import S3Place
from spikefleet.infra.stores.bytes.s3.credentials import S3Credentials

TOOL = Path(__file__).parents[3] / "shared" / "tools" / "s3-server"
ENGINES = ("swift", "ceph")
_START_S = 400


@dataclass
class S3Server:
    """One server with its state in ``folder``."""

    engine: str
    folder: Path
    endpoint: str = ""
    credentials: S3Credentials = field(default_factory=lambda: S3Credentials("", ""))

    def start(self) -> None:
        """Start it, also after ``kill``; skip the test where it cannot be had."""
        if not TOOL.is_file():
            pytest.skip(f"no S3 server: {TOOL} is not here")
        answer = subprocess.run(
            [TOOL, "start", self.folder, "--engine", self.engine],
            capture_output=True,
            text=True,
            timeout=_START_S,
            check=False,
        )
        if answer.returncode:
            pytest.skip(f"the S3 server {self.engine} did not start: {answer.stderr[-300:]}")
        said = dict(line.split("=", 1) for line in shlex.split(answer.stdout))
        self.endpoint = said["S3_ENDPOINT"]
        self.credentials = S3Credentials(said["S3_ACCESS_KEY"], said["S3_SECRET_KEY"])

    def end(self, how: str = "stop") -> None:
        """Stop it; ``kill`` ends it by SIGKILL."""
        subprocess.run([TOOL, how, self.folder], capture_output=True, timeout=60, check=False)

    def make_bucket(self) -> S3Place:
        """Return the place of a new empty bucket, below a prefix."""
        place = S3Place(self.endpoint, f"test-{uuid.uuid4().hex}", "facility/")
        host = self.endpoint.removeprefix("http://")
        keys = self.credentials
        client = Minio(host, keys.access_key, keys.secret_key, secure=False, region=place.region)
        client.make_bucket(place.bucket)
        return place

    def open(self, place: S3Place) -> S3Artifacts:
        """Return a store of its own, as another process would have."""
        return S3Artifacts(place, self.credentials)

    def write_credentials(self, folder: Path) -> Path:
        """Write the two files of a mounted secret."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "access-key").write_text(self.credentials.access_key + "\n")
        (folder / "secret-key").write_text(self.credentials.secret_key + "\n")
        os.chmod(folder, 0o700)
        return folder
