"""A seccomp filter: system calls that no reader and no sorter needs fail with "not permitted".

The one door to libseccomp, which knows the numbers of calls on each architecture. Refusing is by
an error, not by a kill: libraries that merely try (a socket for logging, say) continue.
"""

from __future__ import annotations

import errno
import importlib
import os
from typing import Any

# Ways out of any sandbox: the kernel's own workshop, other processes' memory, other namespaces.
_NEVER = (
    "_sysctl", "acct", "add_key", "bpf", "chroot", "delete_module", "fanotify_init",
    "finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "init_module", "io_uring_enter",
    "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load",
    "kexec_load", "keyctl", "lookup_dcookie", "mount", "mount_setattr", "move_mount",
    "name_to_handle_at", "nfsservctl", "open_by_handle_at", "open_tree", "perf_event_open",
    "pidfd_getfd", "pivot_root", "process_vm_readv", "process_vm_writev", "ptrace", "quotactl",
    "reboot", "request_key", "setdomainname", "sethostname", "setns", "settimeofday", "swapoff",
    "swapon", "syslog", "umount2", "unshare", "userfaultfd", "vhangup",
)  # fmt: skip
# Unix sockets as well: a container engine's or a database's is a door to everything. Pools of
# processes talk through pipes and socketpair, which stay.
_NETWORK = ("socket", "accept", "accept4", "bind", "connect", "listen")
_PROGRAMS = ("execve", "execveat", "fork", "vfork")
# Whoever reads the scratch afterwards must meet files and folders only.
_SPECIAL_FILES = ("symlink", "symlinkat", "mknod", "mknodat")
_SIGNALS_BY_PID = ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
_OTHER_SIGNALS = ("tkill", "pidfd_open", "pidfd_send_signal")
_CLONE_THREAD = 0x00010000


class NoSeccompError(OSError):
    """Neither the library nor the kernel here can filter system calls."""


def refuse_calls(*, programs: bool) -> None:
    """Refuse what nobody needs, every socket and, unless ``programs``, every other process.

    Threads are always kept. Raises NoSeccompError, OSError.
    """
    seccomp = _library()
    refused = seccomp.ERRNO(errno.EPERM)
    rules = seccomp.SyscallFilter(defaction=seccomp.ALLOW)
    for name in (*_NEVER, *_NETWORK, *_SPECIAL_FILES):
        _refuse(seccomp, rules, refused, name)
    if not programs:
        for name in (*_PROGRAMS, *_OTHER_SIGNALS):
            _refuse(seccomp, rules, refused, name)
        for name in _SIGNALS_BY_PID:
            _refuse(seccomp, rules, refused, name, seccomp.Arg(0, seccomp.NE, os.getpid()))
        process = seccomp.Arg(0, seccomp.MASKED_EQ, _CLONE_THREAD, 0)
        _refuse(seccomp, rules, refused, "clone", process)
        # Its flags are in memory, where no filter sees them; libraries then take clone.
        _refuse(seccomp, rules, seccomp.ERRNO(errno.ENOSYS), "clone3")
    rules.load()


def is_available() -> bool:
    """Say whether system calls can be filtered here."""
    try:
        _library()
    except NoSeccompError:
        return False
    return True


def _library() -> Any:
    """The binding, which looks for libseccomp when it is imported."""
    try:
        return importlib.import_module("pyseccomp")
    except (ImportError, RuntimeError) as error:
        raise NoSeccompError(
            f"system calls cannot be filtered ({error}); install libseccomp2 and pyseccomp"
        ) from error


def _refuse(seccomp: Any, rules: Any, action: int, name: str, *arguments: Any) -> None:
    """Add one rule; a call this architecture or this libseccomp does not know needs none."""
    try:
        number = seccomp.resolve_syscall(seccomp.Arch.NATIVE, name)
    except ValueError:
        return
    if number >= 0:
        rules.add_rule(action, name, *arguments)
