"""`runhook tokens`: named tokens, listed, made and revoked."""

from typing import Any

import click

from runhook.cli.client import Client
from runhook.cli.login import Login
from runhook.cli.output import local_time, print_json, print_table
from runhook.model.quantity import seconds
from runhook.model.scope import START_ONE, bound

JSON = click.option("--json", "json_wanted", is_flag=True, help="JSON instead of text.")


class Duration(click.ParamType[int]):
    """`90d` → seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, context: Any) -> int:
        try:
            return max(1, round(seconds(int(value) if str(value).isdecimal() else value)))
        except ValueError as error:
            self.fail(str(error), param, context)


@click.group()
def tokens() -> None:
    """List, make and revoke tokens: one for each program, so that each can be ended by itself."""


@tokens.command("list")
@JSON
@click.pass_obj
def list_tokens(obj: Login, json_wanted: bool) -> None:
    """List your tokens, newest first."""
    with Client(obj.url, obj.token) as client:
        found = list(client.tokens())
    if json_wanted:
        print_json(found)
        return
    rows = [
        [
            each["id"],
            each["description"] or "–",
            local_time(each["expires_at"]) if each["expires_at"] else "never",
            local_time(each["last_used_at"]) if each["last_used_at"] else "never",
            "everything" if each["scope"] is None else each["scope"],
        ]
        for each in found
    ]
    print_table(["ID", "DESCRIPTION", "EXPIRES", "LAST USE", "MAY"], rows)


@tokens.command()
@click.argument("description")
@click.option("--scope", "words", multiple=True, metavar="WORD", help="Such as runs:read.")
@click.option("--job", help="For this job alone; without --scope: to start it and see how it goes.")
@click.option("--everything", is_flag=True, help="All that you may do.")
@click.option("--expires", type=Duration(), help="Such as 90d; default: never.")
@click.option("--refresh", type=Duration(), help="Have a refresh token, too, for so long.")
@JSON
@click.pass_obj
def make(
    obj: Login,
    description: str,
    words: tuple[str, ...],
    job: str | None,
    everything: bool,
    expires: int | None,
    refresh: int | None,
    json_wanted: bool,
) -> None:
    """Make a token and print it: this once, to standard output."""
    if everything == bool(words or job):
        raise click.UsageError("say what it may do: --scope, --job, or --everything alone")
    with Client(obj.url, obj.token) as client:
        actions = [word for given in words for word in given.split()]
        scope = None if everything else " ".join(actions)
        if job:
            scope = bound(actions or START_ONE, client.job_id(job))
        made = client.make_token(
            description, scope=scope, expires_in=expires, refresh_expires_in=refresh
        )
    if json_wanted:
        print_json(made)
        return
    click.echo(made["access_token"])
    if made.get("refresh_token"):
        click.echo(made["refresh_token"])
    click.echo(f"Made {made['id']}; it is not shown again.", err=True)


@tokens.command()
@click.argument("token_id")
@click.pass_obj
def revoke(obj: Login, token_id: str) -> None:
    """End the token with this id."""
    with Client(obj.url, obj.token) as client:
        client.revoke_token(token_id)
    click.echo(f"revoked {token_id}")
