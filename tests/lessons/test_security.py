"""What was broken into elsewhere, row by row, and that it is closed here."""

import html
import http.client
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import requests

from runhook import logs
from runhook.api.routes import ROUTES
from runhook.cli.recipe import RecipeError, read_recipe
from runhook.gate import PUBLIC, PUBLIC_PREFIX, is_public
from runhook.model.access import User
from runhook.runner.address import parse
from runhook.runner.report import StepFailed
from runhook.runner.spec import Places
from runhook.store import identities
from runhook.store.database import Database, sqlite_url
from runhook.store.tables import new_id
from runhook.web.pages import PAGES
from tests.api.test_routes import PUBLIC_API
from tests.conftest import Api, LiveServer, clean_environment
from tests.security.attacked import Attacked

NOBODY, LIMIT = "0" * 32, 20
PUBLIC_PAGES = {
    *("/dash/sign-in", "/dash/sign-in/sso", "/dash/sign-in/sso/callback", "/favicon.ico"),
}
DOORS = [(route.method, route.path, route.action) for route in ROUTES] + [
    (method, path, action) for method, path, action, _ in PAGES
]
CLOSED = [(method, path) for method, path, action in DOORS if action != "public"]
STREAMS = [path for method, path in CLOSED if path.endswith("/live")] + [
    "/api/runs/{run_id}/log",
    "/api/runs/{run_id}/events",
]
CHANGES = [(method, path) for method, path in CLOSED if method != "GET"]


def filled(template: str, **values: str) -> str:
    """A path with what is known in its places."""
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda part: values.get(part[1], NOBODY), template)


def ask(server: LiveServer, method: str, path: str, **more: Any) -> requests.Response:
    """An answer, of a stream only its head."""
    with requests.request(
        method, server.url + path, allow_redirects=False, timeout=LIMIT, stream=True, **more
    ) as answer:
        if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            assert answer.content is not None
        return answer


def status_of(server: LiveServer, method: str, path: str, **headers: str) -> int:
    """The status for a path that is sent exactly as it is written."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def require_closed(answer: requests.Response, path: str) -> None:
    """Nothing was said and nothing was done: 401, or, for a page, the way to the sign-in."""
    if answer.status_code == 303 and path.startswith("/dash"):
        assert answer.headers["Location"].startswith("/dash/sign-in?")
    else:
        assert answer.status_code == 401, (path, answer.status_code)


def a_run(api: Api, name: str, command: str = "echo words", **spec: Any) -> tuple[str, str]:
    """A job and its finished run."""
    job = api.apply(name=name, command=command, **spec)
    return job, str(api.finished(api.start(job)["id"])["id"])


@pytest.fixture
def signed_in(shared_api: Api) -> requests.Session:
    """A browser's session."""
    browser = Attacked(shared_api)
    browser.sign_in()
    return browser.session


async def add_stranger(api: Api) -> Api:
    """Somebody else with an account of their own, and no share in anything."""
    token, name = os.urandom(16).hex(), f"stranger-{os.urandom(4).hex()}"
    user = User(new_id(), name, f"main/{name}")
    async with Database(sqlite_url(api.server.data / "runhook.db")) as database:
        await database.write(lambda tx: identities.insert_user(tx, user, token, datetime.now(UTC)))
    return Api(api.server, token)


def test_s1_nothing_is_open_but_what_is_listed(shared_api: Api) -> None:
    assert PUBLIC == PUBLIC_API | PUBLIC_PAGES and PUBLIC_PREFIX == "/static/"
    assert {path for _, path, action in DOORS if action == "public"} <= PUBLIC
    assert not [path for _, path in CLOSED if is_public(path)]
    for method, path in CLOSED:
        require_closed(ask(shared_api.server, method, filled(path)), path)
    detours = (
        "{}.json {}/ {}/status {};/api/status {}%3f/api/status {}/../status {}/static/".split()
    )
    for _, path in CLOSED:
        for detour in detours:
            asked = detour.format(filled(path))
            status = status_of(shared_api.server, "GET", asked)
            assert status == 401 or (status == 303 and path.startswith("/dash")), asked
    for host in ("127.0.0.1/static/", "localhost/api/status?", "localhost#/static/"):
        answer = ask(shared_api.server, "GET", "/api/jobs", headers={"Host": host})
        assert answer.status_code in (401, 403)


