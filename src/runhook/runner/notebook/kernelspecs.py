"""Kernels of other languages than Python: where they are found, and how they are started.

A kernelspec (jupyter-client.readthedocs.io, "Kernel specs") is looked for in the job's environment
and then on the machine. A package of the environment that is a kernel, but has none, will do.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from runhook.runner.collect import READ

MACHINE = ("/usr/local/share/jupyter/kernels", "/usr/share/jupyter/kernels")
MODULES = {"bash": "bash_kernel"}
"""Packages that install their kernelspec only when they are asked to."""
LARGEST = 64 * 1024
INTERPRETERS = ("python", "python3")


@dataclass(frozen=True)
class Spec:
    """A kernel that can be started: `argv` with `{connection_file}` where that is to stand."""

    name: str
    language: str
    argv: list[str]
    variables: dict[str, str] = field(default_factory=dict)
    interrupts: Literal["signal", "message"] = "signal"


def python_kernel(python: Path) -> Spec:
    """The one for notebooks in Python, whatever they name: the environment's interpreter."""
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    return Spec("python3", "python", argv)


def find(language: str, name: str, python: Path) -> Spec | None:
    """A kernel for the language, of that name if there is one; the environment's come first."""
    found = [spec for spec in all_specs(python) if spec.language == language]
    named = [spec for spec in found if spec.name == name.lower()]
    return next(iter([*named, *found]), None)


def all_specs(python: Path) -> Iterator[Spec]:
    """All kernels of other languages, the environment's first."""
    prefix = python.parent.parent
    for place in (prefix / "share" / "jupyter" / "kernels", *map(Path, MACHINE)):
        for folder in sorted(place.glob("*")):
            with suppress(OSError, ValueError, TypeError):
                spec = _read(folder, python)
                if spec.language != "python":
                    yield spec
    for language, module in MODULES.items():
        if any(prefix.glob(f"lib/python3*/site-packages/{module}/__main__.py")):
            yield Spec(language, language, [str(python), "-m", module, "-f", "{connection_file}"])


def _read(folder: Path, python: Path) -> Spec:
    with open(os.open(folder / "kernel.json", READ), "rb") as file:
        values: dict[str, Any] = json.loads(file.read(LARGEST))
    argv = [str(word).replace("{resource_dir}", str(folder)) for word in values["argv"]]
    if argv[0] in INTERPRETERS:
        argv[0] = str(python)
    variables = {str(key): str(each) for key, each in (values.get("env") or {}).items()}
    by: Literal["signal", "message"] = (
        "message" if values.get("interrupt_mode") == "message" else "signal"
    )
    return Spec(folder.name.lower(), str(values["language"]).lower(), argv, variables, by)
