"""What the kernel offers and Python's `os` does not: namespaces, privileges, opening beneath."""

import ctypes
import os
import signal
from contextlib import suppress

_libc = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
SYS_OPENAT2 = 437  # the same on every architecture
RESOLVE_NO_MAGICLINKS, RESOLVE_BENEATH = 0x02, 0x08
MOST_CAPABILITIES = 64


def no_new_privileges() -> None:
    """From now on no program gives this process, or what it starts, more rights (prctl(2))."""
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def end_with_parent() -> None:
    """Be killed when the process that started this one ends (prctl(2))."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def hide_memory() -> None:
    """Until the next program is executed, let nobody of the same user look into this process."""
    _prctl(PR_SET_DUMPABLE, 0)


def become(uid: int) -> None:
    """Be the system user and group of this number, in no other group, for good: no capability can
    be had again (capabilities(7))."""
    for capability in range(MOST_CAPABILITIES):
        with suppress(OSError):  # there are fewer
            _prctl(PR_CAPBSET_DROP, capability)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def join_namespaces(descriptor: int, kinds: int) -> None:
    """Enter the namespaces of the process that the pidfd names (setns(2), Linux 5.8)."""
    if _libc.setns(descriptor, kinds) != 0:
        raise _failure("setns")


class _OpenHow(ctypes.Structure):
    """`struct open_how` of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(root: int, path: str, flags: int) -> int:
    """Open a path that, links included, does not lead out of the folder `root` (openat2(2), Linux
    5.6). OSError if it does."""
    how = _OpenHow(flags | os.O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
    opened = _libc.syscall(
        ctypes.c_long(SYS_OPENAT2),
        ctypes.c_int(root),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if opened < 0:
        raise _failure(path)
    return int(opened)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise _failure("prctl")


def _failure(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)
