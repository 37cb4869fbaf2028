"""`{{name}}` in a command line: the value of a parameter, quoted for the shell by us.

A value stands in single quotes of its own, so it is one word (or a part of one) and never code.
That holds only where bash reads single quotes as quotes; elsewhere (within quotes, backticks,
comments, here-documents, arithmetic, after `$`, `\\` or `[`) a placeholder is refused when the job
is saved: there the environment variable of the parameter's name does the same. Other braces, such
as papermill's `{name}` and `{{ .Names }}` of Go templates, are left as they are.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

PLACEHOLDER = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}")
SPACED = re.compile(r"\{\{\s+([A-Za-z_][A-Za-z0-9_]*)\s*\}\}|\{\{([A-Za-z_][A-Za-z0-9_]*)\s+\}\}")
EXPANSION = re.compile(r"\$\{[^\"'`$\\{}]*\}")
DOUBT = {
    "": re.compile(r"(?<!<)<<(?!<)|\(\(|\$\[|\[\[|\$\{(?!\{)|`"),
    '"': re.compile(r"\$\(|\$\{|`"),
}
END_OF = {"'": "'", "$'": "'", '"': '"', "#": "\n"}
BEFORE_COMMENT = frozenset(" \t\n;&|()<>")
LONGEST_LINE = 120 * 1024
"""Bytes; Linux takes one argument of up to 128 KiB."""


def text_of(value: Any) -> str:
    """A value as a program gets it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def quoted(text: str) -> str:
    """One word of a POSIX shell that means `text`. Always in quotes: a bare word could still be an
    assignment, a keyword or the number of a redirection."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def filled_in(command: str, parameters: Mapping[str, Any]) -> str:
    """The command line with the values in place of its placeholders."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return quoted(text_of(parameters[name])) if name in parameters else match[0]

    return PLACEHOLDER.sub(value, command)


def problem(command: str, declared: Collection[str], secret: Collection[str]) -> str | None:
    """Why its placeholders cannot be filled in, as a sentence; None if they can."""
    for match in SPACED.finditer(command):
        name = match[1] or match[2]
        if name in declared:
            return f"write {{{{{name}}}}} without spaces: {match[0]} is left to the program"
    places = [(match.start(), match[1]) for match in PLACEHOLDER.finditer(command)]
    if not places:
        return None
    safe = _places_of_words(command)
    for position, name in places:
        if name not in declared:
            return f"{{{{{name}}}}} stands for a parameter, and {name} is not declared"
        if name in secret:
            return f"{name} is secret and a command line is not: write ${name} instead"
        if position not in safe:
            return (
                f"{{{{{name}}}}} is quoted for the shell by the server, which does not work within "
                "quotes, backticks, comments, here-documents, arithmetic, or after $, \\ or [: "
                f"write ${{{name}}} there, in double quotes, for the same value"
            )
    return None


def _places_of_words(command: str) -> set[int]:
    """Where placeholders stand of which bash would read single quotes around them as quotes (Bash
    manual, 3.1.2 Quoting). In doubt, which lasts to the end of the line, a place is left out."""
    safe: set[int] = set()
    position, state = 0, ""
    while position < len(command):
        character, before = command[position], command[position - 1] if position else "\n"
        if state in ("'", "#"):
            if character == END_OF[state]:
                state = ""
        elif character == "\\":
            position += 1
        elif expansion := EXPANSION.match(command, position):
            position = expansion.end() - 1
        elif state in DOUBT and DOUBT[state].match(command, position):
            return safe
        elif state:
            if character == END_OF[state]:
                state = ""
        elif character == "'":
            state = "$'" if before == "$" else "'"
        elif character == '"':
            state = character
        elif character == "#" and before in BEFORE_COMMENT:
            state = "#"
        elif before not in "$[" and PLACEHOLDER.match(command, position):
            safe.add(position)
        position += 1
    return safe
