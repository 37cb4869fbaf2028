"""What an environment has to hold: the job's own list, and a file in its repository."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runhook.runner.report import StepFailed
from runhook.runner.spec import EnvironmentRequest

INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[ =]?\s*(\S+)", re.MULTILINE)
OPTION = re.compile(
    r"^\s*(?:-i|--index-url|--extra-index-url|--index|--default-index|-f|--find-links|--no-index|"
    r"--no-binary|--only-binary)\b.*$",
    re.MULTILINE,
)
FOLDER = re.compile(
    r"^\s*((?:-e|--editable)[ =]\s*(?![a-z]+\+)\S.*|\.{0,2}/.*|\.+|file:.*|.* @ file:.*)$",
    re.MULTILINE,
)
SCRIPT_BLOCK = re.compile(
    r"^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(?:^#(?:| .*)$\s)+)^# ///$", re.MULTILINE
)
"""The form that inline script metadata has (PEP 723)."""


@dataclass(frozen=True)
class Wanted:
    """`text` is a requirements file; `files` are more of them, or the `pyproject.toml` of a project
    whose dependencies are wanted; `locked` is a project whose `uv.lock` is.

    `python` is the version or range that the file asks for, None if it does not.
    """

    text: str
    files: tuple[Path, ...] = ()
    locked: Path | None = None
    python: str | None = None

    @property
    def bare(self) -> bool:
        """Is nothing wanted beyond what every environment holds?"""
        return not (self.text.strip() or self.files or self.locked)

    def identity(self) -> str:
        """Changes with everything that decides what is wanted, included files too."""
        paths = [path for file in self.files for path in with_included(file)]
        if self.locked:
            paths += [self.locked / "uv.lock", self.locked / "pyproject.toml"]
        return "\0".join([self.text, *(_read(path) for path in paths)])

    def options(self) -> str:
        """The lines that say where packages come from, which a list of versions does not."""
        return "\n".join(line.strip() for text in self._texts() for line in OPTION.findall(text))

    def check(self) -> None:
        """StepFailed if something is to be installed from a folder."""
        for text in self._texts():
            refuse_folders(text)

    def _texts(self) -> list[str]:
        """Every requirements file there is."""
        files = [path for file in self.files for path in with_included(file)]
        return [self.text, *(_read(path) for path in files if path.suffix != ".toml")]


def wanted_packages(request: EnvironmentRequest, workspace: Path) -> Wanted:
    """What the request comes to. StepFailed if its file is not there, leads out of the workspace,
    or cannot be read.

    Of a project its dependencies are installed, neither its groups nor itself: an environment is
    shared, and the project is the checkout.
    """
    if not request.file:
        return Wanted(request.requirements)
    path = _inside(workspace, request.file)
    if path.name == "uv.lock":
        return Wanted(request.requirements, (), path.parent, _python_of(path.parent))
    if path.name == "pyproject.toml":
        return Wanted(request.requirements, (path,), None, _python_of(path.parent))
    if path.suffix == ".py":
        return _of_script(request, path)
    return Wanted(request.requirements, (path,))


def refuse_folders(text: str) -> None:
    """StepFailed if a requirement is a folder of the workspace, which soon is gone."""
    if folder := FOLDER.search(text):
        raise StepFailed(
            f"cannot install from the folder in {folder[1]!r}, because an environment is shared by "
            "many runs: leave it out, and let the run import from its checkout (PYTHONPATH)"
        )


def _inside(workspace: Path, name: str) -> Path:
    path = (workspace / name).resolve()
    if not path.is_relative_to(workspace.resolve()):
        raise StepFailed(f"the environment file {name} leads out of the workspace")
    if not path.is_file():
        raise StepFailed(f"there is no environment file {name} in the workspace")
    return path


def _python_of(project: Path) -> str | None:
    path = project / "pyproject.toml"
    if not path.is_file():
        raise StepFailed("there is no pyproject.toml beside the environment file uv.lock")
    asked = _toml(_read(path), path.name).get("project", {}).get("requires-python")
    return str(asked) if asked else None


def _of_script(request: EnvironmentRequest, path: Path) -> Wanted:
    blocks = [match for match in SCRIPT_BLOCK.finditer(_read(path)) if match["type"] == "script"]
    if len(blocks) != 1:
        count = "several" if blocks else "no"
        raise StepFailed(f"{request.file} has {count} '# /// script' blocks; it needs one")
    lines = blocks[0]["content"].splitlines()
    block = _toml("\n".join(re.sub(r"^# ?", "", line) for line in lines), f"block of {path.name}")
    text = "\n".join([request.requirements, *map(str, block.get("dependencies", []))])
    asked = block.get("requires-python")
    return Wanted(text, python=str(asked) if asked else None)


def _toml(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StepFailed(f"cannot read the {name} because it is not TOML: {error}") from None


def with_included(file: Path, seen: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """The file and those it includes. A missing one is for uv to complain about."""
    if file in seen or not file.is_file():
        return
    yield file
    if file.suffix != ".toml":
        for name in INCLUDE.findall(_read(file)):
            yield from with_included((file.parent / name).resolve(), seen | {file})


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
