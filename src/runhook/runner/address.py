"""Addresses that git may be given, checked here too: the runner is safe by itself."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from runhook.runner.report import StepFailed
from runhook.runner.spec import Places

SHORT_SSH = re.compile(
    r"(?P<user>[A-Za-z0-9_][\w.-]*)@(?P<host>[A-Za-z0-9][\w.-]*):(?P<path>[^\s:]\S*)"
)
DEFAULT_PORTS = {"https": 443, "http": 80, "ssh": 22, "file": 0}
HOST = re.compile(r"[A-Za-z0-9_:][\w.:%-]*")
USER = re.compile(r"[A-Za-z0-9_][\w.-]*")


@dataclass(frozen=True)
class Address:
    """A checked URL. `origin` is scheme, host and port, for which alone a token is given out."""

    url: str
    scheme: str
    host: str
    port: int
    origin: str

    @property
    def known_host(self) -> str:
        """The host as a known_hosts file writes it: `host`, or `[host]:port`."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"


def parse(url: str, places: Places) -> Address:
    """The parts of the URL. StepFailed, as a sentence, unless git may be given it."""
    if short := SHORT_SSH.fullmatch(url):
        return Address(url, "ssh", short["host"], 22, f"ssh://{short['host']}")
    problem = _problem(url, places)
    if problem:
        raise StepFailed(f"cannot check out {printable(url)} because {problem}")
    parts = urlsplit(url)
    host = parts.hostname or ""
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return Address(url, parts.scheme, host, parts.port or DEFAULT_PORTS[parts.scheme], origin)


def _problem(url: str, places: Places) -> str | None:
    """What is wrong with it, as the end of a sentence; None if nothing is."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "it is no address"
    if (
        parts.scheme not in DEFAULT_PORTS
        or "://" not in url
        or re.search(r"[\s\x00-\x1f\x7f]", url)
    ):
        return (
            "it is none that is offered: write https://host/owner/name.git, "
            "ssh://git@host/owner/name.git or git@host:owner/name.git"
        )
    if parts.scheme == "file":
        if not places.allow_file_urls:
            return (
                "file:// repositories, which read the server's own disk, are not permitted: an "
                "administrator permits them by the setting RUNHOOK_GIT_ALLOW_FILE_URLS=1"
            )
        return "it names a host" if parts.netloc else None
    if not HOST.fullmatch(host):
        return "it names no host"
    if parts.password is not None or (parts.username and parts.scheme != "ssh"):
        return "it holds a user or token: add these as a git credential instead"
    if parts.username is not None and not USER.fullmatch(parts.username):
        return "its user name is no user name"
    return None


def printable(url: str) -> str:
    """The URL for a sentence: one line, without what stands before the host."""
    return re.sub(r"//[^/]*@", "//", " ".join(url.split()))[:200]