@pytest.mark.anyio
async def test_s2_streams_and_every_other_method_are_closed_like_all_else(shared_api: Api) -> None:
    job, run = a_run(shared_api, "s2")
    values = {"job_id": job, "run_id": run}
    stranger = await add_stranger(shared_api)
    for path in STREAMS:
        address = filled(path, **values)
        for method in ("GET", "HEAD", "DELETE", "POST", "PUT", "OPTIONS", "PROPFIND"):
            for headers in (
                {"Accept": "text/event-stream"},
                {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"},
                {"Authorization": f"token {NOBODY}"},
                {"Authorization": f"token rhr_{NOBODY}{NOBODY}"},
                {"Cookie": f"runhook_session={NOBODY}"},
            ):
                require_closed(ask(shared_api.server, method, address, headers=headers), path)
        if "{" in path:
            for query in ("", "?follow=1"):
                answer = stranger.request("GET", address + query)
                assert answer.status_code == 404, (path, answer.text)
    assert ask(shared_api.server, "DELETE", "/api/status").status_code == 405


def test_s3_it_is_closed_from_the_first_boot_and_answers_to_its_own_names_only(
    server: LiveServer,
) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    for path in ("/api/jobs", "/api/user", "/dash"):
        require_closed(ask(server, "GET", path), path)
    for host in ("evil.example", "127.evil.example", "127.0.0.1.evil.example", "0.0.0.0", "[", ""):
        answer = ask(server, "GET", "/api/status", headers={"Host": host})
        assert answer.status_code == 403, host
    for host in ("localhost", f"127.0.0.1:{server.port}", "[::1]:80", "LOCALHOST"):
        answer = ask(server, "GET", "/api/status", headers={"Host": host})
        assert answer.status_code == 200, host
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}
    for method in ("GET", "OPTIONS", "POST"):
        for path in ("/api/status", "/api/jobs", "/api/auth/login", "/dash/sign-in"):
            answer = ask(server, method, path, headers=origin)
            assert not [name for name in answer.headers if name.lower().startswith("access-c")]


def test_s5_an_id_is_never_a_path(shared_api: Api, signed_in: requests.Session) -> None:
    data = shared_api.server.data
    _, run = a_run(shared_api, "s5")
    key = (data / "keys" / "server.key").read_bytes()
    words = "..%2f.. %2e%2e .. %2fetc%2fpasswd ....%2f%2f keys ~ . %5c.. ..;a %252e%252e".split()
    ways = (
        {"Authorization": f"token {shared_api.token}"},
        {
            "Cookie": "; ".join(f"{n}={v}" for n, v in signed_in.cookies.items()),
            "Sec-Fetch-Site": "same-origin",
            "X-CSRF-Token": str(signed_in.headers["X-CSRF-Token"]),
        },
    )
    for method, path in CLOSED:
        for odd in words if "{" in path else ():
            asked = re.sub(r"\{\w+(:\w+)?\}", odd, path)
            for headers in ways:
                status = status_of(shared_api.server, method, asked, **headers)
                assert status in (303, 307, 400, 404, 405, 422), (method, asked, status)
    for odd in ("..%2fgate.py", "%2e%2e/gate.py", "%2fetc%2fpasswd", "..%5cgate.py"):
        assert ask(shared_api.server, "GET", f"/static/{odd}").status_code == 404
    assert (data / "keys" / "server.key").read_bytes() == key
    assert (data / "runhook.db").exists() and (data / "attempts").is_dir()
    assert shared_api.log(run) == "words\n"


def test_s6_a_link_in_place_of_a_log_is_not_followed(shared_api: Api, tmp_path: Path) -> None:
    _, run = a_run(shared_api, "s6")
    (attempt,) = shared_api.run(run)["attempts"]  # type: ignore[misc]
    log = shared_api.server.data / "attempts" / attempt["id"][:2] / attempt["id"] / "log"
    secret = tmp_path / "secret"
    secret.write_text("not for these eyes")
    for swap in (lambda: log.symlink_to(secret), lambda: os.mkfifo(log), lambda: log.mkdir()):
        log.rmdir() if log.is_dir() and not log.is_symlink() else log.unlink()
        swap()
        for query in ("", "?follow=1"):
            answer = shared_api.request("GET", f"/api/runs/{run}/log{query}")
            assert answer.status_code == 200 and "eyes" not in answer.text
        token = {"Authorization": f"token {shared_api.token}"}
        page = ask(shared_api.server, "GET", f"/dash/runs/{run}", headers=token)
        assert page.status_code == 200 and "eyes" not in page.text
        assert (logs.size(log), logs.read(log, 0)) == (0, b"")


