"""Which repositories an address stands for: what a credential's `url_prefix` is compared by.

The text is read strictly. Programs disagree about odd addresses (`https://a\\@b/`, `/x/../y`), and
a credential must never be chosen for one place and sent to another, so what is odd has no place.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

PORTS = {"https": 443, "http": 80, "ssh": 22}
_HOST = r"(?P<host>[a-z0-9_][a-z0-9_-]*(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])"
_USER = r"[a-z0-9_][\w.-]*"
_FLAGS = re.ASCII | re.IGNORECASE
SHORT = re.compile(rf"{_USER}@{_HOST}:(?P<path>(?!:)[^\s\\\x00-\x1f\x7f]*)", _FLAGS)
LONG = re.compile(
    rf"(?P<scheme>https?|ssh)://(?P<user>{_USER}@)?{_HOST}(?P<port>:\d{{1,5}})?"
    r"(?P<path>/[^\s\\?#\x00-\x1f\x7f]*)?",
    _FLAGS,
)


@dataclass(frozen=True)
class Place:
    """Scheme, host and port of an address, and its path cut at the slashes."""

    scheme: str
    host: str
    port: int
    segments: tuple[str, ...]

    def covers(self, other: "Place") -> bool:
        """Is `other` at or below this place? Whole segments count, never the beginning of one; the
        repository itself may be written with `.git` or without."""
        if (self.scheme, self.host, self.port) != (other.scheme, other.host, other.port):
            return False
        above = other.segments[: len(self.segments)] == self.segments
        return above or _bare(other.segments) == _bare(self.segments)


def place_of(url: str) -> Place:
    """The place that an address, or the beginning of one, names; ValueError if it names none.

    `git@host:owner` and `ssh://git@host/owner` are the same place.
    """
    if short := SHORT.fullmatch(url):
        return Place("ssh", short["host"].lower(), 22, _segments(short["path"]))
    parts = LONG.fullmatch(url)
    if not parts:
        raise ValueError(
            "write the beginning of an address, such as https://github.com/acme/ or git@github.com:"
        )
    scheme = parts["scheme"].lower()
    if parts["user"] and scheme != "ssh":
        raise ValueError("leave the user out of the address: it has a field of its own")
    port = int(parts["port"][1:]) if parts["port"] else PORTS[scheme]
    if not 0 < port < 65_536:
        raise ValueError("the port of the address must be from 1 to 65535")
    raw = (parts["path"] or "").split("/")
    path = "/".join(_decoded(part) for part in raw)
    return Place(scheme, parts["host"].lower(), port, _segments(path))


def _decoded(part: str) -> str:
    """One segment without its percent signs; a slash that was hidden in it is refused."""
    plain = unquote(part, errors="strict")
    if re.search(r"[/\\\x00-\x1f\x7f]", plain):
        raise ValueError("the path of the address hides a slash or a control character")
    return plain


def _segments(path: str) -> tuple[str, ...]:
    parts = tuple(part for part in path.split("/") if part)
    if "." in parts or ".." in parts:
        raise ValueError("write the path of the address without '.' and '..'")
    return parts


def _bare(segments: tuple[str, ...]) -> tuple[str, ...]:
    return (*segments[:-1], segments[-1].removesuffix(".git")) if segments else ()
