"""Where the code comes from: git repositories, their addresses and places in the workspace."""

import re
from pathlib import PurePosixPath
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

SCHEMES = ("https", "http", "ssh", "file")
SCP_LIKE = re.compile(
    r"^(?P<user>[A-Za-z0-9_][\w.-]*)@(?P<host>[A-Za-z0-9][\w.-]*):(?P<path>[^\s:]\S*)\Z"
)
REFERENCE = re.compile(
    r"^(?!-)(?!.*(\.\.|@\{|//|\.lock(/|$)))[^\s~^:?*\[\\\x00-\x20\x7f]+(?<![/.])\Z"
)
COMMIT = re.compile(r"^[0-9a-f]{7,64}\Z")

COMPATIBLE_ROOTS = ("/home/jovyan/workspace", "/home/jovyan/git-repos")
"""Absolute places that recipes written for Saturn Cloud name; both mean the workspace here."""


class Repository(BaseModel):
    """One git repository of a job; its files stand in the workspace under `folder`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(max_length=2048)
    path: str | None = Field(default=None, max_length=512)
    reference: str | None = Field(default=None, max_length=255)
    reference_type: Literal["branch", "tag", "commit"] = "branch"
    on_restart: str | None = None
    public: bool | None = None

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        check_url(url)
        return url

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str | None) -> str | None:
        if path is not None and workspace_path(path) == ".":
            raise ValueError("a repository needs a folder of its own in the workspace")
        return path

    @model_validator(mode="after")
    def _check_reference(self) -> Self:
        if self.reference is None or self.reference == "":
            return self
        if self.reference_type == "commit" and not COMMIT.match(self.reference):
            raise ValueError("a commit is written as 7 to 64 hexadecimal digits, in lower case")
        if not REFERENCE.match(self.reference):
            raise ValueError(f"{self.reference!r} cannot be the name of a branch or tag")
        return self

    @property
    def folder(self) -> str:
        """Its folder in the workspace: `path`, else the last part of the URL without .git."""
        return workspace_path(self.path) if self.path else default_folder(self.url)


def check_url(url: str) -> None:
    """Raise ValueError, as a sentence, unless git may be given this address."""
    if SCP_LIKE.match(url):
        default_folder(url)
        return
    parts = urlsplit(url)
    odd = "://" not in url or re.search(r"[\s\\\x00-\x1f\x7f]", url)
    if parts.scheme not in SCHEMES or odd:
        raise ValueError(
            "write https://host/owner/name.git, ssh://git@host/name.git or git@host:owner/name.git"
        )
    if parts.scheme != "file" and not parts.hostname:
        raise ValueError("the address names no host")
    if (parts.hostname or "").startswith("-") or (parts.username or "").startswith("-"):
        raise ValueError("neither host nor user may begin with a dash")
    if parts.password or (parts.username and parts.scheme in ("http", "https")):
        raise ValueError(
            "leave the user and token out of the address and add them as a git credential"
        )
    default_folder(url)


def default_folder(url: str) -> str:
    """`https://host/owner/name.git` → `name`. ValueError if the address does not end in a name."""
    path = url.rpartition(":")[2] if SCP_LIKE.match(url) else urlsplit(url).path
    name = PurePosixPath(path).name.removesuffix(".git")
    if not re.match(r"^[\w][\w.+ -]*\Z", name):
        raise ValueError("the address does not end in the name of a repository")
    return name


def workspace_path(path: str) -> str:
    """`path` relative to the workspace, `.` for the workspace itself.

    Compatible absolute roots map into it. ValueError for any other absolute path, and for one that
    leaves the workspace.
    """
    for root in COMPATIBLE_ROOTS:
        if path == root or path.startswith(root + "/"):
            path = path[len(root) :].strip("/") or "."
            break
    if "\x00" in path or "\\" in path:
        raise ValueError("a path is written with plain slashes")
    relative = PurePosixPath(path)
    if relative.is_absolute() or str(relative).startswith("~"):
        raise ValueError("write a path relative to the workspace, such as materials/data")
    if ".." in relative.parts:
        raise ValueError("the path leaves the workspace: write it without '..'")
    return str(relative)
