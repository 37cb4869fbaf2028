"""The file that a backup is: a gzipped tar of plain files, sealed by a checksum over all of them.

Its last member, `seal.json`, holds how many members came before it and the SHA-256 over their
names, sizes and bytes, in their order. What the members mean is the matter of `backup`, which alone
calls this. Both ways it is a stream: neither a member nor the list of members is held in memory.
"""

import gzip
import hashlib
import io
import json
import os
import secrets
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from runhook.errors import Malformed, Unavailable

SEAL = "seal.json"
BLOCK = 256 * 1024
LONGEST_SEAL = 1024
UNREADABLE = (
    *(tarfile.TarError, zlib.error, EOFError, OSError),
    *(ValueError, OverflowError, RecursionError),  # of headers and a seal that somebody altered
)


class Source(Protocol):
    """What gives bytes: up to `size` of them, none at its end."""

    def read(self, size: int, /) -> bytes: ...


class Seal:
    """The checksum, as it grows with each member."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._members = 0

    def begin(self, name: str, size: int) -> None:
        """Another member follows."""
        encoded = os.fsencode(name)
        self._digest.update(b"%d %d " % (len(encoded), size) + encoded)
        self._members += 1

    def update(self, data: bytes) -> None:
        """A piece of the member."""
        self._digest.update(data)

    def facts(self) -> dict[str, Any]:
        """What stands in the seal's member: `{members, sha256}`."""
        return {"members": self._members, "sha256": self._digest.hexdigest()}


class Writer:
    """Adds members to a new archive."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._seal = Seal()

    def add(self, name: str, size: int, source: Source) -> None:
        """Exactly `size` bytes of `source`: what it has beyond is left out, what it lacks is filled
        with zeros, so that a file may grow or be cut while it is read."""
        self._seal.begin(name, size)
        self._append(name, size, _Exactly(source, self._seal))

    def add_bytes(self, name: str, data: bytes) -> None:
        """A small member."""
        self.add(name, len(data), io.BytesIO(data))

    def finish(self) -> None:
        """Seal it; nothing may be added then."""
        facts = json.dumps(self._seal.facts()).encode()
        self._append(SEAL, len(facts), io.BytesIO(facts))

    def _append(self, name: str, size: int, source: Any) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        self._tar.addfile(info, source)
        _forget(self._tar)


class _Exactly:
    """Gives whatever number of bytes is asked for, and has the seal see them."""

    def __init__(self, source: Source, seal: Seal) -> None:
        self._source = source
        self._seal = seal

    def read(self, size: int) -> bytes:
        data = self._source.read(size).ljust(size, b"\0")
        self._seal.update(data)
        return data


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """A new archive at `path`, for its owner alone (0600). It stands there, whole and on the disk,
    once the block has ended well; otherwise what stood there before is left as it was.

    Unavailable if a file cannot be read or written, for example because the disk is full.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        if path.exists() and not path.is_file():
            raise Unavailable(f"cannot write the backup {path}: what stands there is no plain file")
        with open(fresh, "xb", opener=private) as file:
            with gzip.GzipFile("", "wb", 1, file, mtime=0) as packed, _tar_into(packed) as tar:
                writer = Writer(tar)
                yield writer
                writer.finish()
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
        sync_directory(path.absolute().parent)
    except OSError as error:
        raise Unavailable(f"cannot write the backup {path}: {error}") from None
    finally:
        fresh.unlink(missing_ok=True)


def _tar_into(packed: gzip.GzipFile) -> tarfile.TarFile:
    return tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT)


def _forget(tar: tarfile.TarFile) -> None:
    """Let go of the members that went by: a TarFile remembers each of them, even in a stream."""
    tar.members.clear()  # type: ignore[attr-defined]


def private(path: str, flags: int) -> int:
    """An opener for `open`: a file that is made is for its owner alone (0600)."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def sync_directory(directory: Path) -> None:
    """Bring the names in a directory to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Member:
    """A plain file of the archive. `name` is relative and safe to join: it climbs nowhere."""

    name: str
    size: int
    archive: Path
    source: Source
    seal: Seal

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; empty at the end. Malformed if they cannot be read."""
        with _reading(self.archive):
            data = self.source.read(size)
        self.seal.update(data)
        return data


def members(path: Path) -> Iterator[Member]:
    """Every member before the seal, in order, each to be read before the next is asked for.

    Malformed as soon as something is wrong, at the latest after the last member, when the seal is
    compared: nothing that was read may be trusted before the iteration has ended.
    """
    with _reading(path):
        with gzip.open(path) as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
            yield from _members(path, tar)
            while packed.read(BLOCK):
                pass  # gzip compares its own checksum at the end


def _members(path: Path, tar: tarfile.TarFile) -> Iterator[Member]:
    seal = Seal()
    while info := tar.next():
        _forget(tar)
        source = tar.extractfile(info) if info.type == tarfile.REGTYPE else None
        if source is None or info.issparse() or not _is_safe(info.name):
            raise ValueError(f"{info.name!r} in it is no plain file with a safe name")
        if info.name == SEAL:
            if info.size > LONGEST_SEAL or json.loads(source.read()) != seal.facts():
                raise ValueError("its content is not what its checksum was made of")
            return
        seal.begin(info.name, info.size)
        member = Member(info.name, info.size, path, source, seal)
        yield member
        while member.read(BLOCK):
            pass  # what nobody wanted is part of the checksum, too
    raise EOFError("it ends before its checksum")


def _is_safe(name: str) -> bool:
    return "\0" not in name and all(part not in ("", ".", "..") for part in name.split("/"))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong in reading, as one sentence."""
    try:
        yield
    except FileNotFoundError:
        raise Malformed(f"cannot restore {path} because there is no such file") from None
    except UNREADABLE as error:
        raise damaged(path, str(error)) from None


def damaged(path: Path, why: str) -> Malformed:
    """The error that says that an archive cannot be used."""
    return Malformed(
        f"cannot restore {path} because it is no backup, or is damaged: {why}",
        hint="Nothing was changed; take another copy, or another backup.",
    )
