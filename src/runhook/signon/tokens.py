"""ID tokens: whether one is genuine, of this provider, for this client, for this attempt, and still
good (OpenID Connect Core 1.0, section 3.1.3.7)."""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from runhook.errors import Unauthorized

ALGORITHMS = ("RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519").split()
"""Signatures by a key that only the provider has: never `none`, and no HS*, whose key we have."""
LEEWAY_SECONDS = 60
"""How far the provider's clock may be from ours."""
LONGEST = 64 * 1024


class UnknownKey(Unauthorized):
    """The token is signed with a key that the provider did not list."""


def keys_of(document: Mapping[str, Any]) -> KeySet:
    """The signing keys of a JWK set (RFC 7517); those of kinds that are not known are left out."""
    found: list[Key] = []
    listed = document.get("keys")
    for each in listed if isinstance(listed, list) else []:
        try:
            if each.get("use", "sig") == "sig" and each.get("kty") != "oct":
                found.append(JWKRegistry.import_key(each))
        except (JoseError, ValueError, TypeError, AttributeError, KeyError):
            continue
    return KeySet(found)


def verified(
    token: object, keys: KeySet, *, issuer: str, client_id: str, nonce: str, now: datetime
) -> Mapping[str, Any]:
    """The claims of a token that is good. UnknownKey if none of `keys` can have signed it,
    Unauthorized if it is not good."""
    claims = _claims(token, keys)
    second = int(now.timestamp())
    audience = claims.get("aud")
    named = [audience] if isinstance(audience, str) else audience
    _require(claims.get("iss") == issuer, "it is another provider's")
    _require(isinstance(named, list) and client_id in named, "it is not for this server")
    azp = claims.get("azp")
    _require(azp == client_id or (azp is None and len(named or ()) == 1), "it is for another")
    _require(_is_time(claims, "exp") and claims["exp"] > second - LEEWAY_SECONDS, "it is too old")
    for name in ("iat", "nbf"):
        early = name in claims and (
            not _is_time(claims, name) or claims[name] > second + LEEWAY_SECONDS
        )
        _require(not early, "it is from the future; compare the clocks")
    said = claims.get("nonce")
    _require(isinstance(said, str) and _same(said, nonce), "it is the answer to another attempt")
    subject = claims.get("sub")
    named_well = isinstance(subject, str) and 0 < len(subject) <= 255 and subject.isprintable()
    _require(named_well, "it names nobody")
    return claims


def _claims(token: object, keys: KeySet) -> dict[str, Any]:
    _require(isinstance(token, str) and len(token) < LONGEST, "there is none")
    assert isinstance(token, str)
    try:
        header = jws.extract_compact(token.encode()).headers()
        fitting = _fitting(keys, header)
    except (JoseError, ValueError, RecursionError) as error:
        raise _refused(str(error)) from None
    if not fitting:
        raise UnknownKey(_refused("it is signed with an unknown key").message)
    for key in fitting:
        try:
            return jwt.decode(token, key, algorithms=ALGORITHMS).claims
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            refusal = _refused(str(error))
    raise refusal


def _fitting(keys: KeySet, header: Mapping[str, Any]) -> Sequence[Key]:
    """The keys that the header may mean: the one it names, or any if it names none."""
    kid = header.get("kid")
    return [key for key in keys.keys if kid is None or key.kid == kid]


def _is_time(claims: Mapping[str, Any], name: str) -> bool:
    value = claims.get(name)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _require(good: bool, why: str) -> None:
    if not good:
        raise _refused(why)


def _refused(why: str) -> Unauthorized:
    return Unauthorized(f"the sign-in provider's token is not good: {why}", hint="Begin again.")
