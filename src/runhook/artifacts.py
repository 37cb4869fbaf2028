"""What an attempt leaves: the value it returned, and its files. Read here and nowhere else.

The work owns its folder and may put anything there while we look, so nothing is opened by a path:
each component is opened beneath the one before, links are not followed, and only regular files are
read (openat(2) with O_NOFOLLOW). Names are bytes, held as `os.fsdecode` gives them.
"""

import errno
import json
import math
import os
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

FOLDER = "artifacts"
LARGEST_VALUE = 1024 * 1024
BLOCK = 256 * 1024
OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES, errno.ENXIO)
DEEPEST = 64
"""How many folders within each other are looked into."""
MOST_FOLDERS = 20_000
MOST_ENTRIES = 1_000_000
MOST_PACKED = 100_000
NOT_ALL = b"There are more artifacts than these: too many, or nested too deeply, for one archive."
FIRST_YEAR, LAST_YEAR = 1980, 2107

Withheld = Callable[[str], bool]
"""Is the artifact at that path kept back? The path is as `os.fsdecode` gives it."""


class NotThere(Exception):
    """There is no such file, or it is none that is given out."""


@dataclass(frozen=True)
class Artifact:
    """A file that was kept; `parts` is its path beneath the folder."""

    parts: tuple[str, ...]
    size: int
    modified_at: datetime

    @property
    def path(self) -> str:
        """For people and JSON: bytes that are no UTF-8 look like `%FF`."""
        return shown("/".join(self.parts))

    @property
    def address(self) -> str:
        """For a URL: exact, whatever bytes it has."""
        return "/".join(quote(os.fsencode(part), safe="") for part in self.parts)


def returned_value(attempt: Path) -> Path:
    """Where the value that the work returned is kept in an attempt's directory."""
    return attempt / "result-value.json"


def read_value(attempt: Path) -> Any:
    """What the work returned. NotThere, with a reason, if that is nothing, or no JSON."""
    place = returned_value(attempt)
    try:
        with _opened(place.parent, [place.name]) as (descriptor, facts):
            if facts.st_size > LARGEST_VALUE:
                raise NotThere(f"it is larger than {LARGEST_VALUE} bytes")
            data = os.read(descriptor, LARGEST_VALUE)
    except OSError as error:
        raise _not_there(error) from None
    try:
        value = json.loads(data, parse_constant=_no_constant, parse_float=_finite)
        json.dumps(value)
    except (ValueError, RecursionError) as error:
        raise NotThere(f"it is not JSON: {error}") from None
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


@dataclass(frozen=True)
class Listing:
    """Files that were kept; `truncated` says that there are more than were looked for."""

    files: list[Artifact]
    truncated: bool


def listing(attempt: Path, most: int, withheld: Withheld = lambda _: False) -> Listing:
    """The regular files of the attempt, in each folder by name and before those of the folders in
    it: at most so many, without those whose path is `withheld`. What goes while this looks is left
    out. However the work nested its folders, this ends soon and keeps no descriptor."""
    walk = _Walk(most, withheld)
    walk.through(attempt)
    return Listing(walk.files, walk.truncated)


@dataclass(frozen=True)
class _Folder:
    """One that is open; `inner` are the names of the folders in it that are still to be seen."""

    descriptor: int
    parts: tuple[str, ...]
    inner: list[str]


class _Walk:
    """Depth first, with the folders on the way held open, so that each is opened once."""

    def __init__(self, most: int, withheld: Withheld) -> None:
        self.files: list[Artifact] = []
        self.truncated = False
        self._most, self._withheld = most, withheld
        self._folders_left, self._entries_left = MOST_FOLDERS, MOST_ENTRIES
        self._full = False

    def through(self, attempt: Path) -> None:
        """Look at everything beneath the attempt's folder of artifacts."""
        way: list[_Folder] = []
        try:
            self._enter(way, lambda: _descend(attempt, [FOLDER], directory=True), ())
            while way and not self._full:
                here = way[-1]
                if here.inner:
                    name = here.inner.pop()
                    opens = partial(os.open, name, OPEN | os.O_DIRECTORY, dir_fd=here.descriptor)
                    self._enter(way, opens, (*here.parts, name))
                else:
                    os.close(way.pop().descriptor)
        finally:
            for folder in way:
                os.close(folder.descriptor)

    def _enter(self, way: list[_Folder], opens: Callable[[], int], parts: tuple[str, ...]) -> None:
        """Open a folder and look at what stands in it; one that has gone is passed over."""
        try:
            way.append(_Folder(opens(), parts, []))
            self._look(way[-1])
        except OSError as error:
            self.truncated |= error.errno not in GONE

    def _look(self, folder: _Folder) -> None:
        for name in self._names(folder):
            with suppress(FileNotFoundError):
                facts = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
                if stat.S_ISDIR(facts.st_mode):
                    self._found_folder(folder, name)
                elif stat.S_ISREG(facts.st_mode):
                    self._found_file((*folder.parts, name), facts)
            if self._full:
                return
        folder.inner.reverse()

    def _names(self, folder: _Folder) -> list[str]:
        with os.scandir(folder.descriptor) as entries:
            names = [entry.name for entry in islice(entries, self._entries_left)]
            self.truncated |= next(entries, None) is not None
        self._entries_left -= len(names)
        return sorted(names)

    def _found_folder(self, folder: _Folder, name: str) -> None:
        if self._folders_left and len(folder.parts) < DEEPEST:
            self._folders_left -= 1
            folder.inner.append(name)
        else:
            self.truncated = True

    def _found_file(self, parts: tuple[str, ...], facts: os.stat_result) -> None:
        if self._withheld("/".join(parts)):
            return
        if len(self.files) == self._most:
            self._full = self.truncated = True
            return
        at = datetime.fromtimestamp(max(0, min(facts.st_mtime, 2**37)), UTC)
        self.files.append(Artifact(parts, facts.st_size, at))


