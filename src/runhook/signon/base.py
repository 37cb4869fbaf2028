"""The seam: what signing in through a provider takes, and what it gives."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from runhook.model.sign_on import Admission


@dataclass(frozen=True)
class Attempt:
    """One try to sign in, as only the browser that began it and the server know it.

    `state` comes back with the answer, `nonce` in the token (OpenID Connect Core, 3.1.2.1), and the
    `verifier` proves to the provider that who redeems the code is who asked for it (RFC 7636).
    """

    state: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))


class Provider(Protocol):
    """Somewhere that people sign in. Both methods may be called any number of times; Unavailable if
    the provider cannot be reached or does not answer like one."""

    issuer: str

    async def address(self, attempt: Attempt, redirect_uri: str) -> str:
        """Where to send the browser."""

    async def claims(
        self, attempt: Attempt, code: str, redirect_uri: str, now: datetime
    ) -> Mapping[str, Any]:
        """What the provider says of who has signed in, once all of it is verified: `iss` and `sub`
        are there. Unauthorized if the code or the token is not good, or not for this attempt."""


@dataclass(frozen=True)
class SignOn:
    """Signing in through a provider, as it is configured: `label` stands on the button, and `only`
    means that passwords open nothing."""

    provider: Provider
    admission: Admission
    label: str
    only: bool = False
