"""How much may run at the same time on a server."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from runhook.errors import Unavailable


def _nothing() -> str | None:
    return None


@dataclass(frozen=True)
class Capacity:
    """How many runs may live at the same time: in all, and in each pool.

    `obstacle` says, in words, why nothing may start at all at the moment, such as a full disk.
    """

    runs: int
    pools: Mapping[str, int] = field(default_factory=dict)
    obstacle: Callable[[], str | None] = _nothing

    def require_room(self) -> None:
        """Raise Unavailable, with the reason, while nothing may start. Asked before a start is
        accepted; what the clock or another job wants to start is queued meanwhile."""
        reason = self.obstacle()
        if reason:
            raise Unavailable(f"cannot start: {reason}")
