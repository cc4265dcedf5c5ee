"""What a pod knows leaves it while it runs: its log to standard output, its readings stored."""

import io
import json
import time

from spikefleet.core.attempts import RunFolder
from spikefleet.core.files import write_json
from spikefleet.deploy.pod_outlet import PodOutlet
from spikefleet.infra.stores.bytes.artifacts import live_key
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts

PREFIX = "runs/run/attempts/sort-1"


def test_the_last_readings_are_stored_before_the_attempt_ends(tmp_path):
    folder, store = RunFolder(tmp_path / "attempt"), LocalArtifacts(tmp_path / "store")
    write_json(folder.started, {"pid": 7})
    write_json(folder.heartbeat, {"at": 1.0, "peaks": {"host_memory.working_set_bytes": 5.0}})
    outlet = PodOutlet(folder, store, PREFIX, out=io.BytesIO(), stored_every_s=0.0)
    outlet.start()
    deadline = time.monotonic() + 20
    while store.size(live_key(PREFIX)) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    outlet.close()
    stored = json.loads(store.get_bytes(live_key(PREFIX)))
    assert stored["started"] == {"pid": 7}
    assert stored["heartbeat"]["peaks"] == {"host_memory.working_set_bytes": 5.0}


def test_the_whole_log_is_passed_on_once(tmp_path):
    folder, out = RunFolder(tmp_path / "attempt"), io.BytesIO()
    folder.root.mkdir()
    outlet = PodOutlet(folder, LocalArtifacts(tmp_path / "store"), PREFIX, out=out)
    outlet.start()
    folder.child_log.write_bytes(b"first line\n")
    time.sleep(1.5)
    with folder.child_log.open("ab") as log:
        log.write(b"last words")
    outlet.close()
    assert out.getvalue() == b"first line\nlast words"


def test_a_log_that_grows_faster_than_it_can_be_passed_on_loses_its_middle_and_says_so(tmp_path):
    folder, out = RunFolder(tmp_path / "attempt"), io.BytesIO()
    folder.root.mkdir()
    outlet = PodOutlet(folder, LocalArtifacts(tmp_path / "store"), PREFIX, out=out)
    folder.child_log.write_bytes(b"a" * (9 << 20) + b"the end")
    outlet.start()
    outlet.close()
    said = out.getvalue()
    assert len(said) < 5 << 20
    assert said.endswith(b"the end")
    left_out = (9 << 20) + len(b"the end") - (4 << 20)
    assert b"[spikefleet: %d bytes of the log are left out here" % left_out in said


def test_a_log_that_was_cut_is_followed_from_its_new_end(tmp_path):
    folder, out = RunFolder(tmp_path / "attempt"), io.BytesIO()
    folder.root.mkdir()
    outlet = PodOutlet(folder, LocalArtifacts(tmp_path / "store"), PREFIX, out=out)
    folder.child_log.write_bytes(b"a" * 5000)
    outlet.start()
    time.sleep(1.5)
    folder.child_log.write_bytes(b"cut")
    time.sleep(1.5)
    with folder.child_log.open("ab") as log:
        log.write(b", and on")
    outlet.close()
    assert out.getvalue() == b"a" * 5000 + b", and on"
