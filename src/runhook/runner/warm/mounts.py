"""Showing the folders of a run in a box that stands already: mounts made from outside.

A copy of each mount is taken where it is, and put into the box's namespace (open_tree(2) and
move_mount(2), Linux 5.2). A process without rights of its own has them over the user namespace that
it made for the box; there it gets a copy of its own mounts to take from. That is the namespace to
which the mounts belong (ioctl_ns(2)), not the inner one in which the work is.
"""

import ctypes
import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import suppress

from runhook.runner import syscalls

SYS_OPEN_TREE, SYS_MOVE_MOUNT = 428, 429  # the same on every architecture
AT_FDCWD = -100
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 4
MNT_DETACH = 2
NS_GET_USERNS = 0xB701
EMPTY = ctypes.c_char_p(b"")

_libc = ctypes.CDLL(None, use_errno=True)


def show(box: int, kinds: int, folders: Sequence[str]) -> None:
    """Have the folders seen, under their names, in the box whose first process is `box`. OSError
    if that cannot be."""

    def work() -> None:
        inside = _mounts_of(box, kinds)
        if kinds & syscalls.CLONE_NEWUSER:
            _checked(_libc.unshare(syscalls.CLONE_NEWNS), "unshare")
        trees = [(path, _copy(path)) for path in folders]
        syscalls.join_namespaces(inside, syscalls.CLONE_NEWNS)
        os.umask(0o022)
        for path, tree in trees:
            os.makedirs(path, exist_ok=True)
            _put(tree, path)

    _elsewhere(work)


def hide(box: int, kinds: int, folders: Sequence[str]) -> None:
    """Take them away again, also from whoever still stands in them. Safe to repeat."""

    def work() -> None:
        syscalls.join_namespaces(_mounts_of(box, kinds), syscalls.CLONE_NEWNS)
        for path in folders:
            _libc.umount2(ctypes.c_char_p(os.fsencode(path)), ctypes.c_int(MNT_DETACH))
            with suppress(OSError):
                os.rmdir(path)
                os.rmdir(os.path.dirname(path))

    with suppress(OSError):
        _elsewhere(work)


def _mounts_of(box: int, kinds: int) -> int:
    """A descriptor of the box's mount namespace; this process has rights over it from now on."""
    mounts = os.open(f"/proc/{box}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    if kinds & syscalls.CLONE_NEWUSER:
        syscalls.join_namespaces(fcntl.ioctl(mounts, NS_GET_USERNS), syscalls.CLONE_NEWUSER)
    return mounts


def _copy(path: str) -> int:
    flags = ctypes.c_uint(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
    name = ctypes.c_char_p(os.fsencode(path))
    tree = _libc.syscall(ctypes.c_long(SYS_OPEN_TREE), ctypes.c_int(AT_FDCWD), name, flags)
    return _checked(tree, path)


def _put(tree: int, path: str) -> None:
    moved = _libc.syscall(
        ctypes.c_long(SYS_MOVE_MOUNT),
        ctypes.c_int(tree),
        EMPTY,
        ctypes.c_int(AT_FDCWD),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.c_uint(MOVE_MOUNT_F_EMPTY_PATH),
    )
    _checked(moved, path)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return int(result)


def _elsewhere(work: Callable[[], None]) -> None:
    """In a process of its own, since namespaces cannot be left again. OSError as it was there."""
    child = os.fork()
    if child == 0:
        status = 255
        try:
            work()
            status = 0
        except OSError as error:
            status = min(error.errno or 255, 255)
        finally:
            os._exit(status)
    _, ending = os.waitpid(child, 0)
    status = os.waitstatus_to_exitcode(ending)
    if status:
        raise OSError(abs(status), os.strerror(abs(status)))
