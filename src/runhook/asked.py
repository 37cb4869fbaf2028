"""A request as a handler sees it: who asks, and the database. What the API and the pages share."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from starlette.requests import Request

from runhook.errors import Malformed
from runhook.gate import caller_of
from runhook.model.access import Caller
from runhook.services.site import Server
from runhook.store.database import Transaction

T = TypeVar("T")
DEEPEST = 100


@dataclass(frozen=True)
class Asked:
    """A request with the server behind it."""

    request: Request
    server: Server

    @property
    def caller(self) -> Caller:
        """Who is asking."""
        return caller_of(self.request)

    @property
    def now(self) -> datetime:
        return self.server.clock()

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def require_storable(self, value: object, depth: int = 0) -> None:
        """Raise Malformed if `value` (JSON) is nested so deep that it could be read once but not
        written again, or if some text in it is none that every database takes: it holds a NUL
        character or half of a surrogate pair."""
        if depth > DEEPEST:
            raise Malformed(f"values may not be nested more than {DEEPEST} deep")
        if isinstance(value, str):
            if "\x00" in value or (not value.isascii() and _has_surrogate(value)):
                raise Malformed("text may hold neither NUL characters nor lone surrogates")
        elif isinstance(value, dict):
            for name, item in value.items():
                self.require_storable(name, depth + 1)
                self.require_storable(item, depth + 1)
        elif isinstance(value, list):
            for item in value:
                self.require_storable(item, depth + 1)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """What `work` sees in the database."""
        return await self.server.database.read(work)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, once its changes are durable."""
        return await self.server.database.write(work)


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
