"""``spikefleet serve`` where it cannot begin: a sentence and a next step, never a trace."""

import sqlite3
import subprocess
import sys
from pathlib import Path

from spikefleet.infra.stores.sql.database import Database


def _serve(data: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spikefleet.cli.main", "serve", "--address", "127.0.0.1:0"]
    return subprocess.run(
        [*command, "--data", str(data)], capture_output=True, text=True, check=False, timeout=60
    )


def test_a_file_that_is_no_database_is_told_with_what_to_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "spikefleet.db").write_bytes(b"no database" * 1000)
    done = _serve(tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "restore a damaged one from its backup" in done.stderr


def test_a_database_of_a_newer_release_is_told_with_what_to_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    file = tmp_path / "spikefleet.db"
    database = Database(f"sqlite:///{file}")
    database.migrate()
    database.close()
    with sqlite3.connect(file) as connection:
        connection.execute("INSERT INTO schema_version VALUES (9999, 'later', '2030-01-01')")
    done = _serve(tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "start the release that wrote it" in done.stderr
