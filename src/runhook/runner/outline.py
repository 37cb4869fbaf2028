"""What a notebook or script tells by its text alone: the cell of its parameters, its language, and
which modules it imports. Nothing is executed, and nothing in it is believed to be well-formed.
"""

import ast
import json
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

TAG = "parameters"
MOST_IMPORTS = 200
LONGEST_WORD = 100
MAGIC = re.compile(r"(?m)^[ \t]*[%!].*$")
CELL_MAGIC = re.compile(r"\s*%%")


@dataclass(frozen=True)
class Outline:
    """`language` and `kernel` as the notebook's metadata has them (a script's by its ending), empty
    if it says nothing. `imports` are the top-level names of modules outside Python's standard
    library, sorted. `parameters` is the source of the first cell tagged `parameters` of a notebook
    of Python. `problem` is a sentence if this is no notebook."""

    language: str = ""
    kernel: str = ""
    imports: tuple[str, ...] = ()
    parameters: str | None = None
    problem: str | None = None


def outline_of(path: str, text: str) -> Outline:
    """The outline of a file of that name; of one that is neither notebook nor Python, an empty one.
    Formats 3 and 4 of notebooks."""
    if path.endswith(".py"):
        return Outline("python", imports=_sorted(_imported(text)))
    if not path.endswith(".ipynb"):
        return Outline()
    try:
        document = json.loads(text.lstrip("\ufeff"))
        cells = list(code_cells(document))
        metadata = document.get("metadata") or {}
        spec, info = metadata.get("kernelspec") or {}, metadata.get("language_info") or {}
        language = _word(info.get("name") or spec.get("language"))
        kernel = _word(spec.get("name"))
    except (ValueError, RecursionError) as error:
        return Outline(problem=f"this is no notebook: {str(error)[:LONGEST_WORD]}")
    except (AttributeError, TypeError):
        return Outline(problem="this is no notebook: its parts are not where they belong")
    python = language.lower() in ("", "python", "ipython")
    found = {name for _, source in cells for name in _imported(source)} if python else set()
    return Outline(language, kernel, _sorted(found), parameters_of(cells) if python else None)


def code_cells(document: Any) -> Iterator[tuple[list[Any], str]]:
    """Tags and source of each cell of code. AttributeError or TypeError if it is no notebook."""
    for sheet in document.get("worksheets") or [document]:
        for cell in sheet.get("cells", []):
            if cell.get("cell_type") == "code":
                source = cell.get("source", cell.get("input", ""))
                tags = cell.get("metadata", {}).get("tags", [])
                text = source if isinstance(source, str) else "".join(source)
                yield tags if isinstance(tags, list) else [], text


def parameters_of(cells: list[tuple[list[Any], str]]) -> str | None:
    """The source of the first cell that is tagged `parameters`."""
    return next((source for tags, source in cells if TAG in tags), None)


def assigned(source: str) -> set[str] | None:
    """The names that a cell assigns at its top level; None if it is no Python."""
    tree = _tree(source)
    if tree is None:
        return None
    found: set[str] = set()
    for node in tree.body:
        match node:
            case ast.Assign(targets=targets):
                found.update(name for each in targets for name in _names(each))
            case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
                found.update(_names(target))
    return found


def _names(target: ast.expr) -> Iterator[str]:
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for each in parts:
                yield from _names(each)


def _imported(source: str) -> set[str]:
    """The modules that Python code imports, anywhere in it; none if it cannot be read."""
    tree = None if CELL_MAGIC.match(source) else _tree(source)
    found: set[str] = set()
    for node in ast.walk(tree) if tree else ():
        match node:
            case ast.Import(names=names):
                found.update(each.name.partition(".")[0] for each in names)
            case ast.ImportFrom(module=str(module), level=0):
                found.add(module.partition(".")[0])
    return found - sys.stdlib_module_names


def _tree(source: str) -> ast.Module | None:
    for text in (source, MAGIC.sub("pass", source)):
        try:
            with warnings.catch_warnings(action="ignore"):  # of escapes in somebody's strings
                return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _sorted(names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(names)[:MOST_IMPORTS])


def _word(value: Any) -> str:
    return value[:LONGEST_WORD] if isinstance(value, str) else ""
