"""The Python client: every call of the API as a method.

from runhook.cli.client import Client

with Client("http://127.0.0.1:8900", token) as client:
    run = client.start("my-job", parameters={"region": "north"})
    for data in client.follow(run["id"]):
        print(data, end="")
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx2

TIMEOUT_SECONDS = 60.0
LONGEST_WAIT = 300
NOT_FOUND = 404
ENDED = ("succeeded", "failed", "cancelled", "timed_out", "lost", "skipped")
Json = dict[str, Any]


class ClientError(Exception):
    """The server said no, or nothing. `hint` says what to do; `details` names wrong fields."""

    def __init__(
        self, message: str, hint: str = "", details: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = dict(details or {})


class Client:
    """A signed-in caller of one server. Every method raises ClientError if it cannot be done."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self._http = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"token {token}", "X-Runhook-Trigger": "cli"},
            timeout=TIMEOUT_SECONDS,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def user(self) -> Json:
        """The account behind the token."""
        return self._ask("GET", "/api/user")

    def apply(self, recipe: Mapping[str, Any]) -> Json:
        """Create or change the job of a recipe: the recipe with its `state`."""
        return self._ask("PUT", "/api/recipes", json=dict(recipe))

    def jobs(self, name: str = "") -> Iterator[Json]:
        """Jobs by name; `name` is a part of the names wanted."""
        yield from self._pages("/api/jobs", "jobs", {"name": name})

    def job(self, job: str) -> Json:
        """A job by its id, name, or owner/name (organisation/identity/name)."""
        return self._ask("GET", f"/api/jobs/{self.job_id(job)}")

    def job_id(self, job: str) -> str:
        """The id for an id, name or owner/name."""
        if _is_id(job):
            return job
        owner, _, name = job.rpartition("/")
        query = {"owner_name": owner} if owner else {}
        return str(self._ask("GET", f"/api/recipes/job/{name}", params=query)["state"]["id"])

    def start(
        self,
        job: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        scheduled_for: str | None = None,
        wait: int | None = None,
    ) -> Json:
        """Start a run: the run. The same key again gives the same run; `scheduled_for` (RFC 3339)
        is the instant that the run is about, if that is not now.

        With `wait` it is the run when it has ended, with its `result`, or as it is after so many
        seconds (at most 300)."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        given = {"parameters": dict(parameters or {}), "scheduled_for": scheduled_for}
        body = {name: value for name, value in given.items() if value}
        path = f"/api/jobs/{self.job_id(job)}/start"
        more: Json = {}
        if wait is not None:
            more = {"params": {"wait": str(wait)}, "timeout": wait + TIMEOUT_SECONDS}
        return dict(self._ask("POST", path, headers=headers, json=body, **more)["run"])

    def call(self, job: str, **given: Any) -> Json:
        """Start a run as `start` does, and wait for its end however long that takes: the run with
        its `result` (None if it returned nothing)."""
        run = self.start(job, **given, wait=LONGEST_WAIT)
        if run["state"] in ENDED:
            return run
        for _ in self.follow(run["id"]):
            pass
        return {**self.run(run["id"]), "result": self.result(run["id"])}

    def result(self, run_id: str) -> Any:
        """What a run returned; None also if it returned nothing."""
        answer = self._answer("GET", f"/api/runs/{run_id}/result")
        if answer.status_code == NOT_FOUND:
            self.run(run_id)  # raises if it is the run that is not there
            return None
        self.require_success(answer)
        return answer.json()

    def contract(self, job: str) -> Json:
        """What a start of a job takes, as JSON Schema."""
        return self._ask("GET", f"/api/jobs/{self.job_id(job)}/contract")

    def artifacts(self, run_id: str) -> list[Json]:
        """The files that a run left, each with its path, size and exact url."""
        return list(self._ask("GET", f"/api/runs/{run_id}/artifacts")["artifacts"])

    def artifact(self, run_id: str, path: str) -> Iterator[bytes]:
        """The bytes of one of them."""
        found = [each["url"] for each in self.artifacts(run_id) if each["path"] == path]
        address = (
            urlsplit(found[0]).path if found else f"/api/runs/{run_id}/artifacts/{quote(path)}"
        )
        with self._stream(address, {}) as answer:
            yield from answer.iter_bytes()

    def artifacts_zip(self, run_id: str) -> Iterator[bytes]:
        """All of them as a ZIP archive."""
        with self._stream(f"/api/runs/{run_id}/artifacts.zip", {}) as answer:
            yield from answer.iter_bytes()

    def backfill(self, job: str, begin: str, until: str, schedule: int = 0) -> list[Json]:
        """Runs for the fires of a schedule from `begin` until `until` (RFC 3339), old and new."""
        body = {"schedule": schedule, "from": begin, "until": until}
        path = f"/api/jobs/{self.job_id(job)}/backfill"
        return list(self._ask("POST", path, json=body)["runs"])

    def schedules(self, job: str) -> list[Json]:
        """The schedules of a job: next fires, lateness, fires around changes of the clocks."""
        return list(self._ask("GET", f"/api/jobs/{self.job_id(job)}/schedules")["schedules"])

    def runs(self, job: str | None = None) -> Iterator[Json]:
        """Runs, newest first: of a job, or of all."""
        path = f"/api/jobs/{self.job_id(job)}/runs" if job else "/api/runs"
        yield from self._pages(path, "runs", {})

    def run(self, run_id: str) -> Json:
        """A run with its attempts and waterfall."""
        return self._ask("GET", f"/api/runs/{run_id}")

    def cancel(self, run_id: str) -> Json:
        """Ask for the end of a run: the run."""
        return self._ask("POST", f"/api/runs/{run_id}/cancel")

    def release(self, run_id: str) -> Json:
        """Let the kernel go that is held of a failed run: the run."""
        return self._ask("POST", f"/api/runs/{run_id}/release")

    def pin(self, run_id: str, pinned: bool = True) -> Json:
        """Keep a run whatever retention says, or (False) no longer than others: the run."""
        return self._ask("POST", f"/api/runs/{run_id}/{'pin' if pinned else 'unpin'}")

    def prune(self, dry_run: bool = False) -> Json:
        """What retention removes now, and why; for administrators. It is on its way when this
        returns, or nothing is removed at all with `dry_run`."""
        if dry_run:
            return self._ask("GET", "/api/retention")
        return self._ask("POST", "/api/retention/prune")

    def log(self, run_id: str, offset: int = 0) -> Iterator[bytes]:
        """The log's bytes from `offset` to where it ends now."""
        with self._stream(f"/api/runs/{run_id}/log", {"offset": str(offset)}) as answer:
            yield from answer.iter_bytes()

    def follow(self, run_id: str) -> Iterator[str]:
        """The text of the log as it is written, of one attempt after the other, until the run has
        ended. A connection that breaks is made again, and the text goes on where it was."""
        attempt, offset = 1, 0
        while True:
            try:
                for event, identity, data in self._events(run_id, attempt, offset):
                    if event == "end" and data["state"] in ENDED:
                        return
                    if event == "end":
                        attempt, offset = attempt + 1, 0
                        break
                    offset = int(identity)
                    yield str(data)
            except httpx2.TransportError:
                self.run(run_id)  # raises, with a sentence, if the server is not there at all

    def secrets(self, name: str = "") -> Iterator[Json]:
        """Secrets by name, without their values; `name` is a part of the names wanted."""
        yield from self._pages("/api/secrets", "secrets", {"name": name})

    def set_secret(
        self, name: str, value: str, *, owner: str | None = None, access: str | None = None
    ) -> tuple[Json, bool]:
        """Keep a value under a name, new or in place of the one before: the secret without it, and
        whether it is new."""
        known = self._secret(name, owner)
        given = {"value": value, "access": access}
        body = {key: each for key, each in given.items() if each is not None}
        if known:
            return self._ask("PATCH", f"/api/secrets/{known['id']}", json=body), False
        body |= {"name": name, **({"owner": owner} if owner else {})}
        return self._ask("POST", "/api/secrets", json=body), True

    def remove_secret(self, name: str, *, owner: str | None = None, force: bool = False) -> None:
        """Forget a secret; with `force` although jobs have it attached."""
        known = self._secret(name, owner)
        if known is None:
            raise ClientError(f"there is no secret {name} here")
        query = {"force": "true"} if force else {}
        self._ask("DELETE", f"/api/secrets/{known['id']}", params=query)

    def _secret(self, name: str, owner: str | None) -> Json | None:
        """The secret of exactly that name, of `owner` or else of the caller."""
        wanted = owner or self.user()["owner"]
        query = {"name": name, "owner_name": wanted}
        found = self._pages("/api/secrets", "secrets", query)
        return next((each for each in found if each["name"] == name), None)

    def webhooks(self, job: str) -> list[Json]:
        """The webhooks of a job, with their addresses and secrets."""
        return list(self._ask("GET", f"/api/jobs/{self.job_id(job)}/webhooks")["webhooks"])

    def tokens(self) -> Iterator[Json]:
        """Your named tokens, newest first; not what opens them."""
        yield from self._pages("/api/tokens", "tokens", {})

    def make_token(
        self,
        description: str,
        *,
        scope: str | None,
        expires_in: int | None = None,
        refresh_expires_in: int | None = None,
    ) -> Json:
        """A new token: its record with `access_token` and, if `refresh_expires_in` (seconds) is
        given, `refresh_token`. `scope` None is all that you may; `expires_in` None is for ever."""
        body = {"description": description, "scope": scope, "expires_in": expires_in}
        return self._ask(
            "POST", "/api/tokens", json={**body, "refresh_expires_in": refresh_expires_in}
        )

    def revoke_token(self, token_id: str) -> None:
        """End a token."""
        self._ask("DELETE", f"/api/tokens/{token_id}")

    def audit(self, **filters: str) -> Iterator[Json]:
        """Audit entries, newest first; `filters` as the API has them, `from` written `from_`."""
        yield from self._pages("/api/audit", "entries", _query(filters))

    def export_audit(self, form: str = "jsonl", **filters: str) -> Iterator[bytes]:
        """The bytes of an export of the audit log, oldest first, as `jsonl` or `csv`."""
        query = {**_query(filters), "format": form}
        try:
            with self._stream("/api/audit/export", query) as answer:
                yield from answer.iter_bytes()
        except httpx2.TransportError as error:
            raise self._unreachable(error) from None

    def users(self) -> list[Json]:
        """Accounts, by name; for administrators."""
        return list(self._ask("GET", "/api/users")["users"])

    def invite(self, name: str, **more: Any) -> Json:
        """A new account (`email`, `full_name`, `admin`); its `link` is for its person."""
        return self._ask("POST", "/api/users", json={"username": name, **more})

    def change_user(self, user: str, **changes: Any) -> Json:
        """Change an account (`locked`, `admin`, …), by id or name."""
        return self._ask("PATCH", f"/api/users/{quote(user, safe='')}", json=changes)

    def reset_link(self, user: str) -> str:
        """A one-time link with which the person sets a new password."""
        return str(self._ask("POST", f"/api/users/{quote(user, safe='')}/reset-link")["url"])

    def remove_user(self, user: str) -> None:
        """Remove an account that owns nothing."""
        self._ask("DELETE", f"/api/users/{quote(user, safe='')}")

    def groups(self) -> list[Json]:
        """The groups that the caller belongs to; to an administrator all."""
        return list(self._ask("GET", "/api/groups")["groups"])

    def add_group(self, name: str, description: str = "") -> Json:
        """A new group, whose admin the caller is."""
        body = {"groupname": name, "description": description}
        return self._ask("POST", "/api/groups", json=body)

    def remove_group(self, group: str) -> None:
        """Remove a group that owns nothing."""
        self._ask("DELETE", f"/api/groups/{quote(group, safe='')}")

    def members(self, group: str = "") -> list[Json]:
        """Who has which role in a group, or (without one) on the caller's own things."""
        return list(self._ask("GET", f"{_shared(group)}/members")["members"])

    def set_role(self, user: str, role: str | None, group: str = "") -> None:
        """Give somebody a role in a group, or on the caller's own things; None takes it back."""
        path = f"{_shared(group)}/members/{quote(user, safe='')}"
        if role is None:
            self._ask("DELETE", path)
        else:
            self._ask("PUT", path, json={"role": role})

    def sign_in_link(self, page: str = "/dash") -> str:
        """A one-time link that signs a browser in and shows `page`."""
        return str(self._ask("POST", "/api/user/sign-in-link", json={"next": page})["url"])

    def _events(self, run_id: str, attempt: int, offset: int) -> Iterator[tuple[str, str, Any]]:
        """Server-sent events as (event, id, data)."""
        event = identity = ""
        query = {"follow": "1", "attempt": str(attempt), "offset": str(offset)}
        with self._stream(f"/api/runs/{run_id}/log", query) as answer:
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "id":
                    identity = value
                elif name == "data":
                    yield event, identity, json.loads(value)
        raise httpx2.RemoteProtocolError("the stream ended before the run did")

    def _stream(self, path: str, query: Mapping[str, str]) -> Any:
        return _Opened(self, self._http.stream("GET", path, params=dict(query), timeout=None))

    def _pages(self, path: str, name: str, query: Mapping[str, str]) -> Iterator[Json]:
        key = ""
        while True:
            params = {**query, "next_key": key} if key else dict(query)
            page = self._ask("GET", path, params=params)
            yield from page[name]
            key = page["next_key"]
            if not key:
                return

    def _ask(self, method: str, path: str, **more: Any) -> Json:
        answer = self._answer(method, path, **more)
        self.require_success(answer)
        return dict(answer.json()) if answer.content else {}

    def _answer(self, method: str, path: str, **more: Any) -> httpx2.Response:
        try:
            return self._http.request(method, path, **more)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> ClientError:
        return ClientError(
            f"cannot reach a server at {self.url}: {error}",
            "Start one with `runhook up`, or name yours with `runhook login URL`.",
        )

    def require_success(self, answer: httpx2.Response) -> None:
        """Raise what the server says is wrong."""
        if answer.is_success:
            return
        answer.read()
        try:
            body = answer.json()
            raise ClientError(body["message"], body["hint"], body["details"])
        except (ValueError, KeyError, TypeError):
            said = f"{answer.status_code} {answer.reason_phrase}"
            raise ClientError(f"{self.url} does not answer like Runhook: {said}") from None


class _Opened:
    """A stream whose beginning was checked."""

    def __init__(self, client: Client, stream: Any) -> None:
        self._client = client
        self._stream = stream

    def __enter__(self) -> httpx2.Response:
        answer: httpx2.Response = self._stream.__enter__()
        try:
            self._client.require_success(answer)
        except ClientError:
            self._stream.__exit__(None, None, None)
            raise
        return answer

    def __exit__(self, *error: Any) -> None:
        self._stream.__exit__(*error)


def _query(filters: Mapping[str, str]) -> dict[str, str]:
    """Words of a query for named arguments: `from` is no name in Python, `from_` is."""
    return {name.rstrip("_"): value for name, value in filters.items() if value}


def _shared(group: str) -> str:
    return f"/api/groups/{quote(group, safe='')}" if group else "/api/user"


def _is_id(text: str) -> bool:
    return len(text) == 32 and all(character in "0123456789abcdef" for character in text)
