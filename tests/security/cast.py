"""The cast of the access tests: people with each role on a group's things, and things of every kind
for every owner, made where a call needs them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import requests

from runhook.model.access import Role
from runhook.model.people import organization_id
from tests.conftest import Api

GROUP = "main/crew"
FOREIGN = "main/elsewhere"
HOST_KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
JOB, RUN = "/dash/resources/job/{job_id}", "/dash/runs/{run_id}"
number = count(1)


@dataclass
class Cast:
    """`people` by role, each with a role of that name on the group's things and none elsewhere."""

    admin: Api
    people: dict[str, Api] = field(default_factory=dict)
    known: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def of(cls, admin: Api) -> "Cast":
        admin.person("outsider", {FOREIGN: "admin"})
        people = {str(role): admin.person(f"the-{role}", {GROUP: str(role)}) for role in Role}
        return cls(admin, people)

    def own(self, role: str) -> str:
        """The owner that the person with that role is."""
        return f"main/the-{role}"

    def path(self, template: str, owner: str) -> str:
        """The address with things of that owner in it: new ones, where a call may use them up."""
        made = self._attached(owner) if "secret_attachment_id" in template else {}
        made |= self._running(owner) if "run_name" in template else {}

        def thing(found: re.Match[str]) -> str:
            return made.get(found[1]) or self.thing(found[1], owner)

        return re.sub(r"\{(\w+)(?::\w+)?\}", thing, template)

    def thing(self, kind: str, owner: str) -> str:
        """The id of a new thing of that kind; for one that is only looked at, the same again."""
        if kind not in SHARED:
            return str(getattr(self, f"_{kind}")(owner))
        key = (kind, owner)
        if key not in self.known:
            self.known[key] = str(getattr(self, f"_{kind}")(owner))
        return self.known[key]

    def _done(self, method: str, path: str, body: object) -> Any:
        answer = self.admin.request(method, path, json=body)
        assert answer.ok, answer.text
        return answer.json()

    def _job_id(self, owner: str) -> str:
        name = f"job-{next(number)}"
        return self.admin.apply(
            name=name, owner=owner, command="true", schedule="@yearly", parameters={"x": 1}
        )

    def _other_id(self, owner: str) -> str:
        """Another run to compare with: the very same will do."""
        return self.thing("run_id", owner)

    def _run_id(self, owner: str) -> str:
        run = self.admin.start(self._job_id(owner))["id"]
        self.admin.finished(run)
        return str(run)

    def _name(self, owner: str) -> str:
        name = f"job-{next(number)}"
        self.admin.apply(name=name, owner=owner, command="true")
        return f"{name}?owner_name={owner}"

    def _recipe_type(self, owner: str) -> str:
        return "job"

    def _path(self, owner: str) -> str:
        return "nothing"

    def _credential_id(self, owner: str) -> str:
        return str(self._done("POST", "/api/git/credentials", credential(owner))["id"])

    def _ssh_privatekey_id(self, owner: str) -> str:
        body = {"name": f"k-{next(number)}", "identity": owner}
        return str(self._done("POST", "/api/ssh_private_keys", body)["id"])

    def _external_repo_id(self, owner: str) -> str:
        body = {"remote_url": f"https://example.org/{next(number)}.git", "owner": owner}
        return str(self._done("POST", "/api/external_repos", body)["id"])

    def _external_repo_attachment_id(self, owner: str) -> str:
        job, repo = self._job_id(owner), self._external_repo_id(owner)
        body = {"external_repo_id": repo, "resource": {"job_id": job}}
        return str(self._done("POST", "/api/external_repo_attachments", body)["id"])

    def body(self, method: str, path: str, owner: str) -> Any:
        """What a call says, also about things that it names in its body alone."""
        if (method, path) == ("POST", "/api/external_repo_attachments"):
            repo = self._external_repo_id(owner)
            return {"external_repo_id": repo, "resource": {"job_id": self._job_id(owner)}}
        return body_of(method, path, owner)

    def _secret_id(self, owner: str) -> str:
        return str(self._done("POST", "/api/secrets", secret(owner))["id"])

    def _attached(self, owner: str) -> dict[str, str]:
        job = self._job_id(owner)
        body = {"location": "X", "secret": {"name": f"s-{next(number)}", "value": "a long value"}}
        made = self._done("POST", f"/api/jobs/{job}/secrets", body)
        return {"job_id": job, "secret_attachment_id": made["id"]}

    def _running(self, owner: str) -> dict[str, str]:
        job = self._job_id(owner)
        return {"job_id": job, "run_name": str(self.admin.start(job)["id"])}

    def _pod_name(self, owner: str) -> str:
        run = self._run_id(owner)
        job = self.admin.run(run)["job_id"]
        history = self.admin.request("GET", f"/api/jobs/{job}/history").json()
        return str(history["pods"][0]["pod_name"])

    def _org_id(self, owner: str) -> str:
        return organization_id("main")

    def _group_id(self, owner: str) -> str:
        self._job_id(owner)  # a group that owns something cannot be deleted under the other tests
        return owner.rpartition("/")[2]

    def _user_id(self, owner: str) -> str:
        name = f"somebody-{next(number)}"
        self._done("POST", "/api/users", {"username": name})
        if owner in (GROUP, FOREIGN):
            path = f"/api/groups/{owner.rpartition('/')[2]}/members/{name}"
            self._done("PUT", path, {"role": "viewer"})
        else:
            person = self.people[owner.removeprefix("main/the-")]
            path = f"/api/user/members/{name}"
            assert person.request("PUT", path, json={"role": "viewer"}).ok
        return name

    def _host_id(self, owner: str) -> str:
        line = f"h{next(number)}.example.org ssh-ed25519 {HOST_KEY}"
        return str(self._done("POST", "/api/git/hosts", {"line": line})["id"])


