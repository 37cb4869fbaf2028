"""A request as a handler sees it: who asks, and the database. What the API and the pages share."""

import asyncio
import json
import math
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from runhook.bus import CREDENTIALS
from runhook.errors import Forbidden, Malformed, Unauthorized
from runhook.gate import caller_of, readmit
from runhook.model.access import Caller
from runhook.model.progress import Progress
from runhook.model.run import Run, RunState
from runhook.services import progress
from runhook.services.site import Server
from runhook.store.database import Transaction

T = TypeVar("T")
DEEPEST = 100
RECHECK_SECONDS = 1.0


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

    async def progress(self, runs: Iterable[Run]) -> dict[str, Progress]:
        """How far the notebooks of these runs, which the caller was found to see, have come; those
        that execute none are left out."""
        at_work = [run for run in runs if run.state == RunState.RUNNING]
        if not at_work:
            return {}
        found = await self.read(lambda tx: progress.executing(tx, at_work))
        site, now = self.server.site, self.now

        def look() -> dict[str, Progress]:
            told = {
                run.id: progress.measure(site, attempt.id, earlier, now)
                for run, attempt, earlier in found
            }
            return {run_id: each for run_id, each in told.items() if each}

        return await asyncio.to_thread(look)

    def finish(self, answer: Response) -> Response:
        """The handler's answer as it is sent: nothing follows the head of a HEAD, and a stream of
        events lasts no longer than the credential it was asked for with."""
        if not isinstance(answer, StreamingResponse):
            return answer
        if self.request.method == "HEAD":
            head = Response(status_code=answer.status_code)
            head.raw_headers = answer.raw_headers
            return head
        body: Any = answer.body_iterator
        if answer.media_type == "text/event-stream":
            body = self._while_admitted(body)
        closing = _Closing(body, answer.status_code)
        closing.raw_headers = answer.raw_headers
        return closing

    async def _while_admitted(
        self, body: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        """`body` until the caller is not let in any more. What comes fast is looked at once a
        second; what is quiet sends something every few seconds, and when a credential ends."""
        looked = 0.0
        async with aclosing(body):
            with self.server.bus.subscribe(CREDENTIALS) as told:
                async for chunk in body:
                    if told.take() or time.monotonic() - looked > RECHECK_SECONDS:
                        try:
                            await readmit(self.request)
                        except (Unauthorized, Forbidden):
                            return
                        looked = time.monotonic()
                    yield chunk


class _Closing(StreamingResponse):
    """Closes what it streams, however that ends: it may hold descriptors and subscriptions."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body: Any = self.body_iterator
        try:
            await super().__call__(scope, receive, send)
        finally:
            await body.aclose()


def read_json(text: str | bytes) -> Any:
    """The value of a JSON text as RFC 8259 has it. ValueError if it is none, or nested deeper than
    can be read."""
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _finite(text: str) -> float:
    """A number that JSON can say again: Python would read 1e999 as infinity, which it cannot."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
