"""A provider that speaks OpenID Connect: the authorisation code flow with PKCE (OpenID Connect Core
1.0 and Discovery 1.0, RFC 7636, RFC 9207)."""

import hashlib
import logging
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from joserfc.jwk import KeySet

from runhook.errors import Unauthorized, Unavailable
from runhook.signon.base import Attempt
from runhook.signon.fetch import ask
from runhook.signon.tokens import UnknownKey, keys_of, verified

logger = logging.getLogger("runhook")
KEPT_SECONDS = 3600.0
"""How long what a provider says about itself is believed."""
PAUSE_SECONDS = 30.0
"""Between two looks at its keys, however many unknown ones are used."""


@dataclass(frozen=True)
class Metadata:
    """What a provider says about itself: its endpoints."""

    authorization: str
    token: str
    keys: str
    userinfo: str | None
    secret_in_body: bool


class OpenIdProvider:
    """The provider with that issuer, and this server as its client. Nothing is asked before it is
    needed."""

    def __init__(self, issuer: str, client_id: str, client_secret: str, scopes: str) -> None:
        self.issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def address(self, attempt: Attempt, redirect_uri: str) -> str:
        """The authorisation endpoint with the request."""
        endpoint = (await self._endpoints()).authorization
        digest = hashlib.sha256(attempt.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": self._scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def claims(
        self, attempt: Attempt, code: str, redirect_uri: str, now: datetime
    ) -> Mapping[str, Any]:
        """The claims of the ID token; those that it lacks are asked for at the userinfo endpoint,
        where some providers tell groups and address."""
        endpoints = await self._endpoints()
        tokens = await self._redeem(endpoints, attempt, code, redirect_uri)
        claims = await self._verified(tokens.get("id_token"), attempt, now)
        access = tokens.get("access_token")
        if not endpoints.userinfo or not isinstance(access, str):
            return claims
        bearer = {"Authorization": f"Bearer {access}"}
        _, more = await ask("GET", endpoints.userinfo, headers=bearer)
        if more.get("sub") != claims["sub"]:
            raise Unauthorized("the sign-in provider speaks of two people", hint="Begin again.")
        return {**more, **claims}

    async def _redeem(
        self, endpoints: Metadata, attempt: Attempt, code: str, redirect_uri: str
    ) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": attempt.verifier,
        }
        how: dict[str, Any] = {}
        if not self._client_secret or endpoints.secret_in_body:
            form["client_id"] = self._client_id
        if self._client_secret and endpoints.secret_in_body:
            form["client_secret"] = self._client_secret
        elif self._client_secret:  # form-encoded first, RFC 6749, section 2.3.1
            how["auth"] = (quote_plus(self._client_id), quote_plus(self._client_secret))
        status, tokens = await ask(
            "POST", endpoints.token, answers=(200, 400, 401), data=form, **how
        )
        if status != 200:
            raise _not_redeemed(tokens)
        return tokens

    async def _verified(self, token: object, attempt: Attempt, now: datetime) -> Mapping[str, Any]:
        expected: dict[str, Any] = {
            "issuer": self.issuer,
            "client_id": self._client_id,
            "nonce": attempt.nonce,
            "now": now,
        }
        try:
            return verified(token, await self._signing_keys(KEPT_SECONDS), **expected)
        except UnknownKey:  # the provider may have changed its keys since
            return verified(token, await self._signing_keys(PAUSE_SECONDS), **expected)

    async def _signing_keys(self, oldest: float) -> KeySet:
        if self._keys is None or time.monotonic() - self._keys[0] > oldest:
            _, document = await ask("GET", (await self._endpoints()).keys)
            self._keys = time.monotonic(), keys_of(document)
        return self._keys[1]

    async def _endpoints(self) -> Metadata:
        if self._metadata is None or time.monotonic() - self._metadata[0] > KEPT_SECONDS:
            url = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
            _, document = await ask("GET", url)
            self._metadata = time.monotonic(), self._metadata_of(document)
        return self._metadata[1]

    def _metadata_of(self, document: Mapping[str, Any]) -> Metadata:
        if document.get("issuer") != self.issuer:
            raise _misconfigured(
                f"it calls itself {document.get('issuer')!r}, and oidc.issuer is {self.issuer!r}"
            )
        methods = document.get("token_endpoint_auth_methods_supported")
        basic = not isinstance(methods, list) or "client_secret_basic" in methods
        userinfo = document.get("userinfo_endpoint")
        return Metadata(
            authorization=self._endpoint(document, "authorization_endpoint"),
            token=self._endpoint(document, "token_endpoint"),
            keys=self._endpoint(document, "jwks_uri"),
            userinfo=self._endpoint(document, "userinfo_endpoint") if userinfo else None,
            secret_in_body=not basic,
        )

    def _endpoint(self, document: Mapping[str, Any], name: str) -> str:
        """An address of the document: as safe on its way as the issuer is."""
        value = document.get(name)
        scheme = urlsplit(value).scheme if isinstance(value, str) else ""
        if scheme != "https" and scheme != urlsplit(self.issuer).scheme:
            raise _misconfigured(f"its {name} is {value!r}")
        return str(value)


def _not_redeemed(answer: Mapping[str, Any]) -> Exception:
    error = str(answer.get("error"))[:100]
    logger.warning("the sign-in provider did not take a code: %s", error)
    if error in ("invalid_client", "unauthorized_client"):
        return _misconfigured(f"it does not know this server ({error})")
    return Unauthorized(
        f"the sign-in provider did not confirm this attempt ({error})", hint="Begin again."
    )


def _misconfigured(why: str) -> Unavailable:
    return Unavailable(
        f"the sign-in provider cannot be used: {why}",
        hint="An administrator has to compare the settings under [oidc] with the provider's. A "
        "user token or a one-time link lets you in meanwhile.",
    )
