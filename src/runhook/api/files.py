"""A file of a run as the answer: streamed, with ranges and ETag, never shown by a browser."""

import os
from pathlib import PurePosixPath

from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

TYPES = {
    ".csv": "text/csv",
    ".txt": "text/plain",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".json": "application/json",
    ".ipynb": "application/x-ipynb+json",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".zip": "application/zip",
}
"""Types that can do nothing in a browser; anything else, HTML and SVG first of all, is bytes."""


class OpenFile(FileResponse):
    """A file that is open already: what is sent is what was found to be allowed, whatever stands
    under its name by now. Closes the descriptor. `name` is what it is called when it is saved."""

    def __init__(self, descriptor: int, facts: os.stat_result, name: str) -> None:
        self._descriptor = descriptor
        super().__init__(
            f"/proc/self/fd/{descriptor}",
            headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
            media_type=TYPES.get(PurePosixPath(name).suffix.lower(), "application/octet-stream"),
            filename=name,
            stat_result=facts,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, _bounded(send))
        finally:
            os.close(self._descriptor)


def _bounded(send: Send) -> Send:
    """Send no more than was promised: the work may still be writing to the file."""
    left = 0

    async def bounded(message: Message) -> None:
        nonlocal left
        if message["type"] == "http.response.start":
            lengths = [value for name, value in message["headers"] if name == b"content-length"]
            left = int(lengths[0]) if lengths else 0
        elif message.get("body"):
            message = {**message, "body": message["body"][:left]}
            left -= len(message["body"])
        await send(message)

    return bounded
