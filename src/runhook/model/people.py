"""What is given to make and change accounts, groups and roles: names, and who may be what.

Fields of the compatible contract that mean nothing here (limits, several ssh keys, mail that the
server would send) are taken and left out of account.
"""

import re
import uuid
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from runhook.model.access import Role

LONGEST_NAME = 39
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")


def require_name(name: str) -> str:
    """`name` if a user or group may be called so; ValueError with a sentence if not."""
    if len(name) > LONGEST_NAME or not NAME.fullmatch(name):
        raise ValueError(
            f"write up to {LONGEST_NAME} small letters and digits, with single dashes between them"
        )
    return name


def _email(text: str) -> str:
    if text and not EMAIL.fullmatch(text):
        raise ValueError("write an address such as ada@example.org, or nothing")
    return text


Name = Annotated[str, AfterValidator(require_name)]
Email = Annotated[str, Field(max_length=255), AfterValidator(_email)]
FullName = Annotated[str, Field(max_length=255)]
Description = Annotated[str, Field(max_length=2048)]


class _Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NewPerson(_Given):
    """A new account."""

    username: Name
    email: Email = ""
    full_name: FullName = ""
    admin: bool = Field(default=False, description="Of the whole server.")
    locked: bool = Field(default=False, description="May not sign in.")
    limits_id: str | None = None
    send_reset_email: bool = True
    prevent_duplicate_emails: bool = False


class PersonChange(_Given):
    """What an administrator may change of an account; what is not given stays."""

    username: str | None = Field(default=None, max_length=255, description="As it is.")
    email: Email | None = None
    full_name: FullName | None = None
    admin: bool | None = None
    locked: bool | None = Field(default=None, description="May not sign in.")
    active: bool | None = Field(default=None, description="The contrary of locked.")
    is_multiple_ssh_keys: bool | None = None
    limits_id: str | None = None

    @property
    def disabled(self) -> bool | None:
        """What `locked` or `active` say; None if neither is given."""
        if self.locked is not None:
            return self.locked
        return None if self.active is None else not self.active


class OwnChange(_Given):
    """What people may change of their own account."""

    username: str | None = Field(default=None, max_length=255, description="As it is.")
    is_multiple_ssh_keys: bool | None = None
    email: Email | None = None
    full_name: FullName | None = None


class NewGroup(_Given):
    """A new group."""

    groupname: Name
    description: Description = ""
    org_id: str | None = None
    is_multiple_ssh_keys: bool = False
    org_admin: Literal[False] = False


class GroupChange(_Given):
    """What may be changed of a group."""

    groupname: str | None = Field(default=None, max_length=255, description="As it is.")
    org_admin: Literal[False] | None = None
    description: Description | None = None
    is_multiple_ssh_keys: bool | None = None


class GivenRole(_Given):
    """The role that somebody is given."""

    role: Role


class NewPassword(_Given):
    """One's own password, changed. `current` may be empty while there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    current: str = Field(default="", max_length=1024, repr=False)
    new: str = Field(max_length=4096, repr=False)


def owner_id(name: str) -> str:
    """The id of an owner such as main/ada: made from the name, so it is the same everywhere."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"owner/{name}").hex


def organization_id(organization: str) -> str:
    """The id of an organisation, made from its name."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"org/{organization}").hex


@dataclass(frozen=True)
class Owner:
    """An owner and what it is; `role` is that of whoever asked, if it was asked for."""

    name: str
    kind: Literal["user", "group"]
    id: str
    role: Role | None = None
