"""In which language a notebook is written, whatever kernel its metadata names."""

from typing import Any

from nbformat import NotebookNode

PYTHON = "python"
ALIASES = {"python3": PYTHON, "python2": PYTHON, "ipython": PYTHON, "sh": "bash", "shell": "bash"}
NAMES = {"ir": "r", "bash": "bash", "julia": "julia", "deno": "typescript", "irkernel": "r"}
"""Kernels that are usually called so, for a notebook that says nothing but the name."""


def language_of(notebook: NotebookNode) -> str:
    """In lower case. A notebook that says nothing, or names only a kernel that nobody knows, is one
    in Python: the name of a kernel is that of an environment on somebody's machine."""
    spec = _table(notebook.metadata.get("kernelspec"))
    info = _table(notebook.metadata.get("language_info"))
    given = spec.get("language") or info.get("name")
    if isinstance(given, str) and given.strip():
        language = given.strip().lower()
        return ALIASES.get(language, language)
    name = kernel_name(notebook).lower()
    return NAMES.get(name, NAMES.get(name.partition("-")[0], PYTHON))


def kernel_name(notebook: NotebookNode) -> str:
    """What the metadata calls the kernel; empty if it names none."""
    name = _table(notebook.metadata.get("kernelspec")).get("name")
    return name if isinstance(name, str) else ""


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
