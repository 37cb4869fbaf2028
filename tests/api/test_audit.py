"""Every changing route leaves its entry in the audit log; who may read them, and how."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from runhook.api.audit import COLUMNS, _cell
from runhook.api.call import PUBLIC, Route
from runhook.api.routes import ROUTES
from tests.api.hook_sender import Hook
from tests.conftest import Api, MakeServer, _maker

SECRET = "xyzzy-never-in-the-log"
HOST_KEY = (
    "example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
)
CHANGING = [each for each in ROUTES if each.method != "GET" and each.action != PUBLIC]


@dataclass
class World:
    """A server, and what its calls need to be there first."""

    api: Api
    count: int = 0

    def job(self, **more: object) -> str:
        self.count += 1
        variables = {"TOKEN": SECRET}
        spec = {"name": f"audited-{self.count}", "command": "true", **more}
        return self.api.apply(environment_variables=variables, **spec)

    def run(self) -> str:
        return str(self.api.start(self.job())["id"])

    def finished(self) -> str:
        run = self.run()
        self.api.finished(run)
        return run

    def waiting(self) -> str:
        """A run that is there to be cancelled."""
        return str(self.api.start(self.job(command="sleep 600"))["id"])

    def named_run(self) -> str:
        """A job and its run, which waits to be cancelled."""
        run = self.waiting()
        return f"{self.api.run(run)['job_id']}/{run}"

    def pinned(self) -> str:
        run = self.finished()
        assert self.api.request("POST", f"/api/runs/{run}/pin").status_code == 200
        return run

    def token(self) -> str:
        answer = self.api.request("POST", "/api/tokens", json={"description": "audited"})
        return str(answer.json()["id"])

    def somebody(self) -> str:
        self.count += 1
        name = f"person-{self.count}"
        answer = self.api.request("POST", "/api/users", json={"username": name})
        return str(answer.json()["id"])

    def group(self) -> str:
        self.count += 1
        answer = self.api.request("POST", "/api/groups", json={"groupname": f"group-{self.count}"})
        return str(answer.json()["id"])

    def of_group(self) -> str:
        return f"{self.group()}/{self.somebody()}"

    def member_of_group(self) -> str:
        group, user = self.of_group().split("/")
        path = f"/api/groups/{group}/members/{user}"
        assert self.api.request("PUT", path, json={"role": "viewer"}).ok
        return f"{group}/{user}"

    def group_for(self, name: str, *, member: bool = False) -> str:
        """A group, and somebody of that name, perhaps in it."""
        assert self.api.request("POST", "/api/users", json={"username": name}).ok
        group = self.group()
        path = f"/api/groups/{group}/members/{name}"
        assert not member or self.api.request("PUT", path, json={"role": "viewer"}).ok
        return group

    def member(self) -> str:
        user = self.somebody()
        assert self.api.request("PUT", f"/api/user/members/{user}", json={"role": "viewer"}).ok
        return user

    def session(self) -> str:
        body = {"username": "admin", "password": self.api.token}
        url = f"{self.api.server.url}/api/auth/login"
        signed_in = requests.post(
            url, json=body, headers={"Origin": self.api.server.url}, timeout=20
        )
        assert signed_in.ok, signed_in.text
        found = self.api.request("GET", "/api/user/sessions").json()["sessions"]
        return str(found[0]["id"])

    def credential(self) -> str:
        body = {**CREDENTIAL, "name": f"audited-{self.count}"}
        self.count += 1
        answer = self.api.request("POST", "/api/git/credentials", json=body)
        return str(answer.json()["id"])

    def secret(self) -> str:
        self.count += 1
        body = {"name": f"audited-{self.count}", "value": SECRET}
        return str(self.api.request("POST", "/api/secrets", json=body).json()["id"])

    def attachment(self) -> str:
        """The id of a job, and that of what it has attached."""
        job = self.job()
        body = {"location": "X", "secret_id": self.secret()}
        made = self.api.request("POST", f"/api/jobs/{job}/secrets", json=body)
        return f"{job}/{made.json()['id']}"

    def private_key(self) -> str:
        self.count += 1
        body = {"name": f"key-{self.count}"}
        return str(self.api.request("POST", "/api/ssh_private_keys", json=body).json()["id"])

    def repository(self) -> str:
        self.count += 1
        body = {"remote_url": f"git@example.org:acme/audited-{self.count}.git"}
        return str(self.api.request("POST", "/api/external_repos", json=body).json()["id"])

    def keyed_repository(self) -> str:
        """A repository that names a key."""
        self.count += 1
        url = f"git@example.org:acme/audited-{self.count}.git"
        body = {"remote_url": url, "ssh_privatekey_id": self.private_key()}
        return str(self.api.request("POST", "/api/external_repos", json=body).json()["id"])

    def checked_out(self) -> str:
        """The id of what a job checks out."""
        job = self.job(git_repositories=[{"url": "https://example.org/acme/audited.git"}])
        path = f"/api/external_repo_attachments?job_id={job}"
        found = self.api.request("GET", path).json()["external_repo_attachments"]
        return str(found[0]["id"])

    def host(self) -> str:
        answer = self.api.request("POST", "/api/git/hosts", json={"line": HOST_KEY})
        return str(answer.json()["id"])


CREDENTIAL = {
    "name": "audited",
    "kind": "token",
    "url_prefix": "https://example.org/",
    "value": SECRET,
}
SPEC = {"name": "audited", "command": "true", "environment_variables": {"TOKEN": SECRET}}


@dataclass(frozen=True)
class Case:
    """A call that succeeds (`made` gives the path's ids, with slashes between them), and the entry
    that it leaves."""

    action: str
    made: Callable[[World], str] = lambda _: ""
    body: object = None
    owner: str = "main/admin"  # a pattern

    @property
    def kind(self) -> str:
        return self.action.partition(".")[0]


SOMEBODY, GROUP = r"main/person-\d+", r"main/group-\d+"
CASES: dict[tuple[str, str], Case] = {
    ("POST", "/api/user/token"): Case("token.rotated"),
    ("POST", "/api/user/sign-in-link"): Case("link.made", body={}),
    ("POST", "/api/jobs"): Case("job.created", body={**SPEC, "name": "by-post"}),
    ("PATCH", "/api/jobs/{job_id}"): Case(
        "job.changed", World.job, {"environment_variables": {"TOKEN": SECRET + "2"}}
    ),
    ("DELETE", "/api/jobs/{job_id}"): Case("job.deleted", World.job),
    ("POST", "/api/jobs/{job_id}/start"): Case("run.started", World.job),
    ("POST", "/api/jobs/{job_id}/stop"): Case(
        "run.cancelled", lambda w: str(w.api.run(w.waiting())["job_id"])
    ),
    ("POST", "/api/jobs/{job_id}/restart"): Case("run.started", World.job),
    ("POST", "/api/jobs/{job_id}/stop/{run_name}"): Case("run.cancelled", World.named_run),
    ("POST", "/api/jobs/{job_id}/schedule"): Case(
        "job.resumed", lambda w: w.job(schedule="@yearly")
    ),
    ("POST", "/api/jobs/{job_id}/unschedule"): Case(
        "job.paused", lambda w: w.job(schedule="@yearly")
    ),
    ("POST", "/api/jobs/{job_id}/backfill"): Case(
        "run.started",
        lambda w: w.job(schedule="0 0 * * *"),
        {"from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"},
    ),
    ("PUT", "/api/recipes"): Case("job.created", body={"type": "job", "spec": SPEC}),
    ("POST", "/api/recipes"): Case(
        "job.created", body={"type": "job", "spec": {**SPEC, "name": "by-posted-recipe"}}
    ),
    ("POST", "/api/runs/{run_id}/cancel"): Case("run.cancelled", World.waiting),
    ("POST", "/api/runs/{run_id}/replay"): Case("run.started", World.finished),
    ("POST", "/api/runs/{run_id}/pin"): Case("run.pinned", World.finished),
    ("POST", "/api/runs/{run_id}/unpin"): Case("run.unpinned", World.pinned),
    ("POST", "/api/git/credentials"): Case("git-credential.added", body=CREDENTIAL),
    ("DELETE", "/api/git/credentials/{credential_id}"): Case(
        "git-credential.deleted", World.credential
    ),
    ("POST", "/api/ssh_private_keys"): Case("git-credential.added", body={"name": "posted-key"}),
    ("PATCH", "/api/ssh_private_keys/{ssh_privatekey_id}"): Case(
        "git-credential.changed", World.private_key, {"is_default": True}
    ),
    ("DELETE", "/api/ssh_private_keys/{ssh_privatekey_id}"): Case(
        "git-credential.deleted", World.private_key
    ),
    ("POST", "/api/external_repos"): Case(
        "repository.added", body={"remote_url": "https://example.org/acme/posted.git"}
    ),
    ("PATCH", "/api/external_repos/{external_repo_id}"): Case(
        "repository.changed", World.keyed_repository, {"ssh_privatekey_id": None}
    ),
    ("DELETE", "/api/external_repos/{external_repo_id}"): Case(
        "repository.deleted", World.repository
    ),
    ("PATCH", "/api/external_repo_attachments/{external_repo_attachment_id}"): Case(
        "job.changed", World.checked_out, {"ref": "main"}
    ),
    ("DELETE", "/api/external_repo_attachments/{external_repo_attachment_id}"): Case(
        "job.changed", World.checked_out
    ),
    ("POST", "/api/git/hosts"): Case(
        "host-key.confirmed",
        body={"line": HOST_KEY.replace("example.org", "other.example.org")},
        owner="",
    ),
    ("DELETE", "/api/git/hosts/{host_id}"): Case("host-key.forgotten", World.host, owner=""),
    ("PATCH", "/api/user"): Case("user.changed", body={"full_name": "Ada"}),
    ("POST", "/api/user/password"): Case("password.changed", body={"new": SECRET}),
    ("DELETE", "/api/user/sessions"): Case("session.ended", lambda w: w.session()),
    ("DELETE", "/api/user/sessions/{session_id}"): Case("session.ended", World.session),
    ("POST", "/api/users"): Case(
        "user.created", body={"username": "invited"}, owner="main/invited"
    ),
    ("PATCH", "/api/users/{user_id}"): Case(
        "user.changed", World.somebody, {"full_name": "Bob"}, SOMEBODY
    ),
    ("DELETE", "/api/users/{user_id}"): Case("user.deleted", World.somebody, None, SOMEBODY),
    ("POST", "/api/users/{user_id}/reset-link"): Case("link.made", World.somebody, None, SOMEBODY),
    ("POST", "/api/groups"): Case(
        "group.created", body={"groupname": "recorded"}, owner="main/recorded"
    ),
    ("PATCH", "/api/groups/{group_id}"): Case(
        "group.changed", World.group, {"description": "x"}, GROUP
    ),
    ("DELETE", "/api/groups/{group_id}"): Case("group.deleted", World.group, None, GROUP),
    ("PUT", "/api/groups/{group_id}/members/{user_id}"): Case(
        "member.set", World.of_group, {"role": "viewer"}, GROUP
    ),
    ("DELETE", "/api/groups/{group_id}/members/{user_id}"): Case(
        "member.removed", World.member_of_group, None, GROUP
    ),
    ("POST", "/api/groups/{group_id}/members"): Case(
        "member.set", lambda w: w.group_for("joins"), {"user_id": "joins"}, GROUP
    ),
    ("DELETE", "/api/groups/{group_id}/members"): Case(
        "member.removed", lambda w: w.group_for("leaves", member=True), {"user_id": "leaves"}, GROUP
    ),
    ("PUT", "/api/user/members/{user_id}"): Case("member.set", World.somebody, {"role": "viewer"}),
    ("DELETE", "/api/user/members/{user_id}"): Case("member.removed", World.member),
    ("POST", "/api/tokens"): Case("token.created", body={"description": "audited"}),
    ("PATCH", "/api/tokens/{api_token_id}"): Case(
        "token.changed", World.token, {"description": "by another name"}
    ),
    ("DELETE", "/api/tokens/{api_token_id}"): Case("token.revoked", World.token),
    ("POST", "/api/jobs/{job_id}/token"): Case("job.token-rotated", World.job),
    ("PATCH", "/api/jobs/{job_id}/token"): Case("job.changed", World.job, {"scope": "runs:read"}),
    ("POST", "/api/secrets"): Case("secret.added", body={"name": "audited", "value": SECRET}),
    ("PATCH", "/api/secrets/{secret_id}"): Case("secret.changed", World.secret, {"value": SECRET}),
    ("DELETE", "/api/secrets/{secret_id}"): Case("secret.deleted", World.secret),
    ("POST", "/api/jobs/{job_id}/secrets"): Case(
        "job.changed",
        World.job,
        {"location": "X", "secret": {"name": "audited-with-a-job", "value": SECRET}},
    ),
    ("PATCH", "/api/jobs/{job_id}/secrets/{secret_attachment_id}"): Case(
        "job.changed", World.attachment, {"description": "another"}
    ),
    ("DELETE", "/api/jobs/{job_id}/secrets/{secret_attachment_id}"): Case(
        "job.changed", World.attachment
    ),
    ("POST", "/api/retention/prune"): Case("retention.pruned", owner=""),
}
KIND = dict.fromkeys(("token.rotated", "link.made", "password.changed", "session.ended"), "user")
"""Kinds of things whose actions are called after something else."""
UNRECORDED = {
    (
        "POST",
        "/api/git/hosts/{host_id}/confirm",
    ): "needs a key that an ssh host showed to a runner: tests/services/test_git_access.py",
    ("POST", "/api/repositories/inspect"): "needs a repository: tests/api/test_inspections.py",
    (
        "POST",
        "/api/external_repo_attachments",
    ): "names its job in the body: tests/saturn_api/test_repositories.py",
    **dict.fromkeys(
        (
            ("POST", "/api/orgs/{org_id}/members"),
            ("PATCH", "/api/user/preferences"),
            ("POST", "/api/user/preferences"),
        ),
        "changes nothing: there is one organisation, and everybody with an account is in it",
    ),
    ("POST", "/api/runs/{run_id}/release"): "needs a held kernel: tests/stories/test_held.py",
}
"""Changing routes whose entry is looked for elsewhere, or that rightly leave none, and why."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[World]:
    """A server for these tests alone: one of them replaces the user token."""
    for make in _maker(tmp_path_factory.mktemp("audit"), shared_cache):
        server = make().start()
        yield World(Api(server, server.token()))


def entries(api: Api, **query: object) -> list[dict[str, object]]:
    answer = api.request("GET", "/api/audit", params={"page_size": 1000, **query})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["entries"])


