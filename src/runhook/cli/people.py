"""The commands `runhook users` and `runhook groups`."""

import click

from runhook.cli.client import Client
from runhook.cli.login import Login
from runhook.cli.output import as_json, print_json, print_table

ROLES = ("viewer", "operator", "editor", "admin")


@click.group()
def users() -> None:
    """Accounts; for administrators of the server."""


@users.command("list")
@as_json
@click.pass_obj
def list_users(obj: Login, json_wanted: bool) -> None:
    """List accounts."""
    with Client(obj.url, obj.token) as client:
        found = client.users()
    if json_wanted:
        print_json(found)
        return
    rows = [[each["username"], _kind(each), each["email"], each["id"]] for each in found]
    print_table(["NAME", "IS", "ADDRESS", "ID"], rows)


def _kind(user: dict[str, object]) -> str:
    kind = "administrator" if user["admin"] else "user"
    return f"{kind}, disabled" if user["locked"] else kind


@users.command()
@click.argument("name")
@click.option("--email", default="", help="Their address.")
@click.option("--full-name", default="", help="Their name, in full.")
@click.option("--admin", is_flag=True, help="May administer the server.")
@click.pass_obj
def add(obj: Login, name: str, email: str, full_name: str, admin: bool) -> None:
    """Create the account NAME; prints a link with which its person sets a password, once."""
    with Client(obj.url, obj.token) as client:
        made = client.invite(name, email=email, full_name=full_name, admin=admin)
    click.echo(f"Hand this to {name}; it works once, for seven days:", err=True)
    click.echo(made["link"])


@users.command()
@click.argument("name")
@click.pass_obj
def reset(obj: Login, name: str) -> None:
    """Print a link with which NAME sets a new password, once, within a day."""
    with Client(obj.url, obj.token) as client:
        click.echo(client.reset_link(name))


@users.command()
@click.argument("name")
@click.pass_obj
def disable(obj: Login, name: str) -> None:
    """Lock NAME out at once: sessions end, tokens open nothing."""
    _lock(obj, name, True)


@users.command()
@click.argument("name")
@click.pass_obj
def enable(obj: Login, name: str) -> None:
    """Let NAME in again."""
    _lock(obj, name, False)


def _lock(obj: Login, name: str, locked: bool) -> None:
    with Client(obj.url, obj.token) as client:
        user = client.change_user(name, locked=locked)
    click.echo(f"{user['username']} is {'disabled' if user['locked'] else 'enabled'}")


@users.command("remove")
@click.argument("name")
@click.pass_obj
def remove_user(obj: Login, name: str) -> None:
    """Remove the account NAME, which must own nothing."""
    with Client(obj.url, obj.token) as client:
        client.remove_user(name)
    click.echo(f"removed {name}")


@click.group()
def groups() -> None:
    """Groups and who may do what in them."""


@groups.command("list")
@as_json
@click.pass_obj
def list_groups(obj: Login, json_wanted: bool) -> None:
    """List the groups that you belong to."""
    with Client(obj.url, obj.token) as client:
        found = client.groups()
    if json_wanted:
        print_json(found)
        return
    rows = [[each["owner"], each["description"], each["id"]] for each in found]
    print_table(["GROUP", "WHAT FOR", "ID"], rows)


@groups.command("add")
@click.argument("name")
@click.option("--description", default="", help="What it is for.")
@click.pass_obj
def add_group(obj: Login, name: str, description: str) -> None:
    """Create the group NAME; you become its admin."""
    with Client(obj.url, obj.token) as client:
        click.echo(f"created {client.add_group(name, description)['owner']}")


@groups.command("remove")
@click.argument("name")
@click.pass_obj
def remove_group(obj: Login, name: str) -> None:
    """Remove the group NAME, which must own nothing."""
    with Client(obj.url, obj.token) as client:
        client.remove_group(name)
    click.echo(f"removed {name}")


@groups.command("members")
@click.argument("name")
@as_json
@click.pass_obj
def list_members(obj: Login, name: str, json_wanted: bool) -> None:
    """List the members of the group NAME."""
    with Client(obj.url, obj.token) as client:
        found = client.members(name)
    if json_wanted:
        print_json(found)
        return
    print_table(["NAME", "ROLE"], [[each["username"], each["role"]] for each in found])


@groups.command()
@click.argument("name")
@click.argument("user")
@click.argument("role", type=click.Choice([*ROLES, "none"]))
@click.pass_obj
def role(obj: Login, name: str, user: str, role: str) -> None:
    """Give USER a role in the group NAME; none takes it back."""
    with Client(obj.url, obj.token) as client:
        client.set_role(user, None if role == "none" else role, name)
    click.echo(f"{user} is {'no member' if role == 'none' else role} of {name}")
