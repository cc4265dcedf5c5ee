"""A container that is a real process sees what its manifest says, and nothing else."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from tests.kubefake.cluster import NAMESPACE, KubeFake, encode_secret
from tests.kubefake.conftest import make_job
from tests.kubefake.processes import ImageStandIn, ProcessRuntime
from tests.kubefake.resources import SECRETS
from tests.kubefake.store import Document

IMAGE = "localhost/probe:1"
TELL = """
import json, os, pathlib, sys
out = {"env": dict(os.environ), "secret": pathlib.Path(os.environ["SECRET_FILE"]).read_text(),
       "mode": oct(os.stat(os.environ["SECRET_FILE"]).st_mode & 0o777)}
pathlib.Path(os.environ["SCRATCH"], "out.json").write_text(json.dumps(out))
pathlib.Path(os.environ["LAST_WORDS"]).write_text("done")
print("hello")
sys.exit(107)
"""
STAY = """
import os, pathlib, signal, sys, time
def end(*_):
    pathlib.Path(os.environ["LAST_WORDS"]).write_text("113")
    sys.exit(113)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[KubeFake, ProcessRuntime]]:
    images = {IMAGE: ImageStandIn({"OF_IMAGE": "yes"}, {"python": sys.executable})}
    with KubeFake(speed=5.0) as fake, fake.processes(tmp_path, images) as runtime:
        yield fake, runtime


def job_of(program: str, **container: Any) -> Document:
    job = make_job()
    spec = job["spec"]["template"]["spec"]
    spec["containers"][0] |= {
        "command": ["python", "-c", program],
        "env": [
            {"name": "SCRATCH", "value": "/scratch"},
            {"name": "SECRET_FILE", "value": "/run/secrets/attempt/secret"},
            {"name": "LAST_WORDS", "value": "/dev/termination-log"},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {
                "name": "MEMORY",
                "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}},
            },
        ],
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "attempt", "mountPath": "/run/secrets/attempt", "readOnly": True},
        ],
        **container,
    }
    secret = {"secretName": "attempt", "defaultMode": 0o440}
    spec["volumes"] = [{"name": "scratch", "emptyDir": {}}, {"name": "attempt", "secret": secret}]
    return job


def keep(fake: KubeFake, job: Document, *, secret: bool = True) -> None:
    if secret:
        data = {"secret": encode_secret("hush")}
        fake.put(SECRETS, {"kind": "Secret", "metadata": {"name": "attempt"}, "data": data})
    client.BatchV1Api(fake.client()).create_namespaced_job(NAMESPACE, job)


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def ended(fake: KubeFake) -> Document | None:
    for pod in fake.pods_of("attempt"):
        for one in pod["status"].get("containerStatuses", ()):
            if "terminated" in one["state"] and pod["status"]["phase"] in ("Failed", "Succeeded"):
                found: Document = one["state"]["terminated"]
                return found
    return None


def test_process_gets_command_variables_volumes_and_leaves_code_and_message(
    live: tuple[KubeFake, ProcessRuntime], tmp_path: Path
) -> None:
    fake, _ = live
    keep(fake, job_of(TELL))
    until(lambda: ended(fake) is not None)
    found = ended(fake)
    assert found is not None
    assert (found["exitCode"], found["message"]) == (107, "done")
    [out] = tmp_path.rglob("out.json")
    told = json.loads(out.read_text())
    [pod] = fake.pods_of("attempt")
    assert told["secret"] == "hush"
    assert told["mode"] == "0o440"
    assert told["env"]["POD"] == pod["metadata"]["name"]
    assert told["env"]["MEMORY"] == str(128 << 20)
    assert told["env"]["OF_IMAGE"] == "yes"
    assert "HOME" not in told["env"], "nothing of this machine's environment comes in"
    assert fake.kubelet.log(pod) == b"hello\n"


def test_deleted_pod_gets_sigterm_and_ends_with_its_own_code_and_message(
    live: tuple[KubeFake, ProcessRuntime],
) -> None:
    fake, runtime = live
    keep(fake, job_of(STAY))
    until(lambda: any(runtime.log(pod) == b"ready\n" for pod in fake.pods_of("attempt")))
    [pod] = fake.pods_of("attempt")
    pid = runtime.pid_of(pod)
    fake.delete_pod(pod["metadata"]["name"])
    until(lambda: any(change.kind == "DELETED" for change in fake.store.history))
    last = next(one.document for one in fake.store.history if one.kind == "DELETED")
    state = last["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (state["exitCode"], state["message"]) == (113, "113")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_program_that_is_not_there_is_a_start_error(
    live: tuple[KubeFake, ProcessRuntime],
) -> None:
    fake, _ = live
    keep(fake, job_of("", command=["/nope"]))
    until(lambda: ended(fake) is not None)
    found = ended(fake)
    assert found is not None
    assert (found["exitCode"], found["reason"]) == (128, "StartError")


def test_missing_secret_keeps_the_container_waiting_and_its_coming_starts_it(
    live: tuple[KubeFake, ProcessRuntime],
) -> None:
    fake, _ = live
    keep(fake, job_of(TELL), secret=False)
    until(lambda: "FailedMount" in {one.document.get("reason") for one in fake.store.history})
    assert ended(fake) is None
    data = {"secret": encode_secret("hush")}
    fake.put(SECRETS, {"kind": "Secret", "metadata": {"name": "attempt"}, "data": data})
    until(lambda: ended(fake) is not None)


def test_image_that_nobody_has_keeps_the_pod_pending(
    live: tuple[KubeFake, ProcessRuntime],
) -> None:
    fake, _ = live
    keep(fake, job_of(TELL, image="nowhere/none:1"))

    def waits() -> bool:
        states = [
            one["state"].get("waiting", {}).get("reason")
            for pod in fake.pods_of("attempt")
            for one in pod["status"].get("containerStatuses", ())
        ]
        return "ImagePullBackOff" in states

    until(waits)
    assert [pod["status"]["phase"] for pod in fake.pods_of("attempt")] == ["Pending"]