@pytest.mark.parametrize("route", CHANGING, ids=lambda route: f"{route.method} {route.path}")
def test_every_changing_route_leaves_an_entry(world: World, route: Route) -> None:
    key = (route.method, route.path)
    if key in UNRECORDED:
        assert key not in CASES
        return
    assert key in CASES, f"{key} changes something: write a case of how it is recorded"
    case, api = CASES[key], world.api
    ids = iter(case.made(world).split("/"))
    path = re.sub(r"\{\w+\}", lambda _: next(ids), route.path)
    newest = entries(api)[0]["id"]
    answer = api.request(route.method, path, json=case.body)
    assert answer.status_code == route.status, answer.text
    if case.action == "token.rotated":
        api.token = answer.json()["token"]
    new = [each for each in entries(api) if each["id"] > newest]  # type: ignore[operator]
    mine = [each for each in new if each["action"] == case.action]
    assert len(mine) == 1, new
    entry = mine[0]
    assert entry["kind"] == KIND.get(case.action, case.kind)
    assert re.fullmatch(case.owner, str(entry["owner"]))
    assert (entry["user_name"], entry["via"]) == ("admin", "user token")
    assert entry["address"] == "127.0.0.1"
    assert entry["object_name"]
    assert entry["before"] or entry["after"] or case.action in WITHOUT_FACTS, entry
    if "{" in path or "{" in route.path:
        assert str(entry["object_id"]) in (path.split("/")[3:]) or (
            entry["kind"] in ("run", "member") or case.kind == "session" or "attachment" in path
            # by another id
        )


