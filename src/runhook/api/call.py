"""One request to the API as its handler sees it, and the route that leads to it."""

import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from runhook.asked import Asked, read_json
from runhook.errors import Invalid, Malformed, TooLarge
from runhook.services.validation import field_errors

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
LONGEST_BODY = 4 * 1024 * 1024
PAGE_SIZE, LARGEST_PAGE = 100, 1000
PUBLIC = "public"
"""The action of a route that anybody may ask for; what it needs, it asks for itself."""


@dataclass(frozen=True)
class Query:
    """A parameter in the query string, for the document."""

    name: str
    help: str
    type: str = "string"


@dataclass(frozen=True)
class Route:
    """A row of the table: where, which action it is (of `model.access`, or PUBLIC), what it does,
    takes and gives. `body` and `answer` are names of schemas in the document; `also` are further
    statuses of a good answer.

    The action is carried out by the services, which check it; here it is what the document says
    and what the tests hold every role against.
    """

    method: str
    path: str
    action: str
    handler: "Handler"
    summary: str
    body: str | None = None
    body_required: bool = True
    answer: str = "Object"
    status: int = 200
    queries: Sequence[Query] = ()
    media_type: str = "application/json"
    also: Sequence[int] = ()


@dataclass(frozen=True)
class Call(Asked):
    """A request to the API, and the table that it came through."""

    routes: Sequence[Route]

    def query(self, name: str) -> str | None:
        """A parameter of the query; None if absent or empty."""
        return self.request.query_params.get(name) or None

    def flag(self, name: str) -> bool:
        """A yes/no parameter: absent is no."""
        word = (self.query(name) or "false").lower()
        if word not in ("true", "1", "yes", "false", "0", "no"):
            raise Invalid(f"cannot read {name}", details={name: "write true or false"})
        return word in ("true", "1", "yes")

    def number(self, name: str, default: int, largest: int) -> int:
        """A whole number from 0 to `largest`."""
        text = self.query(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit()) or len(text) > 18 or int(text) > largest:
            sentence = f"write a whole number from 0 to {largest}"
            raise Invalid(f"cannot read {name}", details={name: sentence})
        return int(text)

    async def object(self) -> dict[str, Any]:
        """The body as a JSON object, whatever its content type says; `null` is an empty one, too:
        so some clients say that they have nothing to say."""
        body = await self.content()
        return {} if body.strip() == b"null" else self.object_of(body)

    def object_of(self, body: bytes) -> dict[str, Any]:
        """`body` as a JSON object; an empty one is an empty object."""
        if not body.strip():
            return {}
        try:
            value = read_json(body)
        except ValueError as error:
            raise Malformed(f"the body is not JSON: {error}") from None
        self.require_storable(value)
        if not isinstance(value, dict):
            raise Malformed("the body must be a JSON object, such as {}")
        return value

    async def body(self, model: type[M]) -> M:
        """The body as `model`; Invalid names each wrong field."""
        return self.fitted(model, await self.object())

    def fitted(self, model: type[M], value: dict[str, Any]) -> M:
        """`value` as `model`; Invalid names each wrong field."""
        try:
            return model.model_validate(value)
        except ValidationError as error:
            raise Invalid("cannot use this request", details=field_errors(error, model)) from None

    async def content(self) -> bytes:
        """The body as it was sent; TooLarge if it is longer than `LONGEST_BODY`."""
        chunks, length = [], 0
        async for chunk in self.request.stream():
            length += len(chunk)
            if length > LONGEST_BODY:
                raise TooLarge(f"the body is longer than {LONGEST_BODY} bytes")
            chunks.append(chunk)
        return b"".join(chunks)


Handler = Callable[[Call], Awaitable[Response]]


class Json(Response):
    """JSON, compact, in UTF-8."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        try:
            return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:  # half of a surrogate pair, in what a run returned
            return json.dumps(content, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Page:
    """Where a list begins: `after` and `before` are the key of the row at the edge, if given."""

    size: int
    after: list[Any] | None
    before: list[Any] | None

    @classmethod
    def of(cls, call: Call) -> "Page":
        """As the query says: `page_size`, `next_key`, `prev_key`."""
        size = max(1, call.number("page_size", PAGE_SIZE, LARGEST_PAGE))
        return cls(size, opened(call, "next_key"), opened(call, "prev_key"))

    def answer(self, name: str, rows: Sequence[T], key: Callable[[T], list[Any]]) -> dict[str, Any]:
        """`rows` (asked for with one more than `size`) as a page: the keys lead on and back.

        The list of rows stands under `name`, still to be given its JSON shape.
        """
        more = len(rows) > self.size
        kept = list(rows[-self.size :] if self.before else rows[: self.size])
        has_next = bool(kept) and (more if not self.before else True)
        has_prev = bool(kept) and (more if self.before else self.after is not None)
        return {
            name: kept,
            "prev_key": sealed(key(kept[0])) if has_prev else None,
            "next_key": sealed(key(kept[-1])) if has_next else None,
        }


PAGING = (
    Query("page_size", "How many, at most 1000.", "integer"),
    Query("next_key", "The answer's next_key, for the page after it."),
    Query("prev_key", "The answer's prev_key, for the page before it."),
)
DESCENDING = Query("descending", "The other way round.", "boolean")


def sealed(key: list[Any]) -> str:
    """The key of a page as it stands in answers and queries."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def opened(call: Call, name: str) -> list[Any] | None:
    """The counterpart of `sealed`, from the query: [a value, text]; Invalid if it is no key."""
    text = call.query(name)
    if text is None:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(text))
        call.require_storable(key)
        if not isinstance(key, list) or len(key) != 2 or not isinstance(key[1], str):
            raise ValueError
    except (ValueError, RecursionError, Malformed):
        sentence = "use the key from an answer as it was given"
        raise Invalid(f"cannot read {name}", details={name: sentence}) from None
    return key
