"""How commands print: tables for people, JSON for programs, errors as sentences."""

import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NoReturn

import click

from runhook.cli.screen import harmless

EXIT_OF_STATE = {"succeeded": 0, "cancelled": 130, "timed_out": 124}


def as_json(command: Callable[..., None]) -> Callable[..., None]:
    """The option for programs."""
    return click.option("--json", "json_wanted", is_flag=True, help="JSON instead of text.")(
        command
    )


def print_json(value: Any) -> None:
    """For programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns in line, without any frame, so that it can be cut and searched."""
    rows = [[harmless(cell) for cell in row] for row in rows]
    widths = [max(len(row[index]) for row in [heads, *rows]) for index in range(len(heads))]
    for number, row in enumerate([heads, *rows]):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        line = "  ".join(cells).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 else line)


def fail(
    message: str, hint: str = "", details: dict[str, str] | None = None, code: int = 1
) -> NoReturn:
    """One sentence, a line for each wrong field, and what to do; ends the command."""
    click.echo(harmless(f"Error: {message}"), err=True)
    for name, sentence in (details or {}).items():
        click.echo(harmless(f"  {name}: {sentence}"), err=True)
    if hint:
        click.echo(hint, err=True)
    sys.exit(code)


def local_time(text: str | None) -> str:
    """An instant of the API in this machine's zone, to the second."""
    if not text:
        return "–"
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(run: dict[str, Any]) -> str:
    """How long a run took, or has taken."""
    if not run["started_at"]:
        return "–"
    end = (
        datetime.fromisoformat(run["finished_at"])
        if run["finished_at"]
        else datetime.now().astimezone()
    )
    return f"{(end - datetime.fromisoformat(run['started_at'])).total_seconds():.1f} s"


def exit_code(run: dict[str, Any]) -> int:
    """What a command that waited for the run ends with: the run's own code, where it has one."""
    if run["state"] in EXIT_OF_STATE:
        return EXIT_OF_STATE[run["state"]]
    return int(run["exit_code"] or 1)
