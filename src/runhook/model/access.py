"""Who is asking, and what a credential may be used for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """The account behind a request, and the scopes of the token or session it came with.

    `scopes` None means everything the account may do; else only actions named in it, such as
    `runs:read`. `run_id` is set when a run speaks for itself with its run token.
    """

    user_id: str
    name: str
    owner: str
    admin: bool = False
    scopes: frozenset[str] | None = None
    run_id: str | None = None


RUN_SCOPES = frozenset({"jobs:read", "jobs:start", "runs:read", "runs:cancel", "user:read"})
"""What a run may do with its own token: look, start and cancel, but change no definition or key."""


@dataclass(frozen=True)
class User:
    """An account."""

    id: str
    name: str
    owner: str
    email: str = ""
    admin: bool = False
    disabled: bool = False
    token_rotation: int = 0

    def caller(self) -> Caller:
        """This account asking with all its rights."""
        return Caller(self.id, self.name, self.owner, self.admin)
