"""A request as a handler sees it: who asks, and the database. What the API and the pages share."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from starlette.requests import Request

from runhook.gate import caller_of
from runhook.model.access import Caller
from runhook.services.site import Server
from runhook.store.database import Transaction

T = TypeVar("T")


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

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """What `work` sees in the database."""
        return await self.server.database.read(work)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, once its changes are durable."""
        return await self.server.database.write(work)