def test_s7_a_start_takes_declared_parameters_and_nothing_else(
    shared_api: Api, signed_in: requests.Session
) -> None:
    job = shared_api.apply(name="s7", command='echo "$region"', parameters={"region": "north"})
    for body in (
        {"parameters": {"regoin": "south"}},
        {"parameters": {"region": "south", "PATH": "/tmp"}},
        *(
            {name: "x"}
            for name in ("command", "environment_variables", "notebook", "image", "spec")
        ),
    ):
        answer = shared_api.request("POST", f"/api/jobs/{job}/start", json=body)
        assert answer.status_code == 422, body
    assert shared_api.request("GET", f"/api/jobs/{job}/runs").json()["runs"] == []
    form = {"parameter.region": "south", "parameter.PATH": "/tmp", "command": "echo no"}
    answer = signed_in.post(
        f"{shared_api.server.url}/dash/resources/job/{job}/start",
        data=form,
        headers={"Sec-Fetch-Site": "same-origin"},
        allow_redirects=False,
        timeout=LIMIT,
    )
    run = shared_api.finished(answer.headers["Location"].rpartition("/")[2])
    assert run["parameters"] == {"region": "south"}
    assert shared_api.log(run["id"]) == "south\n"


class Inline(HTMLParser):
    """Collects what a strict policy would have to forbid."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in given):
            self.found.append(tag)
        self.found += [n for n in given if n.startswith("on") or n == "style"]
        self.found += [v for v in given.values() if v and v.strip().startswith("javascript:")]


def inline_in(page: str) -> list[str]:
    parser = Inline()
    parser.feed(page)
    return parser.found


MARKUP = "</pre></script>\"'><img src=x onerror=alert(1)><svg/onload=alert(2)>"


def test_s8_what_people_and_runs_say_is_text_and_no_answer_may_be_taken_for_another(
    shared_api: Api, signed_in: requests.Session
) -> None:
    job, run = a_run(
        shared_api,
        "s8",
        f"cat <<'END'\n{MARKUP}\nEND\nexit 3",
        description=MARKUP,
        parameters={"said": MARKUP},
        environment_variables={"SAID": MARKUP},
        tags={"said": MARKUP},
    )
    base = shared_api.server.url
    for path in (f"/dash/runs/{run}", f"/dash/resources/job/{job}", "/dash", "/api/docs"):
        page = signed_in.get(base + path, timeout=LIMIT).text
        assert "<img" not in page and "<svg/onload" not in page, path
        assert inline_in(page) == []
    page = signed_in.get(f"{base}/dash/resources/job/{job}/edit", timeout=LIMIT).text
    assert "<img" not in page and "&lt;img" in page
    assert "<img" in shared_api.log(run)
    policy = requests.get(base + "/dash/sign-in", timeout=LIMIT).headers["Content-Security-Policy"]
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    assert (rules["default-src"], rules["script-src"]) == ("'none'", "'self'")
    assert (rules["frame-ancestors"], rules["base-uri"]) == ("'none'", "'none'")
    assert "unsafe" not in policy and "*" not in policy and "http:" not in policy
    etag = requests.get(base + "/static/live.js", timeout=LIMIT).headers["ETag"]
    answers = [signed_in.get(base + filled(p, job_id=job, run_id=run), stream=True, timeout=LIMIT)
               for m, p, _ in DOORS if m == "GET"]  # fmt: skip
    answers += [
        requests.get(base + path, allow_redirects=False, timeout=LIMIT)
        for path in ("/nope", "/static/nope", "/static/live.js", "/", "/api/jobs", "/favicon.ico")
    ]
    answers += [
        requests.get(base + "/static/live.js", headers={"If-None-Match": etag}, timeout=LIMIT),
        requests.delete(base + "/api/status", timeout=LIMIT),
        requests.get(base + "/api/status", headers={"Host": "evil.example"}, timeout=LIMIT),
    ]
    for answer in answers:
        answer.close()
        assert answer.headers["X-Content-Type-Options"] == "nosniff", answer.url
        assert answer.headers["Content-Security-Policy"] == policy, answer.url
        assert answer.headers["Referrer-Policy"] == "same-origin"
        if "/static/" not in answer.url:
            assert answer.headers["Cache-Control"] == "no-store", answer.url
    assert (
        shared_api.request("GET", f"/api/runs/{run}/log")
        .headers["Content-Type"]
        .startswith("text/plain")
    )


def test_s9_another_site_can_do_nothing_with_somebody_s_session(
    shared_api: Api, signed_in: requests.Session
) -> None:
    base = shared_api.server.url
    foreign: list[dict[str, str]] = [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": base + ".evil.example"},
        {"Origin": base.replace("127.0.0.1", "localhost")},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": base},
        {},
    ]
    for method, path in CHANGES:
        for headers in foreign:
            url = base + filled(path)
            answer = signed_in.request(
                method, url, headers=headers, allow_redirects=False, timeout=LIMIT
            )
            assert answer.status_code == 403, (method, path, headers)
    for headers in foreign[:-1]:
        sent = {"token": shared_api.token, "password": shared_api.token}
        for path in ("/dash/sign-in", "/api/auth/login"):
            kind = {"json": sent} if path.startswith("/api") else {"data": sent}
            answer = requests.post(base + path, headers=headers, timeout=LIMIT, **kind)
            assert answer.status_code == 403 and "Set-Cookie" not in answer.headers
        assert (
            signed_in.get(base + "/api/auth/logout", headers=headers, timeout=LIMIT).status_code
            == 403
        )
    assert signed_in.get(base + "/dash", allow_redirects=False, timeout=LIMIT).status_code == 200
    for name in ("runhook_session", "__Host-runhook_session", "Authorization", "token"):
        cookie = {"Cookie": f"{name}={shared_api.token}"}
        assert ask(shared_api.server, "GET", "/api/jobs", headers=cookie).status_code == 401
    again = Attacked(shared_api)
    answer = again.post("/dash/sign-in", data={"token": shared_api.token})
    cookie_line = answer.headers["Set-Cookie"].lower()
    assert (
        "httponly" in cookie_line and "samesite=lax" in cookie_line and "domain" not in cookie_line
    )


INJECTIONS = [
    *("--upload-pack=touch /tmp/owned", "-oProxyCommand=touch /tmp/owned", "ext::sh -c touch% x"),
    *("ssh://-oProxyCommand=x/a", "ssh://git@-oProxyCommand=x/a/b", "-u@host:a/b", "fd::17/x"),
    *("git://host/a", "ftp://host/a/b", "/etc", "./a", "../a", "a", "file:/etc", "host:a b/c"),
    *("https://user:secret@host/a/b", "https://host/a/b\nx", "git@host:--upload-pack=x y"),
    *("https://-host/a/b", "transport::address", "ssh://git@host/a b", "https://[/a/b"),
]


def test_s10_git_is_given_no_option_and_no_transport_of_others(
    shared_api: Api, tmp_path: Path
) -> None:
    places = Places(cache=str(tmp_path))
    assert not places.allow_file_urls
    for url in INJECTIONS:
        spec = {"name": "s10", "command": "true", "git_repositories": [{"url": url}]}
        answer = shared_api.request("PUT", "/api/recipes", json={"type": "job", "spec": spec})
        assert answer.status_code == 422, url
        with pytest.raises(StepFailed):
            parse(url, places)
    with pytest.raises(StepFailed, match="not permitted"):
        parse("file:///etc", places)
    for field, values in {
        "reference": ("--upload-pack=x", "-f", "a..b", "a b", "a\nb", "@{u}", "a:b", "a^{}", "*"),
        "path": ("../x", "/etc", "a/../../b", "~/x", ".", "a\\b"),
    }.items():
        for value in values:
            repository = {"url": "https://example.org/a/b", field: value}
            spec = {"name": "s10", "command": "true", "git_repositories": [repository]}
            answer = shared_api.request("PUT", "/api/recipes", json={"type": "job", "spec": spec})
            assert answer.status_code == 422, (field, value)


def test_s11_what_is_read_is_data_and_never_code_or_a_file(shared_api: Api, tmp_path: Path) -> None:
    owned = tmp_path / "owned"
    for text in (
        f"!!python/object/apply:os.system ['touch {owned}']",
        f"command: !!python/object/apply:subprocess.check_output [[touch, {owned}]]",
        "name: !!python/name:os.system",
    ):
        file = tmp_path / "recipe.yaml"
        file.write_text(text)
        with pytest.raises(RecipeError), file.open("rb") as opened:
            read_recipe(opened)
    for body in (b"\x80\x04N.", b"name: a\ncommand: b", b"<job/>", b"{'name': 'a'}", b"//x\n{}"):
        answer = shared_api.request("POST", "/api/jobs", data=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert not owned.exists()
    shared_api.apply(name="s11", command='echo "$said"', parameters={"said": ""})
    environment = clean_environment(
        tmp_path, RUNHOOK_URL=shared_api.server.url, RUNHOOK_TOKEN=shared_api.token
    )
    command = [sys.executable, "-m", "runhook", "start", "s11", "-f", "-p", "said=@/etc/passwd"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT)
    assert ended.stdout == "@/etc/passwd\n", ended.stderr


def open_stream(api: Api, path: str, session: requests.Session | None = None) -> Callable[[], None]:
    """Begin to read a stream; what is returned waits for its end, within a limit."""
    headers = {} if session else {"Authorization": f"token {api.token}"}
    asker = session or requests
    answer = asker.get(api.server.url + path, headers=headers, stream=True, timeout=LIMIT)
    assert answer.status_code == 200
    lines = answer.iter_lines()
    next(lines)
    ended = threading.Event()

    def drain() -> None:
        for _ in lines:
            pass
        ended.set()

    threading.Thread(target=drain, daemon=True).start()

    def wait() -> None:
        assert ended.wait(LIMIT), f"{path} outlives its credential"

    return wait


def test_s12_an_ended_credential_opens_nothing_and_its_streams_end(api: Api) -> None:
    job = api.apply(name="s12", command="echo begun; sleep 600")
    run = api.start(job)["id"]
    browser = Attacked(api)
    browser.sign_in()
    paths = ("/dash/live", f"/dash/runs/{run}/live", f"/api/runs/{run}/log?follow=1")
    theirs = [open_stream(api, path, browser.session) for path in paths]
    ours = [open_stream(api, path) for path in paths]
    kept = dict(browser.session.cookies)
    began = time.monotonic()
    assert browser.post("/dash/sign-out").status_code == 303
    for wait in theirs:
        wait()
    old = api.token
    api.token = api.request("POST", "/api/user/token").json()["token"]
    for wait in ours:
        wait()
    assert time.monotonic() - began < 10
    for path in (*paths, "/api/user", "/dash"):
        require_closed(ask(api.server, "GET", path, cookies=kept), path)
        gone = {"Authorization": f"token {old}"}
        assert ask(api.server, "GET", path, headers=gone).status_code in (303, 401)
    sent = {"token": old}
    assert browser.post("/dash/sign-in", data=sent).status_code == 401
    api.request("POST", f"/api/runs/{run}/cancel")


ESCAPES = (
    rb"\033]0;owned\007\033[2J\033[31mred\033[0m\033]52;c;ZWNobw==\007\033[6n\033Pq\033\\ \233c end"
)


def test_s15_escapes_are_kept_in_the_log_and_steer_no_terminal(
    shared_api: Api, tmp_path: Path
) -> None:
    _, run = a_run(shared_api, "s15", f"printf '{ESCAPES.decode()}'")
    raw = shared_api.request("GET", f"/api/runs/{run}/log").content
    assert raw.count(b"\x1b") == 8 and b"\x1b]0;owned\x07" in raw
    token = {"Authorization": f"token {shared_api.token}"}
    page = ask(shared_api.server, "GET", f"/dash/runs/{run}", headers=token).text
    log = page.partition('id="log"')[2].partition("</section>")[0]  # the command stands below
    assert "\x1b" not in page and "red" in log and "owned" not in log
    environment = clean_environment(
        tmp_path, RUNHOOK_URL=shared_api.server.url, RUNHOOK_TOKEN=shared_api.token
    )
    for more in ((), ("-f",)):
        command = [sys.executable, "-m", "runhook", "logs", run, *more]
        shown = on_a_terminal(command, environment)
        assert shown.count(b"\x1b") == 2 and b"\x1b[31mred\x1b[0m" in shown, shown
        assert b"owned" not in shown and b"\x9b" not in shown and b"end" in shown
    piped = subprocess.run(command[:-1], env=environment, capture_output=True, timeout=LIMIT)
    assert piped.stdout == raw


def on_a_terminal(command: list[str], environment: dict[str, str]) -> bytes:
    """What the command writes when its output is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, stdout=theirs, stderr=subprocess.DEVNULL, stdin=theirs, env=environment
    )
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 65536):
            shown += data
    except OSError:  # EIO: the other end is closed
        pass
    process.wait(LIMIT)
    os.close(ours)
    return shown


