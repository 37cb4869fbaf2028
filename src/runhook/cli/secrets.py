"""`runhook secrets`: list, set, remove. A value comes from standard input or a prompt, never from
the command line, which every user of the machine can read."""

import sys

import click

from runhook.cli.client import Client
from runhook.cli.login import Login
from runhook.cli.output import local_time, print_json, print_table


@click.group()
def secrets() -> None:
    """Values that jobs may use and nobody can read again."""


@secrets.command("list")
@click.argument("name", default="")
@click.option("--json", "json_wanted", is_flag=True, help="JSON instead of text.")
@click.pass_obj
def list_(obj: Login, name: str, json_wanted: bool) -> None:
    """List secrets, without their values; NAME is a part of the names wanted."""
    with Client(obj.url, obj.token) as client:
        found = list(client.secrets(name))
    if json_wanted:
        print_json(found)
        return
    rows = [
        [
            each["owner"]["name"],
            each["name"],
            each["access"],
            local_time(each["updated_at"]),
            each["id"],
        ]
        for each in found
    ]
    print_table(["OWNER", "NAME", "ACCESS", "CHANGED", "ID"], rows)


@secrets.command("set")
@click.argument("name")
@click.option("--owner", help="organisation/identity; default: your own.")
@click.option("--access", type=click.Choice(["owner", "org"]), help="Who may attach it.")
@click.pass_obj
def set_(obj: Login, name: str, owner: str | None, access: str | None) -> None:
    """Keep a value under NAME, from standard input or a prompt; one that is there is replaced.

    One line end at the end of standard input is left out.
    """
    with Client(obj.url, obj.token) as client:
        secret, made = client.set_secret(name, _value(), owner=owner, access=access)
    for warning in secret["warnings"]:
        click.echo(f"Note: {warning}", err=True)
    verb = "added" if made else "changed"
    click.echo(f"{verb} {secret['owner']['name']}/{secret['name']} ({secret['id']})")


def _value() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Value", hide_input=True, confirmation_prompt=True))
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise click.ClickException("a value is text in UTF-8; encode other bytes first") from None
    return text.removesuffix("\n").removesuffix("\r")


@secrets.command("remove")
@click.argument("name")
@click.option("--owner", help="organisation/identity; default: your own.")
@click.option("--force", is_flag=True, help="Although jobs have it attached.")
@click.pass_obj
def remove(obj: Login, name: str, owner: str | None, force: bool) -> None:
    """Forget the secret NAME."""
    with Client(obj.url, obj.token) as client:
        client.remove_secret(name, owner=owner, force=force)
    click.echo(f"removed {name}")
