"""What hostile code would try once it runs in a confined process. Imported by the zygote of tests.

Each function takes ``{"path": …}`` or nothing and returns "done", or the name of what stopped it.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def _tried(act: Callable[[], Any]) -> str:
    try:
        act()
    except (OSError, MemoryError, ValueError) as error:
        return type(error).__name__
    return "done"


def attack(arguments: Mapping[str, Any]) -> str:
    """Try the named act."""
    act, path = ACTS[arguments["act"]], str(arguments.get("path", ""))
    return _tried(lambda: act(path))


def answer(arguments: Mapping[str, Any]) -> Any:
    """Give the arguments back, with the folder it works in."""
    return {**arguments, "folder": str(Path.cwd()), "pid": os.getpid()}


def fail(arguments: Mapping[str, Any]) -> None:
    """Raise as a bug of ours would."""
    raise LookupError(f"our own bug, {arguments['word']}")


def crash(arguments: Mapping[str, Any]) -> None:
    """Die in native code."""
    ctypes.string_at(0)


def spin(arguments: Mapping[str, Any]) -> None:
    """Compute for ever."""
    while True:
        pass


def sleep(arguments: Mapping[str, Any]) -> None:
    """Wait for ever, as on a mount that does not answer."""
    time.sleep(600)


def hoard(arguments: Mapping[str, Any]) -> int:
    """Unpack far more than there was."""
    return len(bytearray(int(arguments["bytes"])))


def environment(arguments: Mapping[str, Any]) -> list[str]:
    """Names of the variables it sees, also those it was started with."""
    started_with = Path("/proc/self/environ").read_bytes().split(b"\0")
    return sorted(
        {*os.environ, *(entry.split(b"=")[0].decode() for entry in started_with if entry)}
    )


def open_files(arguments: Mapping[str, Any]) -> int:
    """How many files it holds open beside its own answer, stdin, stdout and stderr."""
    return len(os.listdir("/proc/self/fd")) - 5


def nonsense(arguments: Mapping[str, Any]) -> Any:
    """An answer with a shape nobody asked for."""
    return {"failure": 7, "units": [None]}


def flood(arguments: Mapping[str, Any]) -> str:
    """An answer larger than anybody asked for."""
    return "x" * (80 << 20)


def thread(arguments: Mapping[str, Any]) -> str:
    """Use a thread, which readers may."""
    found: list[str] = []
    worker = threading.Thread(target=lambda: found.append("done"))
    worker.start()
    worker.join()
    return found[0]


def _read(path: str) -> None:
    Path(path).read_bytes()


def _write(path: str) -> None:
    Path(path).write_text("a mark")


def _connect(path: str) -> None:
    with socket.create_connection(("127.0.0.1", int(path)), timeout=2):
        pass


def _datagram(path: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(b"a mark", ("127.0.0.1", int(path)))


def _unix(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as out:
        out.connect(path)


def _abstract(path: str) -> None:
    """A local socket that no file stands for: what a desktop's or a container's daemon has."""
    with socket.socket(socket.AF_UNIX) as out:
        out.connect(f"\0{path}")


def _inherited(path: str) -> None:
    """A pair of sockets is allowed; to send one of them on needs a listener."""
    left, right = socket.socketpair()
    with left, right, open("/dev/null", "rb") as given:
        socket.send_fds(left, [b"x"], [given.fileno()])
        right.connect(path)


def _more_tasks(path: str) -> None:
    import resource  # noqa: PLC0415 - an attack among many

    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft == resource.RLIM_INFINITY or hard == resource.RLIM_INFINITY:
        return  # nothing bounds it
    resource.setrlimit(resource.RLIMIT_NPROC, (hard, resource.RLIM_INFINITY))


def _listen(path: str) -> None:
    with socket.create_server(("127.0.0.1", 0)):
        pass


def _run(path: str) -> None:
    subprocess.run([sys.executable, "-c", f"open({path!r}, 'w')"], check=False)


def _fork(path: str) -> None:
    if os.fork() == 0:
        _write(path)
        os._exit(0)  # noqa: TID251 - the forked half must not answer as well


def _kill_parent(path: str) -> None:
    os.kill(os.getppid(), signal.SIGSTOP)


def _kill_everybody(path: str) -> None:
    os.kill(int(path), signal.SIGKILL)


def _environment_of(path: str) -> None:
    Path(f"/proc/{path}/environ").read_bytes()


def _memory_of(path: str) -> None:
    with open(f"/proc/{path}/mem", "r+b"):
        pass


def _symlink(path: str) -> None:
    os.symlink(path, "link")


def _hard_link(path: str) -> None:
    os.link(path, "link")


def _fifo(path: str) -> None:
    os.mkfifo("pipe")


def _device(path: str) -> None:
    os.mknod("device", 0o600 | 0o020000, os.makedev(1, 1))


def _rename_out(path: str) -> None:
    Path("mine").write_text("a mark")
    os.rename("mine", path)


def _remove(path: str) -> None:
    os.unlink(path)


def _chroot(path: str) -> None:
    os.chroot("/")


def _mount(path: str) -> None:
    if ctypes.CDLL(None, use_errno=True).mount(b"none", b"/tmp", b"tmpfs", 0, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")


def _namespace(path: str) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(0x10000000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def _trace(path: str) -> None:
    if ctypes.CDLL(None, use_errno=True).ptrace(16, int(path), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def _own_uring(path: str) -> None:
    if ctypes.CDLL(None, use_errno=True).syscall(425, 8, ctypes.create_string_buffer(256)) < 0:
        raise OSError(ctypes.get_errno(), "io_uring_setup")


def _fill(path: str) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open("large", "wb") as out:
        for _ in range(64):
            out.write(bytes(1 << 20))


def _more_memory(path: str) -> None:
    import resource  # noqa: PLC0415 - an attack among many

    resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


ACTS: Mapping[str, Callable[[str], None]] = {
    "read": _read,
    "list": lambda path: os.listdir(path) and None,
    "write": _write,
    "connect": _connect,
    "send a datagram": _datagram,
    "reach a local socket": _unix,
    "reach an abstract socket": _abstract,
    "reach a socket over a pair": _inherited,
    "lift its number of processes": _more_tasks,
    "listen": _listen,
    "run a program": _run,
    "fork": _fork,
    "stop its parent": _kill_parent,
    "kill another process": _kill_everybody,
    "read another environment": _environment_of,
    "open another memory": _memory_of,
    "trace another process": _trace,
    "make a symlink": _symlink,
    "make a hard link": _hard_link,
    "make a pipe": _fifo,
    "make a device": _device,
    "rename out of its scratch": _rename_out,
    "remove": _remove,
    "change its root": _chroot,
    "mount": _mount,
    "enter a namespace": _namespace,
    "use io_uring": _own_uring,
    "fill the disk": _fill,
    "lift its limits": _more_memory,
}
