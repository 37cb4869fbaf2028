"""Rendering: the templates, and how instants, durations and states look."""

import hashlib
import json
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from runhook.model.access import ROLE_OF, Caller
from runhook.model.run import Run
from runhook.store.runs import Duration

STATIC = Path(__file__).with_name("static")
_form_token: ContextVar[str] = ContextVar("form_token")
SPARK_WIDTH, SPARK_HEIGHT, SPARK_BARS = 120, 24, 30


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page. Templates see who is `signed_in` (None: nobody) and whether they `may(action,
    owner)`; macros, which see nothing of this, ask for the `form_token()` of the session."""
    caller = getattr(request.state, "caller", None)
    known = caller if isinstance(caller, Caller) else None
    values |= {
        "signed_in": known.name if known else None,
        "may": partial(may, known),
        "path": request.url.path,
    }
    rendering = _form_token.set(getattr(request.state, "form_token", ""))
    try:
        text = templates().get_template(template).render(**values)
    finally:
        _form_token.reset(rendering)
    # Half a surrogate pair in what a run left, or in a file's name, costs a "?", not the page.
    data = text.encode("utf-8", "replace")
    return HTMLResponse(data, status_code=status, headers={"Cache-Control": "no-store"})


def may(caller: Caller | None, action: str, owner: str = "") -> bool:
    """Would the services let the caller do `action` on that owner's things (without one: on the
    server)? Pages show no button that would only be refused."""
    if caller is None or not caller.scoped(action):
        return False
    role = caller.role_on(owner) if owner else None
    if action in ROLE_OF and owner:
        return role is not None and role.rank >= ROLE_OF[action].rank
    return caller.admin


@cache
def templates() -> Environment:
    """The templates with their filters. What a template forgets to be given is an error."""
    environment = Environment(
        loader=PackageLoader("runhook.web"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": moment, "took": took, "seconds": seconds, "words": words}
    environment.filters |= {"shown": shown, "urldecoded": unquote, "icon": icon}
    environment.globals |= {"static": static, "spark": spark, "form_token": _form_token.get}
    return environment


@cache
def static(name: str) -> str:
    """The address of a static file, with a mark that changes with its content."""
    mark = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]
    return f"/static/{name}?v={mark}"


ICONS = {
    **dict.fromkeys(("queued", "starting", "running"), "running"),
    **dict.fromkeys(("failed", "lost"), "bad"),
    **dict.fromkeys(("timed_out", "cancelled", "skipped"), "warn"),
    "succeeded": "good",
}


def icon(state: str) -> str:
    """The file of the picture that a browser's tab shows of a run in this state."""
    return f"favicon-{ICONS[state]}.svg"


def words(state: str) -> str:
    """`timed_out` → `timed out`."""
    return state.replace("_", " ")


def shown(value: Any) -> str:
    """A parameter's value: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def moment(at: datetime | None, exact: bool = False) -> Markup | str:
    """An instant. A script makes it relative, or, if it is to be `exact`, local; without scripts
    it is exact in UTC."""
    if at is None:
        return "–"
    text = at.strftime("%Y-%m-%d %H:%M:%S UTC")
    mark = Markup(" data-exact") if exact else ""
    template = '<time datetime="{}" title="{}"{}>{}</time>'
    return Markup(template).format(at.isoformat(), text, mark, text)  # noqa: S704  a literal


def seconds(value: float) -> str:
    """`0.0123` → `12 ms`, `75` → `1 min 15 s`."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def took(run: Run, now: datetime) -> str:
    """How long a run took, or has taken so far."""
    if run.started_at is None:
        return "–"
    return seconds(((run.finished_at or now) - run.started_at).total_seconds())


def spark(durations: Sequence[Duration]) -> Markup:
    """Durations of the last runs as bars, oldest first, coloured by outcome."""
    if not durations:
        return Markup("")
    longest = max(each.seconds for each in durations) or 1
    step = SPARK_WIDTH / SPARK_BARS
    bars = "".join(
        f'<rect class="{state}" x="{index * step:.1f}" y="{SPARK_HEIGHT - height:.1f}" '
        f'width="{step - 1:.1f}" height="{height:.1f}"/>'
        for index, (state, seconds) in enumerate(reversed(durations))
        for height in [max(2.0, seconds / longest * SPARK_HEIGHT)]
    )
    frame = '<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    label = f"Durations of the last {len(durations)} runs"
    return Markup(frame).format(  # noqa: S704  a literal
        SPARK_WIDTH,
        SPARK_HEIGHT,
        label,
        Markup(bars),  # noqa: S704  numbers and states of ours
    )