def test_s4_a_role_holds_at_every_door_and_not_in_the_pages_alone(
    shared_api: Api, tmp_path: Path
) -> None:
    """Every route against every role: tests/security/test_matrix.py."""
    job = shared_api.apply(name="not-theirs", owner="main/admin", command="true")
    viewer = shared_api.person("s4-viewer", {"main/admin": "viewer"})
    assert viewer.request("GET", f"/api/jobs/{job}").status_code == 200
    assert viewer.request("POST", f"/api/jobs/{job}/start").status_code == 403
    assert viewer.request("POST", f"/dash/resources/job/{job}/start").status_code == 403
    page = viewer.request("GET", f"/dash/resources/job/{job}").text
    assert f'action="/dash/resources/job/{job}/start"' not in page
    environment = clean_environment(
        tmp_path, RUNHOOK_URL=viewer.server.url, RUNHOOK_TOKEN=viewer.token
    )
    command = [sys.executable, "-m", "runhook", "start", job]
    started = subprocess.run(command, env=environment, capture_output=True, timeout=LIMIT)
    assert started.returncode == 1 and b"takes operator" in started.stderr
    assert shared_api.request("GET", f"/api/jobs/{job}/runs").json()["runs"] == []


def test_s13_a_secret_shows_in_nothing_that_a_run_leaves(shared_api: Api) -> None:
    """In every form and through notebooks: tests/stories/test_secrets.py."""
    value = "correct horse battery"
    secret = {"name": "s13", "value": value}
    assert shared_api.request("POST", "/api/secrets", json=secret).status_code == 201
    halves = "printf '%s' \"${SECRET:0:7}\"; sleep 0.2; printf '%s\\n' \"${SECRET:7}\""
    command = f'{halves}; echo "\\"$SECRET\\"" > $RUNHOOK_RESULT; echo "$SECRET" | base64; exit 3'
    attached = [{"location": "SECRET", "attachment_type": "environment_variable", "name": "s13"}]
    job = shared_api.apply(name="s13", command=command, secrets=attached)
    run = shared_api.finished(shared_api.start(job)["id"])
    log = shared_api.log(run["id"])
    assert log.splitlines()[0] == "***" and "Y29ycmVjdCBob3JzZS" not in log
    result = shared_api.request("GET", f"/api/runs/{run['id']}/result").text
    page = shared_api.request("GET", f"/dash/runs/{run['id']}").text
    definition = shared_api.request("GET", f"/api/jobs/{job}").text
    audit = shared_api.request("GET", "/api/audit/export").text
    for text in (log, result, page, definition, audit, str(run)):
        assert value not in text


def test_s14_what_keeps_runs_apart_is_on_and_said(shared_api: Api) -> None:
    """What each level holds, attacked: tests/security/test_hostile_jobs.py."""
    run = shared_api.finished(
        shared_api.start(shared_api.apply(name="s14", command="cat /proc/1/comm; id -u"))["id"]
    )
    (attempt,) = run["attempts"]  # type: ignore[misc]
    page = html.unescape(shared_api.request("GET", f"/dash/runs/{run['id']}").text)
    command = [sys.executable, "-m", "runhook", "doctor", "--json"]
    told = subprocess.run(
        [*command, "--data", str(shared_api.server.data)],
        env=shared_api.server.environment,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert attempt["isolation"] in page and attempt["isolation"] in told
    if "bubblewrap" in attempt["isolation"] and "own user" in attempt["isolation"]:
        first, user = shared_api.log(run["id"]).split()
        assert first == "bwrap" and int(user) >= 0x70000000


def test_every_row_has_its_test() -> None:
    names = {name for name in globals() if name.startswith("test_s")}
    assert {int(name.split("_")[1][1:]) for name in names} == set(range(1, 16))
