"""Secrets: what is given for one, how a job asks for one, and what is known of one. A value stands
in `NewSecret` and `SecretChange` only, on its way to be encrypted; no answer holds it."""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

Access = Literal["owner", "org"]
Kind = Literal["environment_variable", "file"]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
OWNER = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$"
VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*\Z")
LONGEST_VALUE = 64 * 1024
SHORTEST_MASKED = 4
"""Values with fewer bytes are not masked: too much of a log would go with them."""
COMPATIBLE_HOME = "/home/jovyan/"
"""The home that recipes written for Saturn Cloud name; here it means the run's own."""


def _checked_value(value: str) -> str:
    if len(value.encode("utf-8", "surrogatepass")) > LONGEST_VALUE:
        raise ValueError(f"a value may have at most {LONGEST_VALUE} bytes")
    if "\x00" in value or any("\ud800" <= each <= "\udfff" for each in value):
        raise ValueError("a value is text, without NUL characters or lone surrogates")
    return value


class OwnerByName(BaseModel):
    """An owner as the compatible contract can name it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=OWNER, max_length=128)


OwnerName = Annotated[str, StringConstraints(pattern=OWNER, max_length=128)]
OwnerReference = OwnerName | OwnerByName
Value = Annotated[str, AfterValidator(_checked_value)]


def owner_name(reference: OwnerReference | None) -> str | None:
    """The owner's name, in whichever form it was given."""
    return reference.name if isinstance(reference, OwnerByName) else reference


class NewSecret(BaseModel):
    """What is given for a new secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(pattern=NAME, max_length=128, description="Unique for its owner.")
    value: Value = Field(
        min_length=1, repr=False, description="Up to 64 KiB of text. Never given back."
    )
    owner: OwnerReference | None = Field(default=None, description="Default: your own.")
    access: Access = Field(
        default="owner",
        description="owner: for the owner's jobs; org: any member of the organisation may attach "
        "it to their jobs.",
    )


class SecretChange(BaseModel):
    """What is to be different about a secret; a field that is not given stays."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str | None = Field(default=None, pattern=NAME, max_length=128)
    value: Value | None = Field(default=None, min_length=1, repr=False)
    access: Access | None = None


class SecretAttachment(BaseModel):
    """A secret as a job asks for it, in the form of a recipe. `type` is an older name of
    `attachment_type`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    location: str = Field(
        min_length=1,
        max_length=512,
        description="The variable's name, or a path below the run's home such as ~/.netrc.",
    )
    attachment_type: Kind | None = None
    type: Kind | None = Field(default=None, description="An older name of attachment_type.")
    description: str = Field(default="", max_length=2048)
    owner: OwnerReference | None = Field(default=None, description="Default: the job's.")
    name: str = Field(pattern=NAME, max_length=128)

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = {each for each in (self.attachment_type, self.type) if each}
        if not given:
            raise ValueError("attachment_type: write environment_variable or file")
        if len(given) > 1:
            raise ValueError("attachment_type: differs from type; give only one of them")
        if self.is_file:
            home_path(self.location)
        else:
            _check_variable(self.location)
        return self

    @property
    def is_file(self) -> bool:
        return (self.attachment_type or self.type) == "file"

    @property
    def kind(self) -> Kind:
        return "file" if self.is_file else "environment_variable"

    @property
    def path(self) -> str:
        """Of a file: its path below the run's home."""
        return home_path(self.location)

    @property
    def place(self) -> str:
        """What no two attachments of a job may share: the variable or the path."""
        return f"~/{self.path}" if self.is_file else self.location


def _check_variable(name: str) -> None:
    if not VARIABLE.match(name):
        raise ValueError(f"location: {name!r} cannot be the name of a variable")
    if name.startswith("RUNHOOK_"):
        raise ValueError(f"location: {name} is set by the server")


def home_path(location: str) -> str:
    """`~/.netrc`, `.netrc` or `/home/jovyan/.netrc` → `.netrc`. ValueError, as a sentence, for what
    is no file below the run's home."""
    relative = location.removeprefix("~/").removeprefix(COMPATIBLE_HOME)
    path = PurePosixPath(relative)
    if path.is_absolute() or relative.startswith("~"):
        raise ValueError(
            "location: a file stands below the run's home; write ~/.netrc, or a relative path"
        )
    if "\x00" in relative or "\\" in relative:
        raise ValueError("location: a path is written with plain slashes")
    if ".." in path.parts or not path.parts or relative.endswith("/"):
        raise ValueError("location: the path must lead to a file below the run's home")
    if location.startswith(COMPATIBLE_HOME) and path.parts[0] in ("workspace", "git-repos"):
        raise ValueError(
            "location: a secret does not stand in the workspace; write a path below the home"
        )
    return str(path)


def check_attachments(attachments: list[SecretAttachment], taken: dict[str, str]) -> None:
    """ValueError if two attachments want one place, or a variable is in `taken` (name → where)."""
    seen: set[str] = set()
    for each in attachments:
        if each.place in seen:
            raise ValueError(f"secrets: two of them are attached at {each.location}")
        if not each.is_file and each.location in taken:
            raise ValueError(f"secrets: {each.location} is in {taken[each.location]} too")
        seen.add(each.place)
    for place in seen:
        if any(other.startswith(f"{place}/") for other in seen):
            raise ValueError(f"secrets: {place} would be a file and a folder")


class NewAttachment(BaseModel):
    """A secret to be attached to a job: one that is there (`secret_id`), or a new one."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    location: str = Field(min_length=1, max_length=512)
    attachment_type: Kind = "environment_variable"
    description: str = Field(default="", max_length=2048)
    secret_id: str | None = None
    secret: NewSecret | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.secret is None) == (self.secret_id is None):
            raise ValueError("secret_id: name a secret by its id, or give a new one as secret")
        return self


class AttachmentChange(BaseModel):
    """What is to be different about an attachment; a field that is not given stays."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    location: str | None = Field(default=None, min_length=1, max_length=512)
    attachment_type: Kind | None = None
    description: str | None = Field(default=None, max_length=2048)
    secret_id: str | None = None
    secret: NewSecret | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.secret is not None and self.secret_id is not None:
            raise ValueError("secret_id: name a secret by its id, or give a new one as secret")
        return self


@dataclass(frozen=True)
class SecretInfo:
    """A secret without its value."""

    id: str
    owner: str
    name: str
    access: Access
    created_at: datetime
    updated_at: datetime
    created_by: str | None
