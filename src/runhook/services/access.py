"""The one access check. Every service asks it before it shows or changes anything.

An object that one may not see does not exist for one (NotFound); what one may see but not use so is
Forbidden. An action is `<noun>:<verb>`, such as `jobs:start`, and stands in one of the tables of
`model.access`.
"""

from collections.abc import Collection

from runhook.errors import Forbidden, NotFound
from runhook.model.access import ACTIONS, ROLE_OF, SERVER_ACTIONS, Caller


def require(
    caller: Caller, action: str, owner: str, *, what: str = "nothing", job_id: str | None = None
) -> None:
    """Raise unless `caller` may do `action` on something that belongs to `owner`.

    `what` names the thing in the NotFound sentence, for example "job 5f…"; `job_id` is the job it
    is, or belongs to, for credentials that are bound to one.
    """
    role = caller.role_on(owner)
    if role is None:
        raise NotFound(f"there is no {what} here")
    require_scope(caller, action, job_id)
    least = ROLE_OF[action]
    if role.rank < least.rank:
        raise Forbidden(
            f"you are {role} of {owner}, and this ({action}) takes {least}",
            hint=f"Ask an admin of {owner} for the role.",
        )


def require_scope(caller: Caller, action: str, job_id: str | None = None) -> None:
    """Raise Forbidden unless the caller's credential may be used for `action` (on that job)."""
    assert action in ACTIONS, f"{action} stands in no table of model.access"
    if not caller.scoped(action, job_id):
        raise Forbidden(
            f"this token may not be used for {action}",
            hint="Use your user token, or a token with that scope; a run's own token may only "
            "look, start and cancel.",
        )


def require_whole(caller: Caller) -> None:
    """Raise Forbidden for a credential with a scope, whatever the scope says: what is asked for
    would open more than it does, such as the user token or a session."""
    if caller.scopes is not None:
        raise Forbidden(
            "a token with a scope may not be used for this",
            hint="Use your user token, or sign in.",
        )


def require_admin(caller: Caller, action: str) -> None:
    """Raise unless the caller administers the server."""
    assert action in SERVER_ACTIONS, f"{action} is no action of administrators"
    require_scope(caller, action)
    if not caller.admin:
        raise Forbidden(f"only an administrator of the server may do this ({action})")


def visible_owners(caller: Caller, action: str) -> Collection[str] | None:
    """The owners whose things the caller may list (`action`: a reading one); None means all."""
    require_scope(caller, action)
    return None if caller.admin else [caller.owner, *caller.roles]
