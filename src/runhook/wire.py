"""Connections, and how long they may keep us waiting: uvicorn's HTTP protocol with bounds.

uvicorn waits for ever for a request that was begun, and takes a head of any length. Here a head has
to arrive whole within seconds and within 64 KiB, a body within minutes, and when there are as many
connections as the process can bear, one that has said nothing yet makes room for the next (what is
known as slow loris, and flooding).
"""

import asyncio
import resource

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_SECONDS = 20.0
BODY_SECONDS = 300.0
LARGEST_HEAD = 64 * 1024
LEAST_CONNECTIONS = 64


def most_connections() -> int:
    """A third of the files that the process may open: a stream of a log needs two, and the database
    and the runners have to go on."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(LEAST_CONNECTIONS, soft // 3)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `_limit` runs while the client has something to send: None means that it is
    our turn."""

    _limit: asyncio.TimerHandle | None = None
    _head_length = 0
    _in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(HEAD_SECONDS)
        if len(self.connections) > most_connections():
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._limit is None and (self.cycle is None or self.cycle.response_complete):
            self._wait(HEAD_SECONDS)
        super().data_received(data)
        self._head_length = self._head_length + len(data) if self._in_head else 0
        if self._head_length > LARGEST_HEAD:
            self._refuse(431, b"the head of this request is too long")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._wait(BODY_SECONDS)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._wait(None)
        super().on_message_complete()

    def _wait(self, seconds: float | None) -> None:
        """Close the connection after so many seconds, in place of an earlier limit."""
        if self._limit is not None:
            self._limit.cancel()
        self._limit = None if seconds is None else self.loop.call_later(seconds, self._late)

    def _late(self) -> None:
        self._refuse(408, b"this request took too long to arrive")

    def _refuse(self, status: int, words: bytes) -> None:
        """Say why and hang up; nothing is said into an answer that is already on its way."""
        self._wait(None)
        if not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(
                    STATUS_LINE[status]
                    + b"content-type: text/plain; charset=utf-8\r\n"
                    + b"x-content-type-options: nosniff\r\nconnection: close\r\n"
                    + b"content-length: %d\r\n\r\n%s" % (len(words), words)
                )
            self.transport.close()

    def _make_room(self) -> None:
        """End the connection that has kept us waiting longest, which may be this one."""
        waiting = [
            each
            for each in self.connections
            if isinstance(each, BoundedProtocol) and each._limit and each.transport
        ]
        oldest = min(waiting, key=lambda each: each._limit.when() if each._limit else 0.0)
        oldest.transport.abort()
