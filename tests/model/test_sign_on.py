"""What a provider says of somebody, and what that makes of them here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runhook.errors import SettingsError
from runhook.model.access import Role
from runhook.model.sign_on import Admission, Grant, fitting_name, grants_of
from runhook.settings import FIELDS, Settings
from runhook.signon.configuration import sign_on_of

BASE = {"iss": "https://id.example.org", "sub": "1"}
VALUES = {
    name.removeprefix("oidc_"): getattr(Settings(), name)
    for name in FIELDS
    if name.startswith("oidc_")
}


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "ada"}, "ada"),
        ({"preferred_username": "Ada.Lovelace"}, "ada-lovelace"),
        ({"preferred_username": "Ada@example.org"}, "ada"),
        ({"preferred_username": " "}, ""),
        ({"preferred_username": "a\x00d\ud800a"}, "ada"),
        ({"preferred_username": 7, "email": "ada_l@example.org"}, "ada-l"),
        ({"email": "ada@example.org", "email_verified": False}, ""),
        ({"preferred_username": "ä--é x"}, "x"),
        ({"preferred_username": "../../etc/passwd"}, "etc-passwd"),
        ({"preferred_username": "x" * 38 + "-yz"}, "x" * 38),
        ({}, ""),
    ],
)
def test_the_name_is_made_to_fit(claims: dict[str, object], name: str) -> None:
    assert Admission().person({**BASE, **claims}).name == name


@given(st.text())
def test_a_made_name_always_fits(text: str) -> None:
    name = fitting_name(text)
    assert len(name) <= 39
    assert name == "" or all(part.isascii() and part.isalnum() for part in name.split("-"))
    assert fitting_name(name) == name


def test_the_highest_role_of_all_groups_counts() -> None:
    admission = Admission(
        grants=grants_of("a=data:editor, b=data:viewer,c=*:admin, /x=y=web:admin")
    )
    assert admission.grants[-1] == Grant("/x=y", "web", Role.ADMIN)
    for claim, roles in (
        (["a", "b"], {"data": "editor"}),
        (["b"], {"data": "viewer"}),
        ("c", {"*": "admin"}),
        (["A", 7, None, ["a"]], {}),
        ({"a": True}, {}),
        (None, {}),
    ):
        assert admission.roles(admission.person({**BASE, "groups": claim})) == roles


@pytest.mark.parametrize(
    "text", ["a", "a=b", "a=:viewer", "=b:viewer", "a=b:owner", "a=*:viewer", "a=B x:viewer"]
)
def test_a_mapping_that_is_none_is_told(text: str) -> None:
    with pytest.raises(SettingsError, match=r"oidc\.groups") as told:
        sign_on_of({**VALUES, "issuer": "https://x.org", "client_id": "c", "groups": text})
    assert repr(text) in told.value.message


@pytest.mark.parametrize(
    ("email", "verified", "admitted"),
    [
        ("a@example.org", True, True),
        ("a@EXAMPLE.org", "true", True),
        ("a@example.org", None, False),
        ("a@example.org", False, False),
        ("a@evil.org", True, False),
        ("a@example.org@evil.org", True, False),
        ("a@sub.example.org", True, False),
        ("", True, False),
        ("a" * 243 + "@example.org.evil.org", True, False),
    ],
)
def test_addresses_count_only_if_the_provider_vouches_for_them(
    email: str, verified: object, admitted: bool
) -> None:
    admission = Admission(domains=frozenset({"example.org"}))
    person = admission.person({**BASE, "email": email, "email_verified": verified})
    assert admission.admits(person) is admitted
    assert Admission().admits(person)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"issuer": "http://id.example.org"}, "issuer"),
        ({"issuer": "id.example.org"}, "issuer"),
        ({"issuer": "https://id.example.org?x=1"}, "issuer"),
        ({"client_id": ""}, "client_id"),
        ({"scopes": "profile"}, "scopes"),
        ({"client_secret_file": "/no/such/file"}, "client_secret_file"),
        ({"client_secret_file": "/dev/null", "client_secret": "x"}, "client_secret_file"),
        ({"issuer": "", "only": True}, "only"),
    ],
)
def test_settings_that_do_not_fit_stop_the_start(values: dict[str, object], key: str) -> None:
    good = {**VALUES, "issuer": "https://id.example.org", "client_id": "runhook"}
    assert sign_on_of(good)
    with pytest.raises(SettingsError, match=rf"oidc\.{key}"):
        sign_on_of({**good, **values})


def test_no_issuer_is_no_provider_and_the_secret_is_not_shown() -> None:
    assert sign_on_of(VALUES) is None
    assert "hush" not in repr(Settings(oidc_client_secret="hush"))
