"""Confined calls: what is answered, what each end is called, and what hostile code there can do."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spikefleet.infra.system.confinement import SandboxPolicy
from spikefleet.infra.system.openings import (
    Limits,
    OpeningCrashedError,
    OpeningFailedError,
    OpeningPool,
    OpeningTooLargeError,
    OpeningTooLongError,
    Zygote,
)

ATTACKER = "tests.support.attacker"
ROOT = Path(__file__).parents[4]
LIMITS = Limits(wall_s=30.0, cpu_s=20, memory_bytes=512 << 20, scratch_bytes=16 << 20)
NOTHING = SandboxPolicy()


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    path = os.pathsep.join((str(ROOT / "services"), str(ROOT)))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path}
    found = Zygote((ATTACKER,), environment, tmp_path_factory.mktemp("openings"))
    yield found
    found.close()


@pytest.fixture
def pool(zygote):
    return OpeningPool(zygote, 4)


@pytest.fixture
def victim():
    """A process beside the service."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def ask(pool, function, arguments=None, policy=NOTHING, limits=LIMITS):
    return pool.run(f"{ATTACKER}:{function}", arguments or {}, policy, limits)


async def test_an_answer_comes_from_a_process_of_its_own_with_an_empty_folder(pool):
    first, second = await asyncio.gather(
        ask(pool, "answer", {"x": 1}), ask(pool, "answer", {"x": 2})
    )
    assert (first["x"], second["x"]) == (1, 2)
    assert len({first["pid"], second["pid"], os.getpid()}) == 3
    assert first["folder"] != second["folder"]
    assert not _is_there(first["folder"])


async def test_our_own_exception_is_ours_and_its_trace_is_kept(pool):
    with pytest.raises(OpeningFailedError) as caught:
        await ask(pool, "fail", {"word": "xyzzy"})
    assert "LookupError: our own bug, xyzzy" in caught.value.words
    assert "in fail" in caught.value.words


@pytest.mark.parametrize(
    ("function", "arguments", "limits", "error"),
    [
        ("crash", {}, LIMITS, OpeningCrashedError),
        ("hoard", {"bytes": 3 << 30}, LIMITS, OpeningTooLargeError),
        ("spin", {}, Limits(30.0, 1, 512 << 20, 1 << 20), OpeningTooLongError),
        ("sleep", {}, Limits(0.5, 20, 512 << 20, 1 << 20), OpeningTooLongError),
        ("flood", {}, LIMITS, OpeningCrashedError),
    ],
)
async def test_every_end_without_an_answer_has_its_name(pool, function, arguments, limits, error):
    with pytest.raises(error):
        await ask(pool, function, arguments, limits=limits)
    assert (await ask(pool, "answer", {"x": 1}))["x"] == 1


async def test_endless_work_is_told_from_waiting(pool):
    with pytest.raises(OpeningTooLongError) as worked:
        await ask(pool, "spin", limits=Limits(30.0, 1, 512 << 20, 1 << 20))
    with pytest.raises(OpeningTooLongError) as waited:
        await ask(pool, "sleep", limits=Limits(0.5, 20, 512 << 20, 1 << 20))
    assert (worked.value.used_cpu, waited.value.used_cpu) == (True, False)


async def test_a_caller_that_leaves_ends_its_process(pool):
    before = set(_forked())
    call = asyncio.create_task(ask(pool, "sleep"))
    for _ in range(200):
        if working := set(_forked()) - before:
            break
        await asyncio.sleep(0.02)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await asyncio.to_thread(_gone, working)


async def test_more_calls_than_slots_wait_and_are_all_answered(zygote):
    pool = OpeningPool(zygote, 1)
    answers = await asyncio.gather(*(ask(pool, "answer", {"x": x}) for x in range(5)))
    assert [answer["x"] for answer in answers] == list(range(5))


async def test_pools_that_share_slots_have_no_more_openings_at_once_than_these(zygote):
    together = asyncio.Semaphore(2)
    pools = [OpeningPool(zygote, 4, together), OpeningPool(zygote, 4, together)]
    before = set(_forked())
    calls = [asyncio.create_task(ask(pool, "sleep")) for pool in pools * 3]
    await asyncio.sleep(1.0)
    assert len(set(_forked()) - before) == 2
    for call in calls:
        call.cancel()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended)
    assert (await ask(pools[0], "answer", {"x": 1}))["x"] == 1


async def test_a_zygote_that_was_killed_costs_its_calls_and_no_later_one(tmp_path):
    own = Zygote((ATTACKER,), {"PYTHONPATH": f"{ROOT / 'services'}:{ROOT}"}, tmp_path)
    pool = OpeningPool(own, 2)
    assert (await ask(pool, "answer", {"x": 1}))["x"] == 1
    working = asyncio.create_task(ask(pool, "sleep"))
    await asyncio.sleep(0.3)
    assert own._process is not None
    own._process.kill()
    with pytest.raises(OpeningCrashedError):
        await working
    assert (await ask(pool, "answer", {"x": 2}))["x"] == 2
    own.close()


