"""What opens private repositories: credentials for addresses, and the keys of known ssh hosts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from runhook.model.place import place_of

Kind = Literal["token", "ssh_key"]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
OWNER = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$"
LOGIN = r"^[^:\x00-\x1f\x7f]*$"


ANY_SSH = "ssh://*"
"""The `url_prefix` of an ssh key for every ssh address that nothing else opens."""
NAMED_ONLY = ""
"""That of an ssh key which opens only repositories that name it."""


class NewCredential(BaseModel):
    """What is given for a new credential: a token with its `username`, or an ssh key. A key
    without a `value` is generated."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(pattern=NAME, max_length=128, description="Unique for its owner.")
    kind: Kind
    url_prefix: str = Field(
        max_length=2048,
        description="For addresses under this one: https://host/owner/ or git@host:; for a key "
        "also ssh://*, for every ssh address that nothing else opens.",
    )
    username: str = Field(default="", max_length=255, pattern=LOGIN, description="Of a token.")
    value: str | None = Field(
        default=None,
        max_length=8_192,
        repr=False,
        description="The token, or a private key without a passphrase. Never given back.",
    )
    owner: str | None = Field(
        default=None, pattern=OWNER, max_length=128, description="Default: your own."
    )

    @field_validator("url_prefix")
    @classmethod
    def _check_prefix(cls, prefix: str) -> str:
        if prefix != ANY_SSH:
            place_of(prefix)
        return prefix

    @field_validator("value")
    @classmethod
    def _strip(cls, value: str | None) -> str | None:
        return (value or "").strip() or None

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        scheme = "ssh" if self.url_prefix == ANY_SSH else place_of(self.url_prefix).scheme
        if self.kind == "token" and scheme == "ssh":
            raise ValueError("url_prefix: a token opens https addresses")
        if self.kind == "ssh_key" and scheme != "ssh":
            raise ValueError("url_prefix: a key opens ssh addresses, such as git@github.com:")
        if self.kind == "ssh_key" and self.username:
            raise ValueError("username: with ssh the user stands in the address, as in git@host:")
        if self.kind == "token" and self.value is None:
            raise ValueError("value: give the token")
        if self.kind == "token" and not (self.value or "").isprintable():
            raise ValueError("value: a token is one line of printable characters")
        return self


@dataclass(frozen=True)
class GitCredentialInfo:
    """A credential without what it proves itself with. `public_key` is there for ssh keys."""

    id: str
    owner: str
    name: str
    kind: Kind
    url_prefix: str
    username: str
    public_key: str | None
    created_at: datetime


@dataclass(frozen=True)
class KnownHost:
    """A key that a host showed; it is believed once an administrator has confirmed it.

    `changed`: it is not believed, and it contradicts what was confirmed of that host: another key
    of its type, or any key from before this one was first seen.
    """

    id: str
    host: str
    key: str
    fingerprint: str
    first_seen_at: datetime
    confirmed_at: datetime | None
    confirmed_by: str | None
    changed: bool = False

    @property
    def type(self) -> str:
        """Such as `ssh-ed25519`."""
        return self.key.partition(" ")[0]

    def contradicts(self, other: "KnownHost") -> bool:
        """Is `other`, of the same host, confirmed and this one suspicious beside it?"""
        if self.confirmed_at or other.confirmed_at is None or self.host != other.host:
            return False
        return self.type == other.type or self.first_seen_at > other.confirmed_at
