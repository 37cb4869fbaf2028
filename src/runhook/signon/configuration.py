"""Settings of the section `oidc` → how people sign in through a provider."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runhook.errors import SettingsError
from runhook.model.sign_on import Admission, grants_of
from runhook.signon.base import Provider, SignOn

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def sign_on_of(values: Mapping[str, Any]) -> SignOn | None:
    """`values` are the settings of the section by their keys; None without an issuer. SettingsError
    if they do not fit together."""
    if not values["issuer"]:
        if values["only"]:
            raise _wrong("only", "there is no oidc.issuer to sign in through")
        return None
    try:
        grants = grants_of(values["groups"])
    except ValueError as error:
        raise _wrong("groups", str(error)) from None
    admission = Admission(
        name_claim=values["name_claim"],
        groups_claim=values["groups_claim"],
        grants=grants,
        domains=_domains(values["allowed_domains"]),
        auto_create=values["auto_create"],
    )
    return SignOn(_provider(values), admission, values["label"], values["only"])


def _provider(values: Mapping[str, Any]) -> Provider:
    issuer, client_id = values["issuer"], values["client_id"]
    parts = urlsplit(issuer)
    local = parts.scheme == "http" and parts.hostname in LOOPBACK
    if (
        len(issuer) > 255
        or not (parts.hostname and (parts.scheme == "https" or local))
        or parts.query
        or parts.fragment
    ):
        raise _wrong("issuer", f"{issuer!r} is no https address of a provider")
    if not client_id:
        raise _wrong("client_id", "it is missing")
    if "openid" not in values["scopes"].split():
        raise _wrong("scopes", "openid must be among them")
    try:
        from runhook.signon.openid import OpenIdProvider  # noqa: PLC0415  an extra, and heavy
    except ImportError:
        raise SettingsError(
            "cannot start: oidc.issuer is set, but what it needs is not installed; run: "
            "pip install 'runhook[oidc]'"
        ) from None
    return OpenIdProvider(issuer, client_id, _secret(values), values["scopes"])


def _secret(values: Mapping[str, Any]) -> str:
    file = values["client_secret_file"]
    if not file:
        return str(values["client_secret"])
    if values["client_secret"]:
        raise _wrong("client_secret_file", "oidc.client_secret is set, too; keep one of them")
    try:
        return Path(file).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong("client_secret_file", f"{file} cannot be read: {error}") from None


def _domains(text: str) -> frozenset[str]:
    return frozenset(part.strip().lower() for part in text.split(",") if part.strip())


def _wrong(key: str, why: str) -> SettingsError:
    return SettingsError(f"cannot start: oidc.{key}: {why}")
