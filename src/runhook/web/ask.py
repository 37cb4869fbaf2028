"""One request for a page, as its handler sees it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Receive

from runhook.asked import Asked
from runhook.errors import TooLarge
from runhook.web.view import render

T = TypeVar("T")
MOST_FIELDS = 500
LARGEST_FIELD = 1024 * 1024
LARGEST_FORM = 4 * LARGEST_FIELD


@dataclass(frozen=True)
class Ask(Asked):
    """A request for a page."""

    def query(self, name: str) -> str:
        return self.request.query_params.get(name, "")

    async def form(self) -> FormData:
        """What was typed; no files. TooLarge if it is more than anybody types."""
        self.request._receive = self._bounded(self.request._receive)
        form = await self.request.form(
            max_files=0, max_fields=MOST_FIELDS, max_part_size=LARGEST_FIELD
        )
        self.require_storable([text for item in form.multi_items() for text in item])
        return form

    def _bounded(self, receive: Receive) -> Receive:
        length = 0

        async def counted() -> Message:
            nonlocal length
            message = await receive()
            length += len(message.get("body", b""))
            if length > LARGEST_FORM:
                raise TooLarge(f"the form is longer than {LARGEST_FORM} bytes")
            return message

        return counted

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """The template as the answer."""
        return render(self.request, template, status, now=self.now, **values)


Handler = Callable[[Ask], Awaitable[Response]]


def go(path: str) -> Response:
    """After a change: have the browser get another page, so that a reload repeats nothing."""
    return RedirectResponse(path, status_code=303)
