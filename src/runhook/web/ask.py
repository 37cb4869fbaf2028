"""One request for a page, as its handler sees it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from runhook.asked import Asked
from runhook.web.view import render

T = TypeVar("T")
MOST_FIELDS = 500
LARGEST_FIELD = 1024 * 1024


@dataclass(frozen=True)
class Ask(Asked):
    """A request for a page."""

    def query(self, name: str) -> str:
        return self.request.query_params.get(name, "")

    async def form(self) -> FormData:
        """What was typed; no files."""
        form = await self.request.form(
            max_files=0, max_fields=MOST_FIELDS, max_part_size=LARGEST_FIELD
        )
        self.require_storable([text for item in form.multi_items() for text in item])
        return form

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """The template as the answer."""
        return render(self.request, template, status, now=self.now, **values)


Handler = Callable[[Ask], Awaitable[Response]]


def go(path: str) -> Response:
    """After a change: have the browser get another page, so that a reload repeats nothing."""
    return RedirectResponse(path, status_code=303)
