"""What the compatible contract knows and this server does not have: empty lists, nothing found, and
a sentence for whoever wants to make one. And their rows of the table."""

import re
from dataclasses import dataclass

from starlette.responses import Response

from runhook.api.call import Call, Handler, Json, Route
from runhook.errors import NotFound
from runhook.services.access import require_scope


@dataclass(frozen=True)
class Absent:
    """A kind of thing that is not offered: where its list is, the list's key, what it is called,
    and what to do instead."""

    path: str
    key: str
    name: str
    instead: str

    @property
    def item(self) -> str:
        return f"{self.path}/{{{self.key[:-1]}_id}}"

    @property
    def sentence(self) -> str:
        return f"{self.name} are not offered here: {self.instead}"


FOLDERS = "the server's folders are set by `runs.folders`"
JOBS = "there are jobs only"
ABSENT = tuple(
    Absent(f"/api/{path}", key, name, instead)
    for path, key, name, instead in (
        ("limits", "usage_limits", "usage limits", "say in a job's `limits` what it may take"),
        ("service_accounts", "service_accounts", "cloud identities", "use secrets"),
        ("shared_folders", "shared_folders", "shared folders", FOLDERS),
        ("shared_folder_attachments", "shared_folder_attachments", "shared folders", FOLDERS),
        ("clusters", "clusters", "clusters", "runs begin on the server's machine"),
        ("ssh_public_keys", "ssh_public_keys", "keys to sign in to runs", "read a run's log"),
        ("images", "images", "images", "say in a job's `environment` what it needs"),
        ("workspaces", "workspaces", "workspaces", JOBS),
        ("deployments", "deployments", "deployments", JOBS),
        ("resource_templates", "templates", "templates", "get a job's recipe as_template"),
    )
)
ELSEWHERE = {
    "/api/orgs": "there is one organisation, which `organization` in the settings names",
    "/api/orgs/{org_id}": "there is one organisation, which `organization` in the settings names",
    "/api/orgs/{org_id}/members/{user_id}": "everybody with an account is a member; an "
    "administrator changes accounts at /api/users",
    "/api/orgs/{org_id}/invitations": "an administrator makes accounts at /api/users",
    "/api/user": "an administrator deletes accounts at /api/users",
    "/api/auth/token": "send a refresh token, or make a token at /api/tokens",
    "/api/jobs/{job_id}/template": "get the job's recipe as_template instead",
    "/api/jobs/{job_id}/service_account": "cloud identities are not offered; use secrets",
}
"""Why some methods of other addresses cannot be used."""


def why(path: str) -> str:
    """What to say to whoever wants to do something at `path` that is not offered; or nothing."""
    for each in ABSENT:
        if path == each.path or path.startswith(f"{each.path}/"):
            return f"{each.sentence}.".capitalize()
    for template, sentence in ELSEWHERE.items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return f"{sentence}.".capitalize()
    return ""


def _listing(absent: Absent) -> Handler:
    async def handler(call: Call) -> Response:
        require_scope(call.caller, "user:read")
        return Json({absent.key: [], "prev_key": None, "next_key": None})

    handler.__name__ = f"list_{absent.key}"
    return handler


def _getting(absent: Absent) -> Handler:
    async def handler(call: Call) -> Response:
        raise NotFound(f"there are no {absent.name} here", hint=why(absent.path))

    handler.__name__ = f"get_{absent.key}"
    return handler


ROUTES: tuple[Route, ...] = tuple(
    route
    for each in ABSENT
    for route in (
        Route("GET", each.path, "user:read", _listing(each), f"No {each.name}: an empty list."),
        Route("GET", each.item, "user:read", _getting(each), f"No {each.name}: not found."),
    )
)