WITHOUT_FACTS = {
    *("token.rotated", "job.token-rotated", "job.paused", "job.resumed"),
    *("run.cancelled", "run.pinned", "run.unpinned"),
}


def test_no_case_is_for_a_route_that_is_gone() -> None:
    assert set(CASES) | set(UNRECORDED) == {(each.method, each.path) for each in CHANGING}


def test_the_log_holds_no_secret(world: World) -> None:
    """After every changing route was called: tests above run first."""
    world.job()
    exported = world.api.request("GET", "/api/audit/export").text
    assert "TOKEN" in exported
    link = world.api.request("POST", "/api/user/sign-in-link", json={}).json()["url"]
    exported = world.api.request("GET", "/api/audit/export").text
    secret_link = re.search(r"link=([^&]+)", link)
    assert secret_link
    for secret in (SECRET, world.api.token, secret_link[1]):
        assert secret not in exported
    assert not re.search(r"rhr_[0-9a-f]{8}", exported)


def test_a_start_that_was_answered_before_leaves_one_entry(world: World) -> None:
    job, key = world.job(), {"Idempotency-Key": "once"}
    runs = {world.api.start(job, headers=key)["id"] for _ in range(3)}
    assert len(runs) == 1
    assert len(entries(world.api, object=runs.pop())) == 1


