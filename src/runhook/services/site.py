"""What belongs to one server and is fixed from its start: places, addresses, and who does what."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from runhook.bus import Bus
from runhook.disk import DiskGuard
from runhook.hosts import Hosts
from runhook.keys import Keys
from runhook.model.size import InstanceSize
from runhook.runner.spec import IsolationSpec, Places, WarmSpec
from runhook.services.capacity import Capacity
from runhook.services.retention import Rules
from runhook.signon.base import SignOn
from runhook.store.database import Database


@dataclass(frozen=True)
class Site:
    """What all attempts of this server share: where they stand, and the tools' settings.

    `grace` is in seconds; `hint_socket` hears of news from runners; `url` is where the API is;
    `isolation` is how far runs are kept apart here; `sizes` is what instance types mean.
    """

    attempts: Path
    places: Places
    grace: float
    hint_socket: str
    url: str
    capacity: Capacity
    isolation: IsolationSpec = field(default_factory=IsolationSpec)
    warm: WarmSpec | None = None
    """What warm starts may take on this server; None where there are none."""
    sizes: Mapping[str, InstanceSize] = field(default_factory=dict)

    def directory(self, attempt_id: str) -> Path:
        """The attempt's directory. Two levels, since a directory of a million entries is slow."""
        return self.attempts / attempt_id[:2] / attempt_id


@dataclass(frozen=True)
class Finding:
    """What one look at the server or its machine found. `state` is `ok`, `warning` or `broken`."""

    name: str
    state: str
    sentence: str


async def _nothing_found() -> Sequence[Finding]:
    return ()


@dataclass(frozen=True)
class Server:
    """What the API and the pages are given to work with. `clock` tells the present instant;
    `rules` say what is kept, `disk` whether there is room for more, and `hosts` to which names the
    server answers; `sign_on` is None where people sign in through no provider; `health` looks at
    the executor and the machine."""

    database: Database
    bus: Bus
    keys: Keys
    site: Site
    organization: str
    clock: Callable[[], datetime]
    rules: Rules
    disk: DiskGuard
    hosts: Hosts
    sign_on: SignOn | None = None
    health: Callable[[], Awaitable[Sequence[Finding]]] = _nothing_found

    @property
    def https(self) -> bool:
        """Do people reach it by https, perhaps through a proxy that ends TLS?"""
        return self.site.url.startswith("https:")
