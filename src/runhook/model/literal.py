"""Reading Python source as data: what is written out as a JSON value, and nothing else. No code of
others is ever evaluated here."""

import ast
import math
import warnings
from datetime import date, datetime
from typing import Any, Literal

LONGEST_SOURCE = 1_000_000
DEEPEST = 50
MOMENTS: dict[str, type[date]] = {"date": date, "datetime": datetime}


def parsed(source: str, mode: Literal["exec", "eval"] = "exec") -> ast.AST | None:
    """The syntax tree, None if it is no Python."""
    try:
        return tree_of(source, mode)
    except ValueError:
        return None


def tree_of(source: str, mode: Literal["exec", "eval"] = "exec") -> ast.AST:
    """The syntax tree. ValueError, as a sentence, if there is none."""
    if len(source) > LONGEST_SOURCE:
        raise ValueError(f"it is longer than {LONGEST_SOURCE} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in text that others wrote
            return ast.parse(source, mode=mode)
    except SyntaxError as error:
        raise ValueError(f"line {error.lineno or 1} is no Python: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"it cannot be read as Python: {error or 'it is nested too deep'}"
        ) from None


def plain(node: ast.expr, depth: int = 0) -> Any:
    """The JSON value that is written out there: a constant, a negative number, or a list or dict of
    such; a date or datetime of whole numbers becomes its ISO text. ValueError if it is anything
    else."""
    if depth > DEEPEST:
        raise ValueError("it is nested too deep")
    match node:
        case ast.Constant(value=value):
            return _storable(value)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=value)):
            number = _storable(value)
            if isinstance(number, int | float) and not isinstance(number, bool):
                return -number if isinstance(sign, ast.USub) else number
        case ast.List(elts=items):
            return [plain(item, depth + 1) for item in items]
        case ast.Dict(keys=keys, values=values):
            names = [plain(key, depth + 1) if key else None for key in keys]
            if all(isinstance(name, str) for name in names):
                made = (plain(value, depth + 1) for value in values)
                return dict(zip(names, made, strict=True))
        case ast.Call(func=func, args=arguments, keywords=[]):
            return _moment(func, arguments)
    raise ValueError("it is not written out as a value")


def _storable(value: object) -> Any:
    """A constant that JSON and every database can hold."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str) and not any(_unstorable(character) for character in value):
        return value
    raise ValueError("it is no value of JSON")


def _unstorable(character: str) -> bool:
    """NUL, and half of a surrogate pair."""
    return character == "\x00" or "\ud800" <= character <= "\udfff"


def _moment(func: ast.expr, arguments: list[ast.expr]) -> str:
    """`date(2026, 1, 31)` → `2026-01-31`, whatever module it is written with."""
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    numbers = [node.value for node in arguments if isinstance(node, ast.Constant)]
    whole = [number for number in numbers if type(number) is int]
    if name not in MOMENTS or len(whole) != len(arguments):
        raise ValueError("it is not written out as a value")
    try:
        return MOMENTS[name](*whole).isoformat()
    except (TypeError, ValueError, OverflowError):
        raise ValueError("it is no date") from None
