"""Which Python an environment is built on: the server's own, or another one on this machine."""

import json
import os
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from runhook.runner.report import StepFailed
from runhook.runner.spec import write_whole
from runhook.runner.uv import Uv


@dataclass(frozen=True)
class Interpreter:
    """A Python: its program, its version, and when the program was last changed (nanoseconds)."""

    path: str
    version: str
    changed: int

    def there(self) -> bool:
        """Is it still the one that was found?"""
        try:
            return os.stat(self.path).st_mtime_ns == self.changed
        except OSError:
            return False


def find_interpreter(uv: Uv, wanted: str | None) -> Interpreter:
    """The newest Python that fits `wanted`: a version (3.12, 3.12.4) or a range (>=3.11,<3.14).

    The server's own is taken where it fits, or nothing is wanted. What uv found once is kept in
    the cache, so that a process is needed only for what was not found before. StepFailed names
    those that are here, if none fits.
    """
    own = own_interpreter()
    if wanted is None or fits(own.version, wanted):
        return own
    kept = Path(uv.places.cache) / "interpreters.json"
    found = [each for each in _load(kept) if fits(each.version, wanted) and each.there()]
    if not found:
        found = [each for each in _look(uv, kept) if fits(each.version, wanted)]
    if not found and uv.places.download_python:
        uv.must(f"download Python {wanted}", "python", "install", "--quiet", wanted, cwd=Path("/"))
        found = [each for each in _look(uv, kept) if fits(each.version, wanted)]
    if not found:
        raise StepFailed(_none_fits(wanted, own, _load(kept)))
    return found[0]


def own_interpreter() -> Interpreter:
    """The one that runs this program, without the virtual environment around it."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = os.path.realpath(os.path.join(sys.base_prefix, "bin", name))
    path = base if os.access(base, os.X_OK) else os.path.realpath(sys.executable)
    version = ".".join(map(str, sys.version_info[:3]))
    return Interpreter(path, version, os.stat(path).st_mtime_ns)


def fits(version: str, wanted: str) -> bool:
    """Is `version` of the wanted version, or in the range? StepFailed if it is neither."""
    if re.fullmatch(r"\d+(\.\d+)*", wanted):
        return f"{version}.".startswith(f"{wanted}.")
    # Imported here: few jobs give a range, and the import costs 10 ms.
    from packaging.specifiers import (  # noqa: PLC0415
        InvalidSpecifier,
        SpecifierSet,
    )

    try:
        return SpecifierSet(wanted).contains(version, prereleases=True)
    except InvalidSpecifier:
        raise StepFailed(
            f"cannot choose a Python because {wanted!r} is neither a version nor a range"
        ) from None


def _load(kept: Path) -> list[Interpreter]:
    try:
        return [Interpreter(**each) for each in json.loads(kept.read_bytes())]
    except (OSError, ValueError, TypeError):
        return []


def _look(uv: Uv, kept: Path) -> list[Interpreter]:
    """The CPythons on this machine, newest first; kept for the next time."""
    words = ("python", "list", "--only-installed", "--output-format", "json")
    with open(os.devnull, "wb") as nowhere:  # it warns of every broken one on the way
        listed = uv.must("look for a Python", *words, cwd=Path("/"), output=nowhere.fileno())
    found = []
    for entry in json.loads(listed):
        path = os.path.realpath(entry["path"])
        usable = entry["implementation"] == "cpython" and entry["variant"] == "default"
        if usable and "shims" not in Path(path).parts:  # a shim's Python depends on where it is run
            found.append(Interpreter(path, entry["version"], os.stat(path).st_mtime_ns))
    found = sorted(dict.fromkeys(found), key=lambda each: _numbers(each.version), reverse=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_whole(kept, json.dumps([asdict(each) for each in found]))
    return found


def _none_fits(wanted: str, own: Interpreter, found: list[Interpreter]) -> str:
    versions = {own.version, *(each.version for each in found)}
    here = ", ".join(sorted(versions, key=_numbers, reverse=True))
    return (
        f"there is no Python {wanted} on this machine; found are {here}: ask for one of these, or "
        "have an administrator permit downloads by RUNHOOK_ENVIRONMENTS_DOWNLOAD_PYTHON=1"
    )


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
