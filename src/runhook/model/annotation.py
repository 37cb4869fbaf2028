"""Reading types of parameters as Python annotates them, by syntax alone: nothing is evaluated."""

import ast
from functools import lru_cache

from runhook.model.kind import NULL, PLAIN, SHOWN, Kind, union
from runhook.model.literal import parsed, plain

LONGEST_TYPE = 1000


@lru_cache(maxsize=512)
def kind_named(text: str) -> Kind:
    """The type that is written so. ValueError, with what can be written, if it cannot be read."""
    tree = parsed(text.strip(), "eval") if len(text) <= LONGEST_TYPE else None
    kind = read_kind(tree.body) if isinstance(tree, ast.Expression) else None
    if kind is None:
        raise ValueError(
            f"{text[:SHOWN]!r} is no type known here: write int, float, str, bool, date, datetime, "
            "list[…], dict[str, …], Literal[…], any, or one of them followed by | None"
        )
    return kind


ALIASES = {"List": "list", "Dict": "dict", "Any": "any", "NoneType": "None"}


def read_kind(node: ast.expr) -> Kind | None:
    """The type that an annotation stands for; None if it is none of ours."""
    match node:
        case ast.Constant(value=None):
            return NULL
        case ast.Constant(value=str() as text):  # a quoted annotation
            try:
                return kind_named(text)
            except ValueError:
                return None
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _union([left, right])
        case ast.Subscript(value=value, slice=inner):
            items = list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
            return _generic(_name(value), items)
    name = _name(node)
    name = ALIASES.get(name, name)
    return Kind(name) if name in PLAIN else None


def _name(node: ast.expr) -> str:
    """`List` of `List` and of `typing.List`."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(), attr=name):
            return name
    return ""


def _generic(name: str, items: list[ast.expr]) -> Kind | None:
    match ALIASES.get(name, name), items:
        case "Optional", [item]:
            inner = read_kind(item)
            return union(inner, NULL) if inner else None
        case "Union", _:
            return _union(items)
        case "Annotated", [item, *_]:
            return read_kind(item)
        case "Literal", _:
            return _literal(items)
        case "list", [item]:
            inner = read_kind(item)
            return Kind("list", (inner,)) if inner else None
        case "dict", [key, item]:
            inner = read_kind(item) if read_kind(key) == Kind("str") else None
            return Kind("dict", (inner,)) if inner else None
    return None


def _union(nodes: list[ast.expr]) -> Kind | None:
    kinds = [read_kind(node) for node in nodes]
    known = [kind for kind in kinds if kind is not None]
    return union(*known) if len(known) == len(kinds) else None


def _literal(nodes: list[ast.expr]) -> Kind | None:
    try:
        values = tuple(plain(node) for node in nodes)
    except ValueError:
        return None
    simple = all(value is None or isinstance(value, bool | int | str) for value in values)
    return Kind("literal", values=values) if simple else None