def test_zygote_and_copies_die_with_their_service(tmp_path):
    script = tmp_path / "owner.py"
    script.write_text(
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from spikefleet.infra.system.confinement import SandboxPolicy\n"
        "from spikefleet.infra.system.openings import Limits, OpeningPool, Zygote\n"
        f"z = Zygote(({ATTACKER!r},), {{'PYTHONPATH': '{ROOT / 'services'}:{ROOT}'}},"
        f" Path({str(tmp_path)!r}))\n"
        "async def main():\n"
        "    pool = OpeningPool(z, 2)\n"
        f"    call = asyncio.create_task(pool.run('{ATTACKER}:sleep', {{}}, SandboxPolicy(),"
        " Limits()))\n"
        f"    print((await pool.run('{ATTACKER}:answer', {{}}, SandboxPolicy(), Limits()))['pid'],"
        " z._process.pid, flush=True)\n"
        "    await call\n"
        "asyncio.run(main())\n"
    )
    owner = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'services'}:{ROOT}"},
    )
    assert owner.stdout is not None
    _, zygote_pid = map(int, owner.stdout.readline().split())
    copies = _children(zygote_pid)
    assert copies
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert _gone({zygote_pid, *copies})


async def test_it_sees_neither_our_environment_nor_our_open_files(zygote, pool, monkeypatch):
    monkeypatch.setenv("SPIKEFLEET_DATABASE_URL", "postgresql://user:secret@host/name")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    seen = set(await ask(pool, "environment"))
    assert seen <= {"PATH", "PYTHONPATH", "LC_CTYPE"}
    assert await ask(pool, "open_files") <= 1
    assert await ask(pool, "thread") == "done"


async def test_only_what_the_policy_names_is_read_and_only_scratch_is_written(pool, tmp_path):
    mine, secret, out = tmp_path / "mine.bin", tmp_path / "secret", tmp_path / "out"
    mine.write_bytes(b"samples")
    secret.write_text("secret")
    out.mkdir()
    policy = SandboxPolicy(readable=(str(mine),), writable=(str(out),))
    tried = {
        ("read", mine): "done",
        ("write", out / "result"): "done",
        ("write", mine): "PermissionError",
        ("remove", mine): "PermissionError",
        ("read", secret): "PermissionError",
        ("write", secret): "PermissionError",
        ("remove", secret): "PermissionError",
        ("list", tmp_path): "PermissionError",
        ("read", "/etc/shadow"): "PermissionError",
        ("read", f"/proc/{os.getpid()}/environ"): "PermissionError",
        ("write", tmp_path / "mark"): "PermissionError",
        ("rename out of its scratch", tmp_path / "mark"): "PermissionError",
    }
    for (act, path), expected in tried.items():
        found = await ask(pool, "attack", {"act": act, "path": str(path)}, policy)
        # A rename across rights is "another device" to the kernel.
        assert found in {expected, "OSError" if act.startswith("rename") else expected}, (act, path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.bin", "out", "secret"]
    assert secret.read_text() == "secret"


@pytest.mark.parametrize(
    "act",
    [
        "connect", "send a datagram", "reach a local socket", "reach an abstract socket",
        "reach a socket over a pair", "lift its number of processes", "listen",
        "run a program", "fork",
        "stop its parent", "kill another process", "read another environment",
        "open another memory", "trace another process", "make a symlink", "make a hard link",
        "make a pipe", "make a device", "change its root", "mount", "enter a namespace",
        "use io_uring", "fill the disk", "lift its limits",
    ],
)  # fmt: skip
async def test_hostile_code_in_it_is_refused(pool, victim, tmp_path, act):
    server = socket.create_server(("127.0.0.1", 0))
    local, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0spikefleet-{os.getpid()}")
    abstract.listen()
    local.bind(str(tmp_path / "door"))
    local.listen()
    pid, port = str(victim.pid), str(server.getsockname()[1])
    target = {
        "connect": port,
        "send a datagram": port,
        "reach a local socket": str(tmp_path / "door"),
        "reach an abstract socket": f"spikefleet-{os.getpid()}",
        "reach a socket over a pair": str(tmp_path / "door"),
        "run a program": str(tmp_path / "mark"),
        "fork": str(tmp_path / "mark"),
        "make a symlink": "/etc/shadow",
        "make a hard link": "/etc/passwd",
    }.get(act, pid)
    try:
        found = await ask(pool, "attack", {"act": act, "path": target})
        assert found in ("PermissionError", "OSError", "ValueError"), found
        assert victim.poll() is None
        assert not (tmp_path / "mark").exists()
    finally:
        server.close()
        local.close()
        abstract.close()


def _is_there(path: str) -> bool:
    return Path(path).exists()


def _forked() -> list[int]:
    """Pids of every copy of a zygote on this machine."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"system.zygote" in command and ATTACKER.encode() in command:
                found.append(int(entry.name))
    return found


def _children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _gone(pids: set[int]) -> bool:
    deadline_s = time.monotonic() + 5
    while any(map(_is_alive, pids)) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return not any(map(_is_alive, pids))
