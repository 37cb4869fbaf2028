"""`runhook doctor`: what this machine and the server's place on it are fit for."""

import dataclasses
import sys

import click

from runhook.cli.output import print_json
from runhook.settings import Settings

MARKS = {"ok": "ok", "warning": "warning", "broken": "BROKEN"}
COLOURS = {"ok": "green", "warning": "yellow", "broken": "red"}


def doctor(settings: Settings, json_wanted: bool) -> None:
    """Print every finding; ends with 1 if something is broken."""
    from runhook.app import facts_of  # noqa: PLC0415  client commands must not pay for it
    from runhook.doctor import examine  # noqa: PLC0415

    found = examine(facts_of(settings))
    if json_wanted:
        print_json([dataclasses.asdict(finding) for finding in found])
    else:
        for finding in found:
            mark = click.style(f"{MARKS[finding.state]:8}", fg=COLOURS[finding.state])
            click.echo(f"{mark} {finding.name:10} {finding.sentence}")
    sys.exit(any(finding.state == "broken" for finding in found))
