"""To which names the server answers.

A foreign site can point its own name at our address (DNS rebinding); the browsers of people inside
then take us for a part of that site. What they send has its name in `Host`, so we answer to our
own names only.
"""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from runhook.errors import Forbidden

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
ANY = "*"


@dataclass(frozen=True)
class Hosts:
    """The names, in small letters, and whether addresses are taken as names, too."""

    names: frozenset[str]
    addresses: bool

    @classmethod
    def of(cls, url: str, listening: str, more: str) -> "Hosts":
        """For a server that people reach at `url` and that listens on the address `listening`;
        `more` are further names, with commas between them, or `*` for any."""
        given = {_bare(name) for name in more.split(",") if name.strip()}
        names = given | LOOPBACK | {_bare(urlsplit(url).netloc), socket.gethostname().lower()}
        return cls(frozenset(names), not is_loopback(listening))

    def require(self, host: str) -> None:
        """Raise Forbidden unless the `Host` of a request is one of ours; the port may be any."""
        name = _bare(host)
        if ANY in self.names or name in self.names or is_loopback(name):
            return
        if not (self.addresses and _is_address(name)):
            raise Forbidden(
                f"this server does not answer to the name {name!r}",
                hint="If it is one of its names, add it to the setting server.hosts "
                "(RUNHOOK_SERVER_HOSTS), or set server.url to the address that people use.",
            )


def is_loopback(name: str) -> bool:
    """Is it a name or address of the machine for itself alone?"""
    if name in LOOPBACK:
        return True
    return _is_address(name) and ipaddress.ip_address(name).is_loopback


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _bare(host: str) -> str:
    """`Jobs.example.org:443` → `jobs.example.org`, `[::1]:8900` → `::1`; nothing if it is none."""
    host = host.strip().lower()
    if host == ANY:
        return ANY
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".") if "@" not in host else ""
    except ValueError:
        return ""
