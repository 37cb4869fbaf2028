"""Random and nearly right things for everything that reads what people or machines send: the server
answers, in time, without a failure in its log, and is as large afterwards as before."""

import io
import json
import re
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from keyword import iskeyword
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from runhook import web
from runhook.api.routes import ROUTES
from runhook.cli.recipe import RecipeError, read_recipe
from runhook.logs import BLOCK
from runhook.runner.notebook import clear_outputs, inject, read_notebook
from runhook.runner.report import StepFailed
from runhook.web.pages import PAGES
from tests.api.hook_sender import Hook
from tests.conftest import Api
from tests.security.attacked import SLOWEST, Attacked, attacked, bounded, unharmed

__all__ = ["attacked"]
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # it is meant
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
FORMS = [path for method, path, *_ in PAGES if method == "POST"]
READ = [path for method, path, *_ in PAGES if method == "GET" and not path.endswith("/live")]
SHOWN = [route.path for route in ROUTES if route.method == "GET"]
TEMPLATES = (Path(web.__file__).parent / "templates").glob("*.html")
FORM_FIELDS = sorted(
    {
        *(
            name
            for each in TEMPLATES
            for name in re.findall(r'"([a-z][a-z_.]+)"', each.read_text())
        ),
        *("parameter.text", "parameter.number", "link", "then"),
    }
)

text = st.text(max_size=40)
numbers = st.integers().map(str) | st.floats().map(str) | st.just("9" * 5000)
awkward = st.sampled_from(
    [
        *("", " ", "null", "[]", "{}", "NaN", "1e999", "-1", "0", "\x00", "\x1b[2J", "\ud800"),
        *("../../etc/passwd", "{{7*7}}", "<script>alert(1)</script>", "'; DROP TABLE runs; --"),
        *("٣", "²", "https://[", "http://", "@every 999999999999999d", "* * * * *", "[" * 5000),
        *('{"a": [' * 400, "a=b\n=c\n", "%s%n%d", "\r\nSet-Cookie: a=b", "𝕏" * 300, "x" * 70_000),
        *("0001-01-01T00:00", "9999-12-31T23:59", "@hourly", "Europe/Berlin", "2026-01-01T00:00"),
    ]
)
typed = awkward | numbers | text
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | typed,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(typed, inner, max_size=4),
    max_leaves=12,
)