def test_a_refused_change_leaves_none(world: World) -> None:
    job = world.job()
    before = entries(world.api)[0]["id"]
    answers = [
        world.api.request("PATCH", f"/api/jobs/{job}", json={"no_such_field": 1}),
        world.api.request("POST", f"/api/jobs/{job}/start", json={"parameters": {"x": 1}}),
        world.api.request("POST", "/api/jobs", json={"name": "audited-1", "command": "true"}),
    ]
    assert [answer.status_code for answer in answers] == [422, 422, 409]
    assert entries(world.api)[0]["id"] == before


def test_what_starts_by_itself_says_by_what(world: World) -> None:
    """A schedule, another job's success, a run's own token; and what is replaced is cancelled."""
    api = world.api
    first = world.job(name="cause", command="true")
    follower = world.job(name="effect", triggers=[{"after": "cause"}])
    run = api.finished(api.start(first)["id"])
    listed = api.request("GET", f"/api/jobs/{follower}/runs").json()["runs"]
    (entry,) = entries(api, object=listed[0]["id"])
    assert (entry["user_name"], entry["via"], entry["user_id"]) == ("another job",) * 2 + (None,)
    assert entry["after"] == {"trigger": "job", "caused_by": run["id"]}

    own = world.job(
        name="own-token",
        command=(
            'curl -sf -X POST -H "Authorization: token $RUNHOOK_TOKEN" '
            f'"$RUNHOOK_URL/api/jobs/{first}/start"'
        ),
    )
    starter = api.finished(api.start(own)["id"])
    assert starter["state"] == "succeeded", api.log(starter["id"])
    entry = entries(api, kind="run", action="run.started", text="cause")[0]
    assert (entry["user_name"], entry["via"]) == ("run 1 of own-token", "run token")

    replaced = world.job(name="replaced", command="sleep 600", overlap="replace")
    old = api.start(replaced)["id"]
    new = api.start(replaced)["id"]
    (cancelled,) = entries(api, object=old, action="run.cancelled")
    assert cancelled["after"] == {"reason": "replaced by a newer run"}
    api.request("DELETE", f"/api/jobs/{replaced}?allow_active=true")
    (cancelled,) = entries(api, object=new, action="run.cancelled")
    assert cancelled["after"] == {"reason": "its job was deleted"}


