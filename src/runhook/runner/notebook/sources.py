"""What a notebook's file holds: JSON in any format of notebooks, or a text that is one.

Texts are read by jupytext (jupytext.readthedocs.io): it parses and executes nothing, so it is the
runner's own, and a job needs nothing for it in its environment.
"""

import hashlib
import json
import re
from itertools import count
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
MARIMO = re.compile(r"(?ms)^(?:import|from) marimo\b.*^app\s*=\s*(?:marimo\.)?App\(")


def parsed(text: str, path: Path) -> NotebookNode:
    """As one of the present format; neither judged nor validated. The parsers raise anything."""
    if path.suffix == ".ipynb":
        return _of_json(text)
    import jupytext  # type: ignore[import-untyped]  # noqa: PLC0415  0.1 s, where needed

    notebook: NotebookNode = jupytext.reads(text, fmt={"extension": path.suffix})
    main = notebook.metadata.get("jupytext", {}).get("main_language") or "python"
    notebook.metadata.setdefault("language_info", {"name": main})
    give_ids(notebook, anew=True)
    return notebook


def is_marimo(text: str) -> bool:
    """Is a text in Python a notebook of marimo's?"""
    return bool(MARIMO.search(text))


def _of_json(text: str) -> NotebookNode:
    """What is merely missing and means nothing, metadata, is added. Format 4.5 brought the ids."""
    raw = json.loads(text)
    if isinstance(raw, dict) and raw.get("nbformat") == 4:
        raw.setdefault("metadata", {})
        if not isinstance(raw.get("cells"), list):
            raise ValueError("it has no list of cells")
        for number, cell in enumerate(raw["cells"], start=1):
            if not isinstance(cell, dict):
                raise ValueError(f"cell {number} is no cell")
            cell.setdefault("metadata", {})
    given = nbformat.reader.reads(json.dumps(raw))  # type: ignore[no-untyped-call]
    minor = given.get("nbformat_minor")
    with_ids = given.get("nbformat") == 4 and isinstance(minor, int) and minor >= 5
    notebook: NotebookNode = nbformat.from_dict(nbformat.convert(given, 4))  # type: ignore[no-untyped-call]
    if all(isinstance(cell, dict) for cell in _list(notebook.get("cells"))):
        give_ids(notebook, anew=not with_ids)
    notebook["nbformat"], notebook["nbformat_minor"] = 4, 5
    return notebook


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def give_ids(notebook: NotebookNode, *, anew: bool = False) -> None:
    """See to it that each cell has an id that no other has. One that is made follows from the
    cell's source, so that the same cell has the same id in every run."""
    taken: set[str] = set()
    for cell in _list(notebook.get("cells")):
        given = None if anew else cell.get("id")
        if not isinstance(given, str) or not ID.fullmatch(given) or given in taken:
            source = str(cell.get("source")).encode("utf-8", "replace")
            given = _free(hashlib.sha256(source).hexdigest(), taken)
        cell["id"] = given
        taken.add(given)


def _free(digest: str, taken: set[str]) -> str:
    """The first one that is free of `<digest>`, `<digest>-2`, …"""
    name = digest[:8]
    return next(each for n in count(1) if (each := f"{name}-{n}" if n > 1 else name) not in taken)