def encoded(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def require_answered(answer: requests.Response) -> None:
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def ask(attacked: Attacked, method: str, path: str, **more: Any) -> requests.Response:
    headers = {"Authorization": f"token {attacked.api.token}"} | more.pop("headers", {})
    answer = requests.request(
        method,
        attacked.url + path,
        headers=headers,
        timeout=SLOWEST,
        allow_redirects=False,
        **more,
    )
    require_answered(answer)
    return answer


# forms


GOOD_FORM = {
    **{"name": "typed", "command": "true", "cron": "@daily", "zone": "UTC", "overlap": "queue"},
    **{"repository.url": "https://example.org/a/b.git", "repository.path": "", "pip": "numpy"},
    **{"repository.reference": "main", "repository.reference_type": "branch", "then": "start"},
    **{"environment_variables": "A=b", "parameters": '{"a": 1}', "max_running": "2"},
    **{"retries": "2", "retry_delay": "10", "time_limit": "1h", "schedule": "0", "paused": "yes"},
    **{"from": "2026-01-01T00:00", "until": "2026-01-03T00:00", "pinned": "yes"},
    **{"parameter.text": "b", "parameter.number": "2"},
}
one_awkward = st.tuples(st.sampled_from(sorted(GOOD_FORM)), awkward | numbers).map(
    lambda each: ("application/x-www-form-urlencoded", urlencoded(GOOD_FORM | dict([each])))
)


def urlencoded(fields: Mapping[str, str]) -> bytes:
    pairs = [(quote(encoded(n)), quote(encoded(v))) for n, v in fields.items()]
    return "&".join(f"{name}={value}" for name, value in pairs).encode()


bodies = st.one_of(
    one_awkward,
    st.dictionaries(st.sampled_from([*FORM_FIELDS, *GOOD_FORM]) | text, typed, max_size=3).map(
        lambda fields: ("application/x-www-form-urlencoded", urlencoded(GOOD_FORM | fields))
    ),
    st.dictionaries(st.sampled_from(FORM_FIELDS), typed, max_size=8).map(
        lambda fields: (
            "multipart/form-data; boundary=b",
            b"".join(
                b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
                % (name.encode(), encoded(value))
                for name, value in fields.items()
            )
            + b"--b--\r\n",
        )
    ),
    st.tuples(
        st.sampled_from(
            [
                *("application/x-www-form-urlencoded", "multipart/form-data", "text/plain", ""),
                *("multipart/form-data; boundary=", "multipart/form-data; boundary=b"),
                *("multipart/form-data; boundary=b; charset=utf-7", "application/json", "é;;=;,"),
                "application/x-www-form-urlencoded; charset=utf-16",
            ]
        ),
        st.binary(max_size=300)
        | st.sampled_from(
            [
                b"--b\r\n" * 50,
                b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\nx\r\n--b--',
                b"a=1&" * 600,
                b"a=" + b"%ff" * 1000,
                b"name=" + b"x" * (2 * 1024 * 1024),
                b"&".join(b"a=" + b"x" * 900_000 for _ in range(6)),
                b"--b\r\nX: " + b"y" * 100_000,
            ]
        ),
    ),
)


@pytest.mark.parametrize("path", FORMS)
def test_every_form_takes_anything(attacked: Attacked, path: str) -> None:
    attacked.seed()

    @bounded(40)
    @given(bodies, st.integers(0, 40))
    def send(body: tuple[str, bytes], which: int) -> None:
        kind, data = body
        headers = {"Content-Type": kind.encode("latin-1")}
        answer = attacked.post(attacked.path(path, which), data=data, headers=headers)
        require_answered(answer)
        if answer.status_code == 401 and path != "/dash/sign-in":
            attacked.renew()
        if answer.headers.get("Location", "").startswith("/dash"):
            require_answered(attacked.session.get(attacked.url + answer.headers["Location"]))
        if answer.status_code == 404:
            attacked.seed()

    with unharmed(attacked):
        send()
        attacked.renew()


# definitions, crons, starts


GOOD: dict[str, Any] = {
    "name": "mutated",
    "command": "true",
    "description": "words",
    "git_repositories": [{"url": "https://example.org/a/b.git", "reference": "main"}],
    "extra_packages": {"pip": {"install": "numpy"}},
    "schedules": [{"cron": "@every 5m", "zone": "Europe/Berlin", "overlap": "skip"}],
    "environment_variables": {"A": "b"},
    "parameters": {"a": 1, "b": [1, {"c": None}]},
    "limits": {"time": "1h", "memory": "1 GiB", "steps": {"checkout": 60}},
    "retry": {"count": 2, "delay": "10s", "on": ["failed"]},
    "retention": {"runs": 10, "age": "30d"},
    "triggers": [{"webhook": "pushed", "source": "github", "parameters": {"a": "/after"}}],
    "overlap": "queue",
    "queue_timeout": "1h",
    "priority": 3,
    "max_running": 2,
    "tags": {"a": "b"},
    "python": "3.11",
}


LIKELY: dict[type, st.SearchStrategy[Any]] = {
    str: st.sampled_from(
        [
            *(
                "1h",
                "0s",
                "1.5h",
                "9" * 30 + "d",
                "1 PiB",
                "-1s",
                "1e9 GiB",
                "∞",
                "ssh://-o@host/a",
            ),
            *("@every 1s", "@every 100000d", "0 0 31 2 *", "H H * * H", "* * * * MON#6", "@yearly"),
            *(
                "main",
                "v1.0",
                "x" * 255,
                "a/b",
                "é",
                "replace",
                "a\tb",
                "<b>",
                "{{a}}",
                "..",
                "a b",
            ),
            *("git@host:a/b.git", "file:///etc", "ext::sh -c id", "/after/0/-", "3.13", "None"),
            *("Europe/Berlin", "UTC", "Antarctica/Troll", "Etc/GMT+12", "pip install x", "a==1;b"),
        ]
    ),
    int: st.sampled_from([0, 1, -1, 5, 2**31, 2**53, 2**63, 10**30, 0.5, 1e308, -0.0, True]),
    list: st.lists(st.just("a") | st.just({}), max_size=40),
    dict: st.dictionaries(st.sampled_from(["a", "b", "time", "cron", "count"]), json_values),
}


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A good definition with a few places changed, added or taken away."""
    spec = json.loads(json.dumps(GOOD))
    for _ in range(draw(st.integers(1, 3))):
        place, steps = spec, draw(st.lists(st.integers(0, 30), min_size=1, max_size=4))
        for step in steps:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = keys[step % len(keys)]
            if isinstance(place[key], (dict, list)) and step % 3:
                place = place[key]
                continue
            likely = LIKELY.get(type(place[key]), json_values)
            place[key] = draw(json_values if step % 5 == 4 else likely)
            break
    return spec


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("method", "path", "wrap"),
    [
        ("PUT", "/api/recipes", lambda spec: {"type": "job", "spec": spec}),
        ("PUT", "/api/recipes?enforce_unknown=no", lambda spec: {"type": "job", "spec": spec}),
        ("PUT", "/api/recipes", lambda spec: {**spec, "job": {"instance_type": "large"}}),
        ("POST", "/api/jobs", lambda spec: spec),
        ("PATCH", "/api/jobs/{job_id}", lambda spec: spec),
    ],
)
def test_a_definition_that_is_nearly_right_is_taken_or_named(
    attacked: Attacked, method: str, path: str, wrap: Any
) -> None:
    attacked.seed()

    @bounded(60)
    @given(mutated())
    def send(spec: dict[str, Any]) -> None:
        answer = ask(attacked, method, attacked.path(path), data=as_json(wrap(spec)))
        if answer.ok:
            made = answer.json().get("state", answer.json())["id"]
            for shown in ("/api/jobs/{}", "/api/jobs/{}/schedules", "/dash/resources/job/{}"):
                ask(attacked, "GET", shown.format(made))
            ask(attacked, "GET", f"/dash/resources/job/{made}/edit")
            if made != attacked.known["job_id"][0]:
                ask(attacked, "DELETE", f"/api/jobs/{made}")

    good = ask(attacked, method, attacked.path(path), data=as_json(wrap(GOOD)))
    assert good.ok, good.text
    attacked.known["job_id"] = [good.json().get("state", good.json())["id"]]
    with unharmed(attacked):
        send()
    ask(attacked, "DELETE", attacked.path("/api/jobs/{job_id}?allow_active=1"))


CRON = (
    *("* 0 */5 59 0-59/7 1,2,3", "* 0 2 H 23 1-3 */6", "* 1 29 30 31 L H"),
    *("* 1 2 FEB */12 2-12/3", "* 0 7 MON 5L MON#5 1-5"),
)
crons = st.one_of(
    typed,
    st.tuples(*(st.sampled_from(tokens.split()) for tokens in CRON)).map(" ".join),
    st.tuples(*(st.sampled_from("* H 1-5 59 60 L MON#2 H/0 1,2,,3 ?".split()),) * 5).map(" ".join),
    st.from_regex(r"@(every|hourly|daily|reboot|yearly) ?[0-9]{0,20}[smhdw]?", fullmatch=True),
)
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "Antarctica/Troll", "America/New_York", "../x", "é"]
)


def test_a_cron_text_is_taken_or_named(attacked: Attacked) -> None:
    @bounded(150)
    @given(crons, zones)
    def send(cron: str, zone: str) -> None:
        spec = {"name": "cron", "command": "true", "schedules": [{"cron": cron, "zone": zone}]}
        answer = ask(attacked, "PUT", "/api/recipes", data=as_json({"type": "job", "spec": spec}))
        if answer.ok:
            job = answer.json()["state"]["id"]
            ask(attacked, "GET", f"/api/jobs/{job}/schedules")
            years = ("2026", "0001", "1969", "9000", "9999")
            for year in years:
                past = {"from": f"{year}-01-01T00:00:00Z", "until": f"{year}-01-01T01:00:00Z"}
                ask(attacked, "POST", f"/api/jobs/{job}/backfill", json=past)
                began = {"scheduled_for": past["from"]}
                ask(attacked, "POST", f"/api/jobs/{job}/start", json=began)

    with unharmed(attacked):
        send()
        spec = {"name": "cron", "command": "true"}
        attacked.api.apply(**spec)


def test_a_webhook_takes_anything_that_is_signed(attacked: Attacked) -> None:
    attacked.seed()
    job = attacked.known["job_id"][0]
    shown = attacked.api.request("GET", f"/api/jobs/{job}/webhooks").json()["webhooks"][0]
    hook = Hook(attacked.api, job, "generic", shown["url"], shown["secret"])
    kinds = st.sampled_from(["application/json", "application/x-www-form-urlencoded", "é", ""])
    payloads = st.binary(max_size=100) | json_values.map(as_json)

    @bounded(40)
    @given(payloads, kinds, st.booleans())
    def send(body: bytes, kind: str, signed: bool) -> None:
        headers: dict[str, Any] = hook.headers(body) if signed else {"X-Runhook-Signature": "t=1"}
        headers["Content-Type"] = kind.encode("latin-1")
        require_answered(hook.post(body, headers))

    with unharmed(attacked):
        send()


# paths, queries, headers


pieces = st.one_of(
    awkward,
    text,
    st.sampled_from(
        [
            *("..%2f..%2fetc%2fpasswd", "%00", "%ff%fe", "....//", "%2e%2e/", "%c0%ae", "a" * 9000),
            *("%252e%252e", "~root", ".git", "con", "%0d%0aX: y", "?", "#", "%", "%zz", ";a=b"),
        ]
    ),
)


def test_no_path_and_no_query_breaks_anything(attacked: Attacked) -> None:
    attacked.seed()
    templates = [*SHOWN, *READ]

    @bounded(150)
    @given(
        st.sampled_from(templates),
        pieces,
        st.booleans(),
        st.dictionaries(
            st.sampled_from(
                "name after before next_key prev_key page_size state trigger offset attempt type "
                "as_template owner_name link next limit action user kind".split()
            ),
            typed,
            max_size=3,
        ),
    )
    def send(template: str, piece: str, raw: bool, query: dict[str, str]) -> None:
        value = piece if raw else quote(encoded(piece), safe="")
        path = "/".join(value if "{" in part else part for part in template.split("/"))
        words = "&".join(f"{name}={quote(encoded(text))}" for name, text in query.items())
        status = raw_request(attacked, f"GET {path}?{words} HTTP/1.1", path=True)
        assert status < 500 or status == 503, (path, words)

    with unharmed(attacked):
        send()


def raw_request(
    attacked: Attacked, first: str, *, path: bool = False, extra: bytes = b"", body: bytes = b""
) -> int:
    """Send bytes as they are; the status of the answer, 0 if the connection was closed."""
    line = first.replace("\r", "").replace("\n", "") if path else first
    head = (
        encoded(line)
        + b"\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: token "
        + attacked.api.token.encode()
        + b"\r\n"
        + extra
        + b"\r\n"
    )
    with socket.create_connection(("127.0.0.1", attacked.api.server.port), SLOWEST) as connection:
        try:
            connection.sendall(head + body)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        except TimeoutError:
            raise
        except OSError:  # hung up on while there was still something to send
            return 0
    return int(answer.split(b" ", 2)[1]) if answer else 0


header_values = st.one_of(
    st.binary(max_size=60).map(lambda value: value.translate(None, b"\r\n\0")),
    awkward.map(lambda value: encoded(value).translate(None, b"\r\n\0")),
    st.sampled_from(
        [
            *(b"[", b"http://[", b"127.0.0.1:99999999", b"a@b@c", b"127.evil.example", b"[::1"),
            *(b"token", b"token \xff", b"Bearer " + b"0" * 32, b"rhr_" + b"f" * 64, b"token a b"),
            *(b"text/event-stream", b"*/*;q=nan", b"9" * 400, b"-1", b"bytes=0-", b"gzip, gzip"),
            *(b"runhook_session=" + b"x" * 5000, b"runhook_session=\xff", b"=;;=;", b"cross-site"),
        ]
    ),
)


def test_no_header_breaks_anything(attacked: Attacked) -> None:
    attacked.seed()
    names = st.sampled_from(
        b"Host Authorization Cookie Origin Sec-Fetch-Site Last-Event-ID Accept Content-Type Range "
        b"Idempotency-Key X-Forwarded-For X-Forwarded-Proto Expect Upgrade Transfer-Encoding "
        b"Content-Encoding If-None-Match If-Modified-Since X-Runhook-Trigger".split()
    )
    lines = st.sampled_from(
        [
            *("GET /api/runs", "POST /api/jobs/{job_id}/start", "GET /dash", "POST /dash/sign-out"),
            *("GET /static/live.js", "GET /api/runs/{run_id}/log", "POST /api/auth/login"),
            *("OPTIONS *", "GET /api/hooks/a/b"),
        ]
    )

    @bounded(120)
    @given(lines, st.lists(st.tuples(names, header_values), max_size=4))
    def send(line: str, headers: list[tuple[bytes, bytes]]) -> None:
        extra = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        status = raw_request(attacked, f"{attacked.path(line)} HTTP/1.1", extra=extra)
        assert status < 500 or status == 503, (line, headers)

    with unharmed(attacked):
        send()
        attacked.renew()


@pytest.mark.parametrize(
    ("extra", "body"),
    [
        (b"Content-Length: 1000\r\n", b"{}"),
        (b"Content-Length: -1\r\n", b"{}"),
        (b"Content-Length: 2\r\nContent-Length: 3\r\n", b"{}"),
        (b"Content-Length: 99999999999999999999999\r\n", b"{}"),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"fffffffffffffffff\r\n{}"),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\n{}"),
        (b"Content-Length: 0\r\n", b"GET /api/user HTTP/1.1\r\n\r\n" * 50),
        (b"X: " + b"y" * 1_000_000 + b"\r\n", b""),
        (b"".join(b"X%d: y\r\n" % number for number in range(20_000)), b""),
        (b"Cookie: " + b"a=b; " * 10_000 + b"\r\n", b""),
    ],
    ids=lambda value: value[:24].decode(),
)
def test_lengths_that_lie_are_answered_or_cut_off(
    attacked: Attacked, extra: bytes, body: bytes
) -> None:
    with unharmed(attacked):
        for line in ("POST /api/jobs/{job_id}/start HTTP/1.1", "POST /dash/jobs/new HTTP/1.1"):
            status = raw_request(attacked, attacked.path(line), extra=extra, body=body)
            assert status < 500, status


def test_who_is_slow_or_silent_holds_up_nobody(attacked: Attacked) -> None:
    address = ("127.0.0.1", attacked.api.server.port)
    with unharmed(attacked):
        held = [socket.create_connection(address, SLOWEST) for _ in range(200)]
        begun = (b"", b"GET /api/jo", b"POST /dash/sign-in HTTP/1.1\r\nHost: localhost\r\n")
        slow = b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n{"
        for number, connection in enumerate(held):
            connection.sendall((*begun, slow)[number % 4])
        for _ in range(20):
            began = time.monotonic()
            assert ask(attacked, "GET", "/api/runs").status_code == 200
            assert time.monotonic() - began < SLOWEST
        for connection in held:
            connection.close()


def test_huge_requests_hold_up_nobody(attacked: Attacked) -> None:
    huge = [
        ("POST", "/api/jobs", b"[" * 4_000_000),
        ("POST", "/api/jobs", b'{"name": "' + b"x" * 4_000_000 + b'"}'),
        (
            "POST",
            "/api/jobs",
            b'{"parameters": {' + b",".join(MANY) + b"}}",
        ),
        ("PUT", "/api/recipes", b"x" * 20_000_000),
    ]
    slowest = 0.0
    with unharmed(attacked), ThreadPoolExecutor(4) as pool:
        going = [pool.submit(send_huge, attacked, *each) for each in huge for _ in range(2)]
        while not all(each.done() for each in going):
            began = time.monotonic()
            ask(attacked, "GET", "/api/status")
            slowest = max(slowest, time.monotonic() - began)
        assert {each.result() for each in going} <= {400, 413, 422, None}
        assert slowest < SLOWEST


MANY = [b'"%d":1' % number for number in range(300_000)]


def send_huge(attacked: Attacked, method: str, path: str, body: bytes) -> int | None:
    """The status; None if the server hung up on what it had refused."""
    try:
        return ask(attacked, method, path, data=body).status_code
    except requests.ConnectionError:
        return None


# notebooks and recipes, as the runner and the command line read them


NOTEBOOK: dict[str, Any] = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "python3"}, "language_info": {"name": "python"}},
    "cells": [
        {
            **{"cell_type": "code", "id": "a", "metadata": {"tags": ["parameters"]}},
            **{"source": ["x = 1\n", "y = 2"], "outputs": [], "execution_count": None},
        },
        {
            **{"cell_type": "code", "id": "a", "metadata": {}, "source": "x", "execution_count": 1},
            "outputs": [{"output_type": "stream", "name": "stdout", "text": "1\n"}],
        },
        {"cell_type": "markdown", "id": "b", "metadata": {}, "source": "# words"},
    ],
}
OLD = {
    "nbformat": 3,
    "nbformat_minor": 0,
    "metadata": {"name": ""},
    "worksheets": [{"cells": [{"cell_type": "code", "input": "1", "outputs": [], "metadata": {}}]}],
}
OLDEST = {"nbformat": 1, "cells": [{"cell_type": "code", "code": "1"}]}


@st.composite
def notebooks(draw: st.DrawFn) -> bytes:
    """A notebook of any format with some places changed or gone, or no notebook at all."""
    made = json.loads(json.dumps(draw(st.sampled_from([NOTEBOOK, NOTEBOOK, OLD, OLDEST]))))
    for _ in range(draw(st.integers(0, 3))):
        place: Any = made
        for step in draw(st.lists(st.integers(0, 30), min_size=1, max_size=5)):
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = keys[step % len(keys)]
            if isinstance(place[key], (dict, list)) and step % 3:
                place = place[key]
            elif step % 2 and isinstance(place, dict):
                del place[key]
                break
            else:
                place[key] = draw(json_values)
                break
    return json.dumps(made).encode()


def require_sentence(error: Exception) -> None:
    assert "\n" not in str(error) and len(str(error)) < 2000


@bounded(250)
@example(b"", {"a": 1})
@example(b"[" * 100_000, {})
@example(json.dumps(NOTEBOOK | {"metadata": {}, "cells": NOTEBOOK["cells"] * 500}).encode(), {})
@example(
    json.dumps(NOTEBOOK | {"metadata": {"a": [[[[]]] * 99] * 99}}).encode(), {"a": "x" * 10**6}
)
@given(
    notebooks() | st.binary(max_size=200),
    st.dictionaries(
        st.from_regex(r"[a-z]{1,3}", fullmatch=True).filter(lambda name: not iskeyword(name)),
        json_values,
        max_size=3,
    ),
)
def test_a_notebook_is_executed_or_said_to_be_none(data: bytes, values: dict[str, Any]) -> None:
    """What the runner does with a notebook before its kernel starts, and the saving of it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "work.ipynb"
        path.write_bytes(data)
        try:
            notebook = read_notebook(path.parent, path, "work.ipynb")
        except StepFailed as error:
            require_sentence(error)
            return
        inject(notebook, values)
        clear_outputs(notebook)
        injected = [cell for cell in notebook.cells if "# Parameters" in cell.source]
        assert len(injected) >= bool(values)
        for cell in injected[:1]:
            compile(cell.source, "injected", "exec")
        assert nbformat.writes(notebook)
    assert time.monotonic() - began < SLOWEST


yaml_texts = st.one_of(
    st.text(max_size=200).map(encoded),
    st.binary(max_size=200),
    json_values.map(as_json),
    st.sampled_from(
        [
            b"!!python/object/apply:os.system ['touch /tmp/owned']",
            b"!!python/name:os.system",
            b"command: !!python/object/new:os.system [id]",
            b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
            b"a: &a {b: *a}",
            b"spec: {name: a, command: '@/etc/passwd'}",
            b"? {a: b}\n: c",
            b"1: 2\n2001-01-01: x",
            b"[" * 2000,
            b"a:\n" + b" a:\n" * 300,
        ]
    ),
)


@bounded(200)
@given(yaml_texts)
def test_a_recipe_file_is_a_mapping_of_plain_values_or_none(data: bytes) -> None:
    began = time.monotonic()
    try:
        recipe = read_recipe(io.BytesIO(data))
    except RecipeError as error:
        require_sentence(error)
    else:
        json.dumps(recipe, allow_nan=False)
    assert time.monotonic() - began < SLOWEST


def test_a_recipe_cannot_grow_by_naming_its_parts_again_and_again() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12)
    )
    with pytest.raises(RecipeError, match="again and again"):
        read_recipe(io.BytesIO(bomb.encode()))


