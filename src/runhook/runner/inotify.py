"""Being told that a file grew, or that a folder holds more.

inotify on Linux, kqueue on macOS (untested there).
"""

import ctypes
import os
import select
import sys
from pathlib import Path

IN_MODIFY, IN_MOVED_TO, IN_CREATE = 0x2, 0x80, 0x100
ENOUGH = 64 * 1024


class Growth:
    """`fileno()` is readable once the file was written to since `clear()`; of a folder, once
    something new stood in it."""

    def __init__(self, path: Path) -> None:
        if sys.platform == "linux":
            self._descriptor = _inotify(path)
        else:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._queue = select.kqueue()
            flags = select.KQ_EV_ADD | select.KQ_EV_CLEAR
            news = select.KQ_NOTE_WRITE if path.is_dir() else select.KQ_NOTE_EXTEND
            event = select.kevent(self._file, select.KQ_FILTER_VNODE, flags, news)
            self._queue.control([event], 0)
            self._descriptor = self._queue.fileno()

    def fileno(self) -> int:
        """To be waited on for reading."""
        return self._descriptor

    def clear(self) -> None:
        """Forget what was told so far."""
        if sys.platform == "linux":
            try:
                os.read(self._descriptor, ENOUGH)
            except BlockingIOError:
                return
        else:
            self._queue.control(None, 8, 0)

    def close(self) -> None:
        """Be told nothing any more."""
        if sys.platform == "linux":
            os.close(self._descriptor)
        else:
            self._queue.close()
            os.close(self._file)


def _inotify(path: Path) -> int:
    """An inotify descriptor (see inotify(7)) that hears writes to a file, or news in a folder."""
    wanted = IN_CREATE | IN_MOVED_TO if path.is_dir() else IN_MODIFY
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if descriptor < 0 or libc.inotify_add_watch(descriptor, os.fsencode(path), wanted) < 0:
        number = ctypes.get_errno()
        if descriptor >= 0:
            os.close(descriptor)
        raise OSError(number, os.strerror(number), str(path))
    return descriptor
