"""Who is asking, which role they have on whose things, and what each role may do.

Things belong to an *owner*, `organisation/identity`: a person or a group. A person is `admin` of
their own owner; a *membership* gives them a role on another one. So a group is an owner with
members, and sharing is a membership on a person's owner. A server administrator is `admin`
everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What somebody may do with an owner's things; each may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    EDITOR = "editor"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """0 for the least."""
        return list(Role).index(self)


ROLE_OF: Mapping[str, Role] = {
    "jobs:read": Role.VIEWER,
    "runs:read": Role.VIEWER,
    "git:read": Role.VIEWER,
    "secrets:read": Role.VIEWER,
    "members:read": Role.VIEWER,
    "jobs:start": Role.OPERATOR,
    "runs:cancel": Role.OPERATOR,
    "runs:write": Role.EDITOR,
    "jobs:write": Role.EDITOR,
    "git:write": Role.EDITOR,
    "secrets:write": Role.EDITOR,
    "members:write": Role.ADMIN,
    "audit:read": Role.ADMIN,
}
"""Actions on an owner's things, and the least role that each asks for."""

SERVER_ACTIONS = frozenset(
    {"users:read", "users:write", "hosts:write", "retention:read", "retention:write", "system:read"}
)
"""What only an administrator of the server may do."""

ACCOUNT_ACTIONS = frozenset({"user:read", "user:write", "user:token"})
"""What everybody may do with their own account."""

ACTIONS = frozenset(ROLE_OF) | SERVER_ACTIONS | ACCOUNT_ACTIONS

SCOPE_ACTIONS = ACTIONS - {"users:write", "members:write", "system:read"}
"""What a scope may name. Whoever makes accounts or gives roles could give themselves all the rest,
so that takes a credential without a scope; the state of the system is on a page alone."""

RUN_SCOPES = frozenset({"jobs:read", "jobs:start", "runs:read", "runs:cancel", "user:read"})
"""What a run may do with its own token: look, start and cancel, but change no definition or key."""

JOB_ACTIONS = frozenset({"jobs:read", "jobs:start", "jobs:write", "runs:read", "runs:cancel"})
"""Actions that a scope can bind to one job: `jobs:start:<job id>`."""


@dataclass(frozen=True)
class Caller:
    """The account behind a request, and what its credential may be used for.

    `owner` is its own identity, `roles` its memberships. `scopes` None means everything the account
    may do; else only the actions named, such as `runs:read` or, for one job alone,
    `jobs:start:<job id>`. `run_id` is set when a run speaks for itself with its run token. `via`
    and `address` are for the audit log: which credential it was, and where it came from. `token_id`
    is the named token's, if it is one.
    """

    user_id: str
    name: str
    owner: str
    admin: bool = False
    scopes: frozenset[str] | None = None
    run_id: str | None = None
    roles: Mapping[str, Role] = field(default_factory=dict)
    via: str = ""
    address: str = ""
    token_id: str | None = None

    def role_on(self, owner: str) -> Role | None:
        """The caller's role on an owner's things; None if they are not to be seen."""
        return Role.ADMIN if self.admin or owner == self.owner else self.roles.get(owner)

    def scoped(self, action: str, job_id: str | None = None) -> bool:
        """May the credential be used for `action` (on that job)?"""
        if self.scopes is None or action in self.scopes:
            return True
        return job_id is not None and f"{action}:{job_id}" in self.scopes


@dataclass(frozen=True)
class User:
    """An account."""

    id: str
    name: str
    owner: str
    email: str = ""
    full_name: str = ""
    admin: bool = False
    disabled: bool = False
    token_rotation: int = 0

    def caller(
        self,
        roles: Mapping[str, Role] | None = None,
        via: str = "",
        scopes: frozenset[str] | None = None,
    ) -> Caller:
        """This account asking: with all its rights, unless `scopes` limit them."""
        return Caller(
            self.id, self.name, self.owner, self.admin, scopes, roles=roles or {}, via=via
        )


@dataclass(frozen=True)
class Group:
    """An owner that is no person."""

    id: str
    name: str
    owner: str
    description: str
    created_at: datetime


@dataclass(frozen=True)
class Member:
    """Somebody's role on an owner's things. `source` is `manual`, or `sso` where the sign-in
    provider says so and takes it back."""

    owner: str
    user_id: str
    name: str
    role: Role
    source: str
    created_at: datetime
