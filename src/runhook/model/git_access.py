"""What opens private repositories: credentials for addresses, and the keys of known ssh hosts."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

from runhook.model.source import SCP_LIKE

Kind = Literal["token", "ssh_key"]
PORTS = {"https": 443, "http": 80, "ssh": 22, "file": 0}


@dataclass(frozen=True)
class GitCredentialInfo:
    """A credential without what it proves itself with. `public_key` is there for ssh keys."""

    id: str
    owner: str
    name: str
    kind: Kind
    url_prefix: str
    username: str
    public_key: str | None
    created_at: datetime


@dataclass(frozen=True)
class KnownHost:
    """The key that a host showed; it counts once somebody has confirmed it. `changed`: another key
    of that host, of the same type, is confirmed already."""

    id: str
    host: str
    key: str
    fingerprint: str
    first_seen_at: datetime
    confirmed_at: datetime | None
    confirmed_by: str | None
    changed: bool = False


@dataclass(frozen=True)
class Place:
    """Scheme, host and port of an address, and its path cut at the slashes."""

    scheme: str
    host: str
    port: int
    segments: tuple[str, ...]

    def covers(self, other: "Place") -> bool:
        """Is `other` at or below this place? Whole segments count, never the beginning of one."""
        ours = (self.scheme, self.host, self.port)
        same_host = ours == (other.scheme, other.host, other.port)
        return same_host and other.segments[: len(self.segments)] == self.segments


def place_of(url: str) -> Place:
    """The place an address names. ValueError if it names none.

    `git@host:owner` and `ssh://git@host/owner` are the same place.
    """
    short = SCP_LIKE.match(url) or re.match(
        r"^(?P<user>[\w.-]+)@(?P<host>[\w.-]+):(?P<path>)$", url
    )
    if short:
        return Place("ssh", short["host"].lower(), 22, _segments(short["path"]))
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname or parts.password or "%" in parts.path:
        raise ValueError(
            "write the beginning of an address, such as https://github.com/acme/ or git@github.com:"
        )
    port = parts.port or PORTS[parts.scheme]
    return Place(parts.scheme, parts.hostname.lower(), port, _segments(parts.path))


def _segments(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.removesuffix(".git").split("/") if part)
