"""What the work sees of the machine's disk, and what bubblewrap is told to make it so.

Everything is where it is outside. The system is read-only; what the server keeps, and the folders
of people, are hidden behind empty ones, into which the few things are put back that a run needs.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path

PEOPLE = ("/home", "/root", "/run", "/media", "/lost+found")
"""Hidden always. Below /run are the sockets of services, and secrets of containers."""
TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108  hidden behind a folder of the attempt
DEVICES = ("/dev/nvidia*", "/dev/dri", "/dev/kfd")
RESOLVER = "/etc/resolv.conf"
CERTIFICATES = "SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE GIT_SSL_CAINFO".split()


@dataclass(frozen=True)
class View:
    """`hidden` are folders on top of PEOPLE; `temporary` becomes /tmp; `readable` and `writable`
    are put back. What is not there is left out. Paths are absolute."""

    temporary: str
    hidden: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    network: bool = True
    filled: tuple[str, ...] = ()
    """Folders that are empty at first, and get something into them while the box stands."""
    account: int | None = None
    """A descriptor of the text that stands in for /etc/passwd."""


def options(view: View) -> list[str]:
    """What bubblewrap is to be told for a box with this view."""
    hidden = _hidden(view.hidden)
    words = ["--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    words += ["--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    words += [] if view.network else ["--unshare-net"]
    words += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    words += ["--perms", "1777", "--tmpfs", "/dev/shm"]  # noqa: S108  the box's own
    for device in (path for pattern in DEVICES for path in glob(pattern)):
        words += ["--dev-bind", device, device]
    for folder in TEMPORARY:
        words += ["--bind", view.temporary, folder]
    for folder in hidden:
        words += ["--tmpfs", folder]
    for option, paths in (("--ro-bind", view.readable), ("--bind", view.writable)):
        for path in dict.fromkeys(paths):
            words += _put_back(option, path, hidden)
    for path in view.filled:
        words += ["--perms", "0755", "--dir", os.path.dirname(path)]
        words += ["--perms", "0755", "--tmpfs", path]
    words += _put_back("--ro-bind", _resolver(hidden), hidden)
    for folder in hidden:
        words += ["--remount-ro", folder]
    if view.account is not None:
        words += ["--ro-bind-data", str(view.account), "/etc/passwd"]
    return words


def _hidden(more: Iterable[str]) -> list[str]:
    """The real folders to hide, outer ones only, that are there."""
    wanted = {os.path.realpath(path) for path in (*PEOPLE, *more)}
    wanted = {path for path in wanted if os.path.isdir(path) and path != "/"}
    return sorted(path for path in wanted if not _below(path, (*wanted - {path}, *TEMPORARY)))


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _put_back(option: str, path: str, hidden: list[str]) -> Iterator[str]:
    """Words that show `path`, under that very name, unless it is seen anyway."""
    real = os.path.realpath(path)
    if not os.path.exists(real):
        return
    for name in dict.fromkeys((_name_inside(path, hidden), real)):
        if _below(name, (*hidden, *TEMPORARY)):
            # what leads there is made by bubblewrap, by itself only for its own user to enter
            yield from ("--perms", "0755", "--dir", os.path.dirname(name))
        elif option != "--bind":
            continue
        yield from (option, real, name)


def _name_inside(path: str, hidden: list[str]) -> str:
    """The path with the links followed that the box shows, too. Those in hidden folders are not
    there, so their names can be taken."""
    seen = "/"
    for part in Path(path).parts[1:]:
        seen = os.path.join(seen, part)
        if not _below(seen, (*hidden, *TEMPORARY)):
            seen = os.path.realpath(seen)
    return seen


def _resolver(hidden: list[str]) -> str:
    """Where names are looked up may be written below /run."""
    real = os.path.realpath(RESOLVER)
    return real if _below(real, hidden) else RESOLVER


def prefix_of(python: Path) -> str:
    """The folder of an interpreter with its library: that of the one which a virtual environment
    was made from."""
    return str(Path(os.path.realpath(python)).parent.parent)


def certificates(variables: Iterable[tuple[str, str]]) -> list[str]:
    """The files that these environment variables name as trusted certificates."""
    return [value for name, value in variables if name in CERTIFICATES and os.path.isabs(value)]