SHARED = frozenset({"run_id", "group_id", "pod_name"})
"""Kinds of which no call uses one up."""


def credential(owner: str) -> dict[str, str]:
    name = f"c-{next(number)}"
    prefix = "https://example.org/"
    return {"name": name, "owner": owner, "kind": "token", "url_prefix": prefix, "value": "v" * 9}


def secret(owner: str) -> dict[str, Any]:
    return {"name": f"s-{next(number)}", "owner": {"name": owner}, "value": "a long value"}


def body_of(method: str, path: str, owner: str) -> Any:
    """What a call says that could succeed for those who may."""
    new = next(number)
    spec = {"name": f"job-{new}", "owner": owner, "command": "true"}
    bodies: dict[tuple[str, str], Any] = {
        ("POST", "/api/jobs"): spec,
        ("PATCH", "/api/jobs/{job_id}"): {"description": f"changed {new}"},
        ("PUT", "/api/recipes"): {"type": "job", "spec": spec},
        ("POST", "/api/recipes"): {"type": "job", "spec": spec},
        ("POST", "/api/jobs/{job_id}/backfill"): {
            "from": "2026-01-01T00:00:00Z",
            "until": "2026-01-01T00:00:01Z",
        },
        ("POST", "/api/git/credentials"): credential(owner),
        ("POST", "/api/git/hosts"): {"line": f"h{new}.example.org ssh-ed25519 {HOST_KEY}"},
        ("POST", "/api/secrets"): secret(owner),
        ("POST", "/api/repositories/inspect"): {"url": "file:///none/such.git", "owner": owner},
        ("POST", "/api/external_repos"): {
            "remote_url": f"https://example.org/{new}.git",
            "owner": owner,
        },
        ("PATCH", "/api/external_repos/{external_repo_id}"): {"ssh_privatekey_id": None},
        ("PATCH", "/api/external_repo_attachments/{external_repo_attachment_id}"): {"ref": "x"},
        ("POST", "/api/ssh_private_keys"): {"name": f"k-{new}", "identity": owner},
        ("PATCH", "/api/ssh_private_keys/{ssh_privatekey_id}"): {"name": f"k-{new}"},
        ("PATCH", "/api/secrets/{secret_id}"): {"value": "another long value"},
        ("POST", "/api/jobs/{job_id}/secrets"): {
            "location": "X",
            "secret": {"name": f"s-{new}", "value": "a long value"},
        },
        ("PATCH", "/api/jobs/{job_id}/secrets/{secret_attachment_id}"): {"description": "x"},
        ("PATCH", "/api/jobs/{job_id}/token"): {"scope": "runs:read"},
        ("POST", "/api/users"): {"username": f"new-{new}"},
        ("PATCH", "/api/users/{user_id}"): {"full_name": "Ada"},
        ("POST", "/api/groups"): {"groupname": f"group-{new}"},
        ("PATCH", "/api/groups/{group_id}"): {"description": f"changed {new}"},
        ("PUT", "/api/groups/{group_id}/members/{user_id}"): {"role": "viewer"},
        ("POST", "/api/groups/{group_id}/members"): {"user_id": "admin"},
        ("POST", "/api/orgs/{org_id}/members"): {"user_id": "admin"},
        ("PUT", "/api/user/members/{user_id}"): {"role": "viewer"},
    }
    return bodies.get((method, path))


