"""Signing in through a provider: whom its word lets in here, under which name, and as what."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runhook.model.access import Role

LONGEST_NAME = 39
LONGEST_TEXT = 255
SERVER = "*"
"""In place of a group: the server itself, of which somebody is made an administrator."""


@dataclass(frozen=True)
class Grant:
    """Who is in the provider's group `given` gets `role` in our group `group`."""

    given: str
    group: str
    role: Role


@dataclass(frozen=True)
class Person:
    """What a provider says of somebody who has signed in there.

    `issuer` and `subject` together are who it is, for ever; everything else may change. An `email`
    of which the provider says that it is not theirs is left empty.
    """

    issuer: str
    subject: str
    name: str = ""
    email: str = ""
    email_verified: bool = False
    full_name: str = ""
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Admission:
    """Which of the provider's people may come in, and what they are then.

    `name_claim` and `groups_claim` are where the provider tells name and groups. `domains` of
    addresses (lower case) restrict who may come in; none: everybody. Without `auto_create` only
    those whose account is linked already.
    """

    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    grants: Sequence[Grant] = ()
    domains: frozenset[str] = field(default_factory=frozenset)
    auto_create: bool = True

    def person(self, claims: Mapping[str, Any]) -> Person:
        """What verified claims say. What is of another type than it should be says nothing."""
        said = claims.get("email_verified")
        email = "" if said is False or said == "false" else _text(claims, "email")
        name = _text(claims, self.name_claim) or email.partition("@")[0]
        return Person(
            issuer=str(claims["iss"]),
            subject=str(claims["sub"]),
            name=fitting_name(name.partition("@")[0] if "@" in name else name),
            email=email if len(email) <= LONGEST_TEXT else "",  # cut, it would be another one
            email_verified=said is True or said == "true",
            full_name=_text(claims, "name")[:LONGEST_TEXT],
            groups=frozenset(_groups(claims.get(self.groups_claim))),
        )

    def admits(self, person: Person) -> bool:
        """May they come in? Where it depends on their address, the provider must vouch for that."""
        if not self.domains:
            return True
        domain = person.email.rpartition("@")[2].lower()
        return person.email_verified and domain in self.domains

    def roles(self, person: Person) -> dict[str, Role]:
        """Group here → the highest role that the person's groups there give."""
        found: dict[str, Role] = {}
        for grant in self.grants:
            if grant.given in person.groups:
                known = found.get(grant.group)
                if known is None or known.rank < grant.role.rank:
                    found[grant.group] = grant.role
        return found


def fitting_name(text: str) -> str:
    """The nearest name that an account may have: small letters, digits and single dashes; empty if
    nothing of `text` can be kept. `Ada.Lovelace` → `ada-lovelace`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:LONGEST_NAME].strip("-")


def grants_of(text: str) -> tuple[Grant, ...]:
    """`data-scientists=data:editor, admins=*:admin` → grants. ValueError with a sentence for
    anything else."""
    return tuple(_grants(text))


def _grants(text: str) -> Iterator[Grant]:
    for item in filter(None, (part.strip() for part in text.split(","))):
        given, _, here = (part.strip() for part in item.rpartition("="))
        group, _, word = (part.strip() for part in here.rpartition(":"))
        known = group == SERVER or (group and group == fitting_name(group))
        if not given or not known or word not in list(Role):
            raise ValueError(
                f"{item!r}: write their-group=our-group:editor, or their-group=*:admin"
            )
        if group == SERVER and word != Role.ADMIN:
            raise ValueError(f"{item!r}: of the server one can only be admin; write *:admin")
        yield Grant(given, group, Role(word))


def _text(claims: Mapping[str, Any], name: str) -> str:
    """A text without what no database takes, such as NUL characters and lone surrogates."""
    value = claims.get(name)
    printable = filter(str.isprintable, value) if isinstance(value, str) else ""
    return "".join(printable).strip()


def _groups(value: Any) -> Iterator[str]:
    """A list of names, or one name."""
    for each in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
        if isinstance(each, str):
            yield each