def open_file(attempt: Path, path: bytes) -> tuple[int, os.stat_result]:
    """A descriptor of the artifact at that path, for the caller to close, and its facts. NotThere
    if there is none, or if the path leads anywhere else."""
    parts = path.split(b"/")
    if b"\0" in path or any(part in (b"", b".", b"..") for part in parts):
        raise NotThere("that is no path of an artifact")
    try:
        return _open_regular(attempt, [FOLDER, *map(os.fsdecode, parts)])
    except OSError as error:
        raise _not_there(error) from None


@contextmanager
def _opened(attempt: Path, parts: Sequence[str]) -> Iterator[tuple[int, os.stat_result]]:
    descriptor, facts = _open_regular(attempt, parts)
    try:
        yield descriptor, facts
    finally:
        os.close(descriptor)


def _open_regular(attempt: Path, parts: Sequence[str]) -> tuple[int, os.stat_result]:
    descriptor = _descend(attempt, parts)
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise NotThere("that is no file")
    return descriptor, facts


def _descend(attempt: Path, parts: Sequence[str], *, directory: bool = False) -> int:
    """Open what `parts` lead to, one after the other. OSError if any of them is a link."""
    descriptor = os.open(attempt, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for number, part in enumerate(parts, 1):
        flags = OPEN | (os.O_DIRECTORY if directory or number < len(parts) else 0)
        try:
            below = os.open(part, flags, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor


def _not_there(error: OSError) -> Exception:
    return NotThere("there is nothing") if error.errno in GONE else error


def zipped(attempt: Path, withheld: Withheld = lambda _: False) -> Iterator[bytes]:
    """The artifacts as a ZIP archive, piece by piece as it is made: one block is in memory. If they
    are not all in it, the archive's comment says so."""
    found = listing(attempt, MOST_PACKED, withheld)
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.comment = NOT_ALL if found.truncated else b""
        for artifact in found.files:
            for _ in _pack(archive, attempt, artifact):
                yield sink.taken()
    yield sink.taken()


def _pack(archive: zipfile.ZipFile, attempt: Path, artifact: Artifact) -> Iterator[None]:
    """Add a file; pauses after each block. One that has gone meanwhile is left out."""
    try:
        descriptor, _ = _open_regular(attempt, [FOLDER, *artifact.parts])
    except (OSError, NotThere):
        return
    at = artifact.modified_at
    year = min(max(at.year, FIRST_YEAR), LAST_YEAR)
    entry = zipfile.ZipInfo(
        artifact.path.replace("\\", "%5C"),
        (year, at.month, at.day, at.hour, at.minute, at.second),
    )
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    with os.fdopen(descriptor, "rb", buffering=0) as source:
        with archive.open(entry, "w", force_zip64=True) as target:
            while data := source.read(BLOCK):
                target.write(data)
                yield
    yield


class _Sink:
    """What a ZipFile writes into: keeps what was not yet taken. It cannot seek, so sizes follow
    the data (APPNOTE.TXT, 4.3.9)."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """There is nothing behind it."""

    def close(self) -> None:
        """Nor anything to close."""

    def taken(self) -> bytes:
        """What was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def shown(path: str) -> str:
    """A path as text that can be written: bytes that are no UTF-8 as `%FF`."""
    return "".join(
        f"%{ord(character) - 0xDC00:02X}" if "\udc80" <= character <= "\udcff" else character
        for character in path
    )
