"""Values as assignments in the language of a notebook, as papermill's translators write them
(papermill.readthedocs.io, "Parameterize"). Nothing in a value is ever evaluated.
"""

import json
import re
import shlex
from collections.abc import Callable
from typing import Any

CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Write = Callable[[Any], str]


def assignment(language: str, name: str, value: Any) -> str | None:
    """`name = value`; None for a language that is not known here."""
    match language:
        case "python":
            return f"{name} = {value!r}"
        case "r":
            return f"{name} = {_r(value)}"
        case "julia":
            return f"{name} = {_julia(value)}"
        case "bash":
            return f"{name}={_bash(value)}"
        case "javascript" | "typescript":
            return f"var {name} = {json.dumps(value)};"
    return None


def from_variable(language: str, name: str, text: bool) -> str | None:
    """The same for a secret, which stands in the environment variable of its name; what is no
    `text` stands there as JSON. None where nothing is to be done, or can be."""
    match language:
        case "python":
            given = f'__import__("os").environ["{name}"]'
            return f"{name} = {given}" if text else f'{name} = __import__("json").loads({given})'
        case "r":
            return f'{name} = Sys.getenv("{name}")'
        case "julia":
            return f'{name} = ENV["{name}"]'
    return None


def comment(language: str) -> str:
    """The line above them."""
    return "// Parameters" if language in ("javascript", "typescript") else "# Parameters"


def _r(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case list():
            return f"list({', '.join(map(_r, value))})"
        case dict():
            pairs = (f"{_quoted(str(name))} = {_r(each)}" for name, each in value.items())
            return f"list({', '.join(pairs)})"
        case str():
            return _quoted(value)
    return repr(value)


def _julia(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case list():
            return f"[{', '.join(map(_julia, value))}]"
        case dict():
            pairs = (f"{_julia(str(name))} => {_julia(each)}" for name, each in value.items())
            return f"Dict({', '.join(pairs)})"
        case str():
            return _quoted(value).replace("$", r"\$")
    return repr(value)


def _bash(value: Any) -> str:
    match value:
        case None:
            return ""
        case list() if not any(isinstance(each, (list, dict)) for each in value):
            return f"({' '.join(map(_bash_word, value))})"
    return _bash_word(value)


def _bash_word(value: Any) -> str:
    """One word; a value that is no text as JSON. What a prompt would stumble over is escaped."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if not CONTROL.search(text):
        return shlex.quote(text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", escaped) + "'"


def _quoted(text: str) -> str:
    """As JSON, whose escapes these languages share."""
    return json.dumps(text, ensure_ascii=False)
