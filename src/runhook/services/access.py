"""The one access check. Every service asks it before it shows or changes anything.

An object that one may not see does not exist for one (NotFound); what one may see but not use so is
Forbidden. An action is `<noun>:<verb>`, such as `jobs:start`.
"""

from collections.abc import Collection

from runhook.errors import Forbidden, NotFound
from runhook.model.access import Caller


def require(caller: Caller, action: str, owner: str, *, what: str = "nothing") -> None:
    """Raise unless `caller` may do `action` on something that belongs to `owner`.

    `what` names the thing in the NotFound sentence, for example "job 5f…".
    """
    if not _sees(caller, owner):
        raise NotFound(f"there is no {what} here")
    require_scope(caller, action)


def require_scope(caller: Caller, action: str) -> None:
    """Raise Forbidden unless the caller's credential may be used for `action` at all."""
    if caller.scopes is not None and action not in caller.scopes:
        raise Forbidden(
            f"this token may not be used for {action}",
            hint="Use your user token; a run's own token may only look, start and cancel.",
        )


def require_admin(caller: Caller, action: str) -> None:
    """Raise unless the caller administers the server."""
    require_scope(caller, action)
    if not caller.admin:
        raise Forbidden(f"only an administrator may do this ({action})")


def visible_owners(caller: Caller) -> Collection[str] | None:
    """The owners whose things the caller sees; None means all."""
    return None if caller.admin else [caller.owner]


def _sees(caller: Caller, owner: str) -> bool:
    return caller.admin or caller.owner == owner
