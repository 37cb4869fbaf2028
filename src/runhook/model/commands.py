"""Several commands in the place of one: a list, which the compatible contract writes as JSON text
(`"[\"echo 1\", \"echo 2\"]"`). Each is a line for bash; the first has rank 0."""

import json
from typing import Any

MOST_COMMANDS = 10_000
LONGEST_COMMAND = 100_000
LONGEST_LIST = 2 * 1024 * 1024
"""Characters of a line, and of the text that stands for a list of them."""
MOST_COPIES = 256
"""How often one line runs beside itself: as many as a runner has places for."""


def as_text(command: Any) -> Any:
    """A list as the text that stands for it; anything else as it is. ValueError, as a sentence, for
    a line that is too long, and for a list that holds anything but lines to run."""
    if isinstance(command, list):
        _check(command)
        command = json.dumps(command, ensure_ascii=False)
    elif isinstance(command, str):
        lines = _parsed(command)
        if lines is None:
            _check_length(command)
            return command
        _check(lines)
    if isinstance(command, str) and len(command) > LONGEST_LIST:
        raise ValueError(f"a list of commands has at most {LONGEST_LIST} characters, as JSON text")
    return command


def listed(command: str) -> list[str]:
    """The lines, if the text stands for a list; else none. A line for bash may begin with a bracket
    as well (`[ -f x ] && y`), but it is no JSON."""
    return _parsed(command) or []


def _parsed(command: str) -> list[Any] | None:
    if not command.lstrip().startswith("["):
        return None
    try:
        value = json.loads(command)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def _check(lines: list[Any]) -> None:
    if not 0 < len(lines) <= MOST_COMMANDS:
        raise ValueError(f"a list of commands has 1 to {MOST_COMMANDS} of them")
    if not all(isinstance(line, str) and line.strip() for line in lines):
        raise ValueError("a list of commands holds lines of text, none of them empty")
    for line in lines:
        _check_length(line)


def _check_length(line: str) -> None:
    if len(line) > LONGEST_COMMAND:
        raise ValueError(f"a command has at most {LONGEST_COMMAND} characters")