def test_pages_of_entries_lead_on_and_back(world: World) -> None:
    def page(**key: str) -> dict[str, object]:
        answer = world.api.request("GET", "/api/audit", params={"page_size": 2, **key})
        return dict(answer.json())

    first = page()
    second = page(next_key=str(first["next_key"]))
    back = page(prev_key=str(second["prev_key"]))
    assert back["entries"] == first["entries"]
    assert first["prev_key"] is None
    for key in ("bm8=", "WyJ4IiwieCJd", "WzEuNSwieCJd", "W3RydWUsIngiXQ==", "Wy0xLCJ4Il0="):
        answer = world.api.request("GET", "/api/audit", params={"next_key": key})
        assert answer.status_code == 422, key


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("", {"from": "yesterday"}),
        ("", {"until": "2026-01-31T12:00:00"}),
        ("", {"from": "0001-01-01T00:00:00+14:00"}),
        ("/export", {"format": "xlsx"}),
        ("/export", {"until": "9999-12-31T23:59:59-14:00"}),
    ],
)
def test_a_filter_that_cannot_be_read_is_told(
    world: World, path: str, query: dict[str, str]
) -> None:
    answer = world.api.request("GET", f"/api/audit{path}", params=query)
    assert answer.status_code == 422
    assert list(answer.json()["details"]) == [next(iter(query))]


