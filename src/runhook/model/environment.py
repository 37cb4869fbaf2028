"""What a job wants installed, as it was written and as a list of requirements."""

import re
import shlex
from typing import Any, Literal

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import BaseModel, ConfigDict, Field, field_validator

from runhook.model.source import workspace_path

PYTHON_VERSION = re.compile(r"^3\.\d{1,2}(\.\d{1,3})?$")
OTHER_INSTALLERS = ("conda", "apt", "cran", "remotes", "bioconductor")


class PipPackages(BaseModel):
    """The structured pip section: a line of requirements, or the text of a requirements file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    install: str | None = None
    requirements_txt: str | None = None


class ExtraPackages(BaseModel):
    """Packages beside those of the base environment, in the form a recipe gives them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pip: str | PipPackages | None = None
    conda: Any = None
    apt: Any = None
    cran: Any = None
    remotes: Any = None
    bioconductor: Any = None

    @field_validator("pip")
    @classmethod
    def _check_pip(cls, pip: str | PipPackages | None) -> str | PipPackages | None:
        pip_requirements(pip)
        return pip

    def requirements(self) -> str:
        """The pip section as the text of a requirements file; empty if there is none."""
        return pip_requirements(self.pip)

    def not_installed(self) -> list[str]:
        """The installers named here that this server does not offer."""
        return [name for name in OTHER_INSTALLERS if _says_something(getattr(self, name))]


class EnvironmentSpec(BaseModel):
    """Requirements that stand in the repository, and when they are resolved anew."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str | None = Field(
        default=None,
        description="Workspace path of a requirements file, project, uv.lock or script.",
    )
    refresh: Literal["keep", "always"] = Field(
        default="keep",
        description="keep: resolve once, until the requirements change; always: at every start.",
    )

    @field_validator("file")
    @classmethod
    def _check_file(cls, file: str | None) -> str | None:
        if file is not None and not re.search(
            r"(\.txt|\.in|\.py|/?pyproject\.toml|/?uv\.lock)$", workspace_path(file)
        ):
            raise ValueError(
                "name a requirements file (.txt, .in), pyproject.toml, uv.lock or a script (.py)"
            )
        return file


def pip_requirements(pip: str | PipPackages | None) -> str:
    """The text of a requirements file for any of the ways to write a pip section.

    ValueError names the first thing that is not a requirement.
    """
    if pip is None:
        return ""
    if isinstance(pip, str):
        return "\n".join(_requirements_of_line(line) for line in pip.splitlines() if line.strip())
    lines = [
        _requirements_of_line(line) for line in (pip.install or "").splitlines() if line.strip()
    ]
    return "\n".join([*lines, *(pip.requirements_txt or "").splitlines()]).strip()


def _requirements_of_line(line: str) -> str:
    """One line holds one requirement (`pandas >= 2`) or several, as after `pip install`."""
    line = re.sub(r"(^|\s)#.*$", "", line).strip()
    if not line or _is_requirement(line):
        return line
    words = shlex.split(line)
    for word in words:
        if word.startswith("-"):
            raise ValueError(
                f"{word}: options belong in a requirements file, not in the list of packages"
            )
        if not _is_requirement(word):
            raise ValueError(f"{word!r} is not a package requirement such as pandas>=2")
    return "\n".join(words)


def _is_requirement(text: str) -> bool:
    if re.match(r"^(git\+)?(https|ssh)://\S+$", text):
        return True
    try:
        Requirement(text)
    except InvalidRequirement:
        return False
    return True


def _says_something(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_says_something(item) for item in value.values())
    return bool(value)
