"""A child process that ends in the way it is told: ``toy_child.py <run folder> <behaviour>``.

It stands where the sorting child stands and is a real process; it only replaces the sorting.
"""

import ctypes
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

FOREVER_S = 600


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def leave_result(folder: Path) -> None:
    for name in ("sorting", "analyzer"):
        (folder / "result" / name).mkdir(parents=True)
        (folder / "result" / name / "data.bin").write_bytes(b"spikes")
    result = {"n_units": 3, "n_spikes": 120, "duration_s": 10.0, "timings_s": {"sort": 1.5}}
    (folder / "result" / "result.json").write_text(json.dumps(result | {"versions": {"toy": "1"}}))


def leave_failure(folder: Path, error: Exception, classified: dict[str, object] | None) -> None:
    document = {
        "step": "sort",
        "exception_type": type(error).__name__,
        "module": type(error).__module__,
        "message": str(error),
        "frames": [],
        "trace_tail": [],
        "classified": classified,
    }
    (folder / "child").mkdir(exist_ok=True)
    (folder / "child" / "child_failure.json").write_text(json.dumps(document))


def succeed(folder: Path) -> int:
    say("[spikefleet] step=sort")
    leave_result(folder)
    return 0


def succeed_when_told(folder: Path) -> int:
    """Leave the result once the test has put a file ``go`` there."""
    say("[spikefleet] step=sort")
    while not (folder / "go").exists():
        time.sleep(0.02)
    return succeed(folder)


def leave_nothing(folder: Path) -> int:
    return 0


def fail_unknown(folder: Path) -> int:
    leave_failure(folder, ValueError("an entirely new thing went wrong"), None)
    return 1


def fail_classified(folder: Path) -> int:
    failure = {"code": "insufficient_activity", "message": "Too quiet.", "rule_id": "toy"}
    leave_failure(folder, RuntimeError("Too quiet."), failure)
    return 80


def fill_the_gpu(folder: Path) -> int:
    failure = {"code": "gpu_out_of_memory", "message": "Too large.", "rule_id": "toy"}
    leave_failure(folder, RuntimeError("CUDA out of memory"), failure)
    return 101


def run_out_of_memory(folder: Path) -> int:
    try:
        bytearray(1 << 60)
    except MemoryError as error:
        leave_failure(folder, error, None)
    return 1


def die_by_kernel(folder: Path) -> int:
    """What the kernel does to a process over its limit: count it, then SIGKILL."""
    (folder / "cgroup" / "memory.events").write_text("oom 1\noom_kill 1\n")
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def die_by_kill(folder: Path) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def die_by_segfault(folder: Path) -> int:
    ctypes.string_at(0)
    return 0


def sleep_quietly(folder: Path) -> int:
    say("started")
    time.sleep(FOREVER_S)
    return 0


def chatter(folder: Path) -> int:
    while True:
        say("still here")
        time.sleep(0.05)


def stop_politely(folder: Path) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    return sleep_quietly(folder)


def cling(folder: Path) -> int:
    """Ignore SIGTERM, together with a grandchild in the session and one that left it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleeper = [sys.executable, "-c", f"import time; time.sleep({FOREVER_S})"]
    near = subprocess.Popen(sleeper)
    far = subprocess.Popen(sleeper, start_new_session=True)
    (folder / "family.json").write_text(json.dumps([os.getpid(), near.pid, far.pid]))
    return sleep_quietly(folder)


def leave_workers_behind(folder: Path) -> int:
    sleeper = [sys.executable, "-c", f"import time; time.sleep({FOREVER_S})"]
    worker = subprocess.Popen(sleeper, start_new_session=True)
    (folder / "family.json").write_text(json.dumps([os.getpid(), worker.pid]))
    return succeed(folder)


def hoard_memory(folder: Path) -> int:
    held = bytearray(b"x") * (256 << 20)
    say(f"holding {len(held)}")
    return sleep_quietly(folder)


def grow_memory(folder: Path) -> int:
    """Anonymous memory: much at once, then 40 MB/s until somebody says stop."""
    say("growing")
    held = [bytearray(b"x") * (160 << 20)]
    while True:
        held.append(bytearray(b"x") * (2 << 20))
        time.sleep(0.05)


def lose_a_worker_to_the_kernel(folder: Path) -> int:
    """A worker asks for far too much at once; its master waits for it and never learns."""
    say("[spikefleet] step=sort")
    time.sleep(0.5)
    subprocess.Popen([sys.executable, "-c", "x = bytearray(2 << 30); x[::4096] = x[::4096]"]).wait()
    time.sleep(FOREVER_S)
    return 0


def stream_through_the_cache(folder: Path) -> int:
    """Read far more than the limit, and some of it again and again, and hold none of it."""
    say("streaming")
    block = b"x" * (4 << 20)

    def write(name: str, blocks: int) -> Path:
        with (folder / name).open("wb") as handle:
            for _ in range(blocks):
                handle.write(block)
            os.fsync(handle.fileno())
        return folder / name

    def read(path: Path) -> None:
        with path.open("rb", buffering=0) as handle:
            while handle.read(len(block)):
                pass

    long, hot = write("stream.bin", 64), write("templates.bin", 48)
    for _ in range(3):
        read(long)
        for _ in range(4):
            read(hot)
            time.sleep(0.1)
    leave_result(folder)
    return 0


def fill_the_disk(folder: Path) -> int:
    """A sorter's temporary file that grows until somebody says stop."""
    say("[spikefleet] step=sort")
    (folder / "sorter").mkdir(exist_ok=True)
    with (folder / "sorter" / "temp_wh.dat").open("wb", buffering=0) as handle:
        while True:
            handle.write(b"x" * (256 << 10))
            time.sleep(0.02)


def wait_like_for_a_disk(folder: Path) -> int:
    """Real uninterruptible sleep: clone(CLONE_VFORK) returns when its child is gone."""
    say("reading")
    number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
    if ctypes.CDLL(None).syscall(number, 0x4000 | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(FOREVER_S)
    return 0


def cluster_in_silence(folder: Path) -> int:
    """Compute for three seconds without a word, in a step that may."""
    say("[spikefleet] step=sort")
    say("split_clusters")
    until_s = time.monotonic() + 3.0
    while time.monotonic() < until_s:
        sum(range(100_000))
    leave_result(folder)
    return 0


def leave_a_daemon(folder: Path) -> int:
    """Fall silent beside a daemon that forked twice, left the session and ignores SIGTERM."""
    say("[spikefleet] step=sort")
    if os.fork() == 0:
        os.setsid()
        if os.fork() != 0:
            sys.exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (folder / "family.json").write_text(json.dumps([os.getpid()]))
        time.sleep(FOREVER_S)
    time.sleep(FOREVER_S)
    return 0


def die_by_kernel_in_trial(folder: Path) -> int:
    """The same in the trial's folder: the counter is the attempt's."""
    return die_by_kernel(folder.parent)


def lack_a_library(folder: Path) -> int:
    """What a broken image does to every sort: the sorter cannot be imported."""
    error = ModuleNotFoundError("No module named 'kilosort'")
    leave_failure(folder, error, None)
    return 1


if __name__ == "__main__":
    root, told = Path(sys.argv[1]), sys.argv[2]
    trial, _, sort = told.rpartition("+")  # "trial+sort": the canary behaves otherwise
    sys.exit(globals()[trial if trial and root.name == "canary" else sort](root))