def form_of(cast: Cast, path: str, owner: str) -> dict[str, str]:
    """What is typed into the form that goes to that page, for things of that owner: what could
    succeed for those who may."""
    new = next(number)
    forms: dict[str, dict[str, str]] = {
        "/dash/jobs/new": {"name": f"job-{new}", "owner": owner, "command": "true"},
        f"{JOB}/pause": {"paused": "yes"},
        f"{JOB}/backfill": {"from": "2026-01-01T00:00", "until": "2026-01-01T00:01"},
        f"{JOB}/edit": {"name": f"job-{new}", "command": "true", "overlap": "allow"},
        f"{RUN}/pin": {"pinned": "yes"},
        f"{JOB}/secrets": {"location": "X", "name": f"s-{new}", "value": "a long value"},
        "/dash/git/credentials": {
            name: text for name, text in credential(owner).items() if name != "owner"
        },
        "/dash/secrets": {"name": f"s-{new}", "owner": owner, "value": "a long value"},
        "/dash/secrets/{secret_id}": {"value": "another long value"},
        "/dash/people/users": {"username": f"new-{new}"},
        "/dash/people/users/{user_id}": {"do": "disable"},
        "/dash/people/groups": {"groupname": f"group-{new}"},
        "/dash/people/groups/{group_id}": {"description": f"changed {new}"},
    }
    if path == "/dash/runs/cancel":
        return {"run": cast.thing("run_id", owner)}
    if path.endswith("/members"):
        return {"name": cast.thing("user_id", owner), "role": "viewer"}
    return forms.get(path, {})


def status_of(caller: Api, method: str, path: str, body: object) -> int:
    """The status of a call, without waiting for what is streamed."""
    with caller.request(method, path, json=body, stream=True, allow_redirects=False) as answer:
        return answer.status_code


def sessions_of(caller: Api) -> requests.Session:
    """A browser that the caller has signed in."""
    session = requests.Session()
    url = f"{caller.server.url}/dash/sign-in"
    headers = {"Origin": caller.server.url}
    answer = session.post(url, data={"token": caller.token}, headers=headers, timeout=20)
    assert answer.ok, answer.text
    return session


@dataclass(frozen=True)
class Browser:
    """Somebody who is signed in and sends the forms that pages send."""

    url: str
    session: requests.Session
    csrf: str

    @classmethod
    def of(cls, caller: Api) -> "Browser":
        session, url = sessions_of(caller), caller.server.url
        token = re.search(
            r'name="csrf" value="([0-9a-f]+)"', session.get(f"{url}/dash", timeout=20).text
        )
        assert token
        return cls(url, session, token[1])

    def status(self, method: str, path: str, form: Mapping[str, str | list[str]]) -> int:
        """The status of a page, without waiting for what is streamed."""
        typed = {"csrf": self.csrf, **form} if method == "POST" else None
        with self.session.request(
            method,
            self.url + path,
            data=typed,
            headers={"Origin": self.url},
            allow_redirects=False,
            stream=True,
            timeout=20,
        ) as answer:
            return answer.status_code

    def text(self, path: str) -> str:
        return self.session.get(self.url + path, timeout=20).text