def test_the_exports_hold_every_entry_oldest_first(world: World) -> None:
    world.api.apply(name="formulas", command="true", description='=HYPERLINK("http://x","y")')
    lines = world.api.request("GET", "/api/audit/export").text.splitlines()
    told = [json.loads(line) for line in lines]
    assert told == entries(world.api)[::-1]
    text = world.api.request("GET", "/api/audit/export", params={"format": "csv"})
    assert text.headers["Content-Disposition"].endswith('"audit.csv"')
    rows = list(csv.DictReader(io.StringIO(text.text)))
    assert list(rows[0]) == list(COLUMNS)
    assert [int(row["id"]) for row in rows] == [each["id"] for each in told]
    assert json.loads(rows[-1]["after"]) == told[-1]["after"]
    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_a_cell_that_would_be_a_formula_is_text() -> None:
    for text in ("=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1"):
        assert _cell(text) == "'" + text
    assert [_cell(each) for each in ("a=1", None, {"a": 1}, 5)] == ["a=1", "", '{"a": 1}', "5"]


def test_head_and_foreign_methods_change_nothing(world: World) -> None:
    assert world.api.request("HEAD", "/api/audit").status_code == 200
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert world.api.request(method, "/api/audit").status_code == 405
    assert requests.get(world.api.server.url + "/dash/audit", timeout=20).url.endswith(
        "/dash/sign-in?next=%2Fdash%2Faudit"
    )


def test_a_webhooks_start_says_which_and_from_where(world: World) -> None:
    api = world.api
    job = api.apply(name="hooked", command="true", triggers=[{"webhook": "pushed"}])
    listed = api.request("GET", f"/api/jobs/{job}/webhooks").json()["webhooks"][0]
    hook = Hook(api, job, "generic", listed["url"], listed["secret"])
    answer = requests.post(hook.url, data=b"{}", headers=hook.headers(b"{}"), timeout=20)
    assert answer.status_code == 202, answer.text
    (entry,) = entries(api, object=answer.json()["run"]["id"])
    assert (entry["user_name"], entry["via"]) == ("webhook pushed", "webhook")
    assert entry["address"] == "127.0.0.1"
    assert entry["after"] == {"trigger": "webhook"}


@pytest.mark.parametrize(("proxies", "told"), [("", "127.0.0.1"), ("127.0.0.1", "192.0.2.77")])
def test_a_forwarded_address_is_believed_of_a_named_proxy_only(
    make_server: MakeServer, proxies: str, told: str
) -> None:
    server = make_server(RUNHOOK_SERVER_PROXIES=proxies).start()
    api = Api(server, server.token())
    headers = {"X-Forwarded-For": "192.0.2.77", "X-Forwarded-Proto": "https"}
    made = api.request("POST", "/api/tokens", json={"description": "from afar"}, headers=headers)
    assert made.status_code == 201
    entries = api.request("GET", "/api/audit").json()["entries"]
    (entry,) = (each for each in entries if each["action"] == "token.created")
    assert entry["address"] == told