# logs


log_bytes = st.one_of(
    st.binary(max_size=2000),
    st.lists(
        st.sampled_from(
            [
                *(b"\0", b"\xff\xfe", b"\xc3", b"\xe2\x82", b"\x1b", b"\x1b[", b"\x1b]0;title"),
                *(b"\x1b[31mred\x1b[0m", b"\x9b31m", b"\r", b"\r\n", b"\n", b"<script>x</script>"),
                *(b"\x1b]8;;javascript:alert(1)\x07x\x1b]8;;\x07", b"&amp;", b"</pre><img src=x>"),
                *(b"x" * 70_000, b"\x1bPq#0\x1b\\", b"\x1b[99999999999999m", "é€𝕏".encode()),
            ]
        ),
        max_size=8,
    ).map(b"".join),
)


def test_a_log_of_any_bytes_is_given_whole_and_shown_safely(shared_api: Api) -> None:
    attacked = Attacked(shared_api)
    job = shared_api.apply(name="any-log", command="echo begun")
    run = shared_api.finished(shared_api.start(job)["id"])
    (attempt,) = run["attempts"]  # type: ignore[misc]
    log = shared_api.server.data / "attempts" / attempt["id"][:2] / attempt["id"] / "log"
    link = f"/api/runs/{run['id']}/log"
    attacked.sign_in()

    @bounded(60)
    @example(b"\x1b" * 100_000)
    @example(b"<b>" * 50_000)
    @example(b"\xe2\x82" * 40_000)
    @given(log_bytes)
    def write(data: bytes) -> None:
        log.write_bytes(data)
        whole = ask(attacked, "GET", link)
        assert whole.content == data
        assert whole.headers["Content-Type"].startswith("text/plain")
        half = ask(attacked, "GET", f"{link}?offset={len(data) // 2}")
        assert half.content == data[len(data) // 2 :]
        page = ask(attacked, "GET", f"/dash/runs/{run['id']}").text
        shown = page.partition('<pre id="log"')[2].partition(">")[2].partition("</pre>")[0]
        assert "<" not in shown and not CONTROLS.search(shown)
        events = list(events_of(ask(attacked, "GET", f"{link}?follow=1").text))
        assert [name for name, _ in events][-1:] == ["end"]
        told = "".join(text for name, text in events if name == "log")
        assert len(data) > BLOCK or told == data.decode("utf-8", "replace")

    with unharmed(attacked):
        write()


def test_streams_that_are_left_in_the_middle_cost_nothing(shared_api: Api) -> None:
    attacked = Attacked(shared_api)
    job = shared_api.apply(name="left-streams", command="seq 2000000; sleep 600")
    run = shared_api.start(job)["id"]
    head = (
        f"GET /api/runs/{run}/log?follow=1 HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: token {shared_api.token}\r\n\r\n"
    ).encode()
    with unharmed(attacked):
        for number in range(60):
            address = ("127.0.0.1", shared_api.server.port)
            with socket.create_connection(address, SLOWEST) as connection:
                connection.sendall(head)
                assert connection.recv(1 + number * 4000).startswith(b"H")
            assert ask(attacked, "GET", "/api/status").status_code == 200
    shared_api.request("POST", f"/api/runs/{run}/cancel")
    shared_api.finished(run)


def events_of(stream: str) -> Iterator[tuple[str, Any]]:
    for event in stream.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in event.split("\n") if ": " in line)
        if "data" in fields:
            yield fields["event"], json.loads(fields["data"])
