"""Reading a contract out of a notebook or script: its parameters, by syntax alone.

A notebook declares them in the cell tagged `parameters` (papermill's convention): assignments, with
annotations, `# type:` comments and trailing comments as help. A script declares them in a block of
the form of PEP 723, `# /// runhook` … `# ///`, with a TOML table `[parameters]`.
"""

import ast
import io
import json
import re
import tokenize
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from runhook.model.annotation import kind_named, read_kind
from runhook.model.declaration import contract_of
from runhook.model.kind import ANY, NULL, Kind, kind_of, union
from runhook.model.literal import plain, tree_of
from runhook.model.parameters import COMPUTED, REQUIRED, Contract, Parameter

TAG = "parameters"
LONGEST_WRITTEN = 200
BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
MAGIC = re.compile(r"(?m)^[ \t]*[%!].*$")
TYPE_COMMENT = re.compile(r"#\s*type:(?!\s*ignore\b)\s*([^#]+)(#.*)?$")


def inferred(source: str) -> Contract:
    """The contract of a notebook (the text of its .ipynb) or of a script; empty if it declares
    nothing. ValueError, as a sentence, if what declares it cannot be read."""
    if source.lstrip("\ufeff \t\r\n").startswith("{"):
        cell = parameters_cell(source)
        return Contract() if cell is None else contract_of_cell(cell)
    return contract_of_script(source)


def parameters_cell(notebook: str) -> str | None:
    """The source of the notebook's first cell that is tagged `parameters`, None if there is none.
    Formats 3 and 4. ValueError if this is no notebook."""
    try:
        document = json.loads(notebook.lstrip("\ufeff"))
        sheets = document.get("worksheets") or [document]
        cells = [cell for sheet in sheets for cell in sheet.get("cells", [])]
        for cell in cells:
            if cell.get("cell_type") == "code" and TAG in cell.get("metadata", {}).get("tags", []):
                text = cell.get("source", cell.get("input", ""))
                return text if isinstance(text, str) else "".join(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"this is no notebook: {error}") from None
    except (AttributeError, TypeError):
        raise ValueError("this is no notebook: its cells are not where they belong") from None
    return None


def contract_of_script(source: str) -> Contract:
    """What the script's block declares. ValueError if there are two blocks, or if one is wrong."""
    found = [match for match in BLOCK.finditer(source) if match["type"] == "runhook"]
    if not found:
        return Contract()
    if len(found) > 1:
        raise ValueError("there are two blocks `# /// runhook`: keep one")
    lines = found[0]["content"].splitlines(keepends=True)
    text = "".join(line[2:] if line.startswith("# ") else line[1:] for line in lines)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"the block `# /// runhook` is no TOML: {error}") from None
    return contract_of(_as_json(table.get("parameters", {})))


def _as_json(value: Any) -> Any:
    """TOML has dates; JSON says them as text."""
    if isinstance(value, dict):
        return {name: _as_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def contract_of_cell(source: str) -> Contract:
    """What the assignments of a cell declare. A default that is not written out, and a type that is
    not known, make it `any`, with the source beside it. ValueError if the cell is no Python; lines
    of magic (`%`, `!`) are passed over."""
    try:
        tree = tree_of(source)
    except ValueError:
        source = MAGIC.sub("", source)
        tree = tree_of(source)
    assert isinstance(tree, ast.Module)
    comments = Comments.of(source)
    found = (each for node in tree.body for each in _parameters(node, source, comments))
    return Contract.of(found)


@dataclass(frozen=True)
class Comments:
    """The comments of a source: by line, and which of them have a line of their own."""

    by_line: Mapping[int, str] = field(default_factory=dict)
    alone: frozenset[int] = frozenset()

    @classmethod
    def of(cls, source: str) -> "Comments":
        """Those of a source; what cannot be told apart any more is left out."""
        found, alone = {}, set()
        try:
            for token in tokenize.generate_tokens(io.StringIO(source).readline):
                if token.type == tokenize.COMMENT:
                    found[token.start[0]] = token.string
                    if not token.line[: token.start[1]].strip():
                        alone.add(token.start[0])
        except (tokenize.TokenError, SyntaxError):
            pass
        return cls(found, frozenset(alone))

    def type_of(self, node: ast.stmt) -> str:
        """What a `# type:` comment at the end of the statement says."""
        match = TYPE_COMMENT.match(self.by_line.get(_end(node), ""))
        return match[1].strip() if match else ""

    def help_of(self, node: ast.stmt) -> str:
        """The comment at the end of the statement, else those on the lines right above it."""
        text = self.by_line.get(_end(node), "")
        match = TYPE_COMMENT.match(text)
        trailing = _words(match[2] or "" if match else text)
        return trailing or " ".join(self._above(node.lineno)).strip()

    def _above(self, line: int) -> list[str]:
        found: list[str] = []
        while line - 1 in self.alone:
            line -= 1
            found.insert(0, _words(self.by_line[line]))
        return found


def _end(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _words(comment: str) -> str:
    return comment.lstrip("#").strip().replace("\x00", "")


def _parameters(node: ast.stmt, source: str, comments: Comments) -> Iterator[Parameter]:
    """The parameters that a statement declares."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                for name, part in _pairs(target, value):
                    note = comments.type_of(node) if isinstance(target, ast.Name) else ""
                    kind = _noted(note)
                    yield _parameter(name, kind, note, part, source, comments.help_of(node))
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
            kind = _known(annotation)
            note = _segment(source, annotation)
            yield _parameter(name, kind, note, value, source, comments.help_of(node))
        case ast.AugAssign(target=ast.Name(id=name)):
            written = _segment(source, node)
            yield Parameter(name, ANY, COMPUTED, comments.help_of(node), written=written)


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """`a, b = 1, 2` → a and 1, b and 2."""
    match target, value:
        case ast.Name(id=name), _:
            yield name, value
        case (
            (ast.Tuple(elts=names) | ast.List(elts=names)),
            (ast.Tuple(elts=values) | ast.List(elts=values)),
        ) if len(names) == len(values):
            for one, part in zip(names, values, strict=True):
                yield from _pairs(one, part)
        case ((ast.Tuple(elts=names) | ast.List(elts=names)), _):
            for one in names:
                if isinstance(one, ast.Name):
                    yield one.id, value


def _parameter(
    name: str, kind: Kind | None, note: str, value: ast.expr | None, source: str, help: str
) -> Parameter:
    """`kind` None: there is no type, or, if `note` has its source, none that is known."""
    if value is None:
        return Parameter(name, kind or ANY, REQUIRED, help, written="" if kind else note)
    try:
        default = plain(value)
    except ValueError:
        written = _segment(source, value)
        return Parameter(name, kind or ANY, COMPUTED, help, written=written)
    if kind is None:
        return Parameter(name, ANY if note else kind_of(default), default, help, written=note)
    fitting = union(kind, NULL) if default is None else kind
    if fitting.problem(default):
        return Parameter(name, ANY, default, help, written=note)
    return Parameter(name, fitting, default, help)


def _known(annotation: ast.expr) -> Kind | None:
    try:
        return read_kind(annotation)
    except RecursionError:
        return None


def _noted(note: str) -> Kind | None:
    try:
        return kind_named(note) if note else None
    except (ValueError, RecursionError):
        return None


def _segment(source: str, node: ast.AST) -> str:
    text = ast.get_source_segment(source, node) or ""
    return text if len(text) <= LONGEST_WRITTEN else f"{text[:LONGEST_WRITTEN]}…"
