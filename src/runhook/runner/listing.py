"""What stands in a commit of a mirror: its notebooks and scripts, and the text of one file. Git's
objects are read as they are: nothing is checked out, and no filter of the repository runs.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from runhook.runner.mirror import Mirror
from runhook.runner.report import StepFailed

SCRIPTS = (".py", ".sh", ".r", ".R", ".jl")
PACKAGES = ("requirements.txt", "pyproject.toml", "environment.yml", "environment.yaml")
MOST_FILES = 2000
LARGEST_FILE = 16 * 1024 * 1024
"""Bytes of a file that is read at all."""
MOST_LINKS = 8
LINK, FILES = "120000", ("100644", "100755")

Kind = Literal["notebook", "script", "packages"]


@dataclass(frozen=True)
class Listed:
    """A file of the commit. `packages` is a file that names the packages of an environment."""

    path: str
    kind: Kind
    size: int


@dataclass(frozen=True)
class Entry:
    """A file or link in a tree: its mode, object and size in bytes."""

    mode: str
    object: str
    size: int
    path: str


def listed(mirror: Mirror, commit: str) -> tuple[list[Listed], bool]:
    """The notebooks, scripts and lists of packages, by path, at most `MOST_FILES`; and whether
    there are more. Names that are no UTF-8 are left out."""
    found: list[Listed] = []
    for entry in _entries(mirror, "-r", "--full-tree", commit):
        kind = _kind(entry.path)
        if kind and entry.mode in FILES and _printable(entry.path):
            if len(found) == MOST_FILES:
                return found, True
            found.append(Listed(entry.path, kind, entry.size))
    return found, False


def _kind(path: str) -> Kind | None:
    if path.endswith(".ipynb"):
        return None if ".ipynb_checkpoints/" in path else "notebook"
    if posixpath.basename(path) in PACKAGES:
        return "packages"
    return "script" if path.endswith(SCRIPTS) else None


def _printable(path: str) -> bool:
    """Would a job's definition take it?"""
    return path.isprintable()  # half of a surrogate pair, from a name that is no UTF-8, is not


def text_of(mirror: Mirror, commit: str, path: str) -> str:
    """The text of a file of the commit; links are followed as long as they stay beneath the tree.
    StepFailed, as a sentence, if there is none that can be read."""
    entry = _entry(mirror, commit, path)
    if entry.size > LARGEST_FILE:
        raise StepFailed(f"{path} is larger than {LARGEST_FILE} bytes, so it is not read")
    data = _blob(mirror, entry.object).encode("utf-8", "surrogateescape")
    if b"\x00" in data:
        raise StepFailed(f"{path} is no text")
    return data.decode("utf-8", "replace")


def _entry(mirror: Mirror, commit: str, path: str) -> Entry:
    place = posixpath.normpath(path)
    for _ in range(MOST_LINKS):
        if place.startswith(("/", "../")) or place in ("..", "."):
            raise StepFailed(f"{path} leads out of the repository")
        arguments = ("--full-tree", commit, "--", place)
        found = [each for each in _entries(mirror, *arguments) if each.path == place]
        if not found or (found[0].mode != LINK and found[0].mode not in FILES):
            raise StepFailed(f"there is no file {path} in {mirror.address.url} at {commit[:10]}")
        if found[0].mode != LINK:
            return found[0]
        place = posixpath.normpath(
            posixpath.join(posixpath.dirname(place), _blob(mirror, found[0].object))
        )
    raise StepFailed(f"{path} is a link to a link to a link, so it is not read")


def _entries(mirror: Mirror, *arguments: str) -> Iterator[Entry]:
    """From `git ls-tree -z --long`: `<mode> <type> <object> <size>\\t<path>`."""
    text = _ask(mirror, "ls-tree", "-z", "--long", *arguments)
    for line in text.split("\0"):
        about, _, path = line.partition("\t")
        words = about.split()
        if len(words) == 4 and words[3].isdigit():  # a folder or submodule has no size
            yield Entry(words[0], words[2], int(words[3]), path)


def _blob(mirror: Mirror, object: str) -> str:
    return _ask(mirror, "cat-file", "blob", object)


def _ask(mirror: Mirror, *arguments: str) -> str:
    where = ["--git-dir", str(mirror.path), "--literal-pathspecs"]
    return mirror.git.ask(*where, *arguments, cwd=mirror.folder, protocol="none")
