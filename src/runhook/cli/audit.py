"""The command `runhook audit`: what was changed and started, by whom."""

import os
from itertools import islice
from pathlib import Path

import click

from runhook.cli.client import Client
from runhook.cli.login import Login
from runhook.cli.output import local_time, print_json, print_table

SHOWN = 30


@click.command()
@click.option("--action", default="", help="The beginning of an action, such as job or run.start.")
@click.option("--kind", default="", help="What was changed, such as job, run or user.")
@click.option("--object", "object_id", default="", metavar="ID", help="The id of what was changed.")
@click.option("--user", default="", help="Who did it: name or id.")
@click.option("--owner", default="", help="organisation/identity: whose things were changed.")
@click.option("--from", "begin", default="", metavar="INSTANT", help="Not before it.")
@click.option("--until", default="", metavar="INSTANT", help="Before it.")
@click.option("--text", default="", help="Part of a name.")
@click.option("-n", "--number", type=click.IntRange(1), default=SHOWN, help="How many to show.")
@click.option("--json", "json_wanted", is_flag=True, help="JSON instead of text.")
@click.option(
    "--export",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write all of them to this file, oldest first: JSON lines, or CSV if it ends in .csv.",
)
@click.pass_obj
def audit(
    obj: Login,
    /,
    number: int,
    json_wanted: bool,
    file: Path | None,
    object_id: str,
    begin: str,
    **filters: str,
) -> None:
    """List the newest changes and starts, or export all of them."""
    filters |= {"object": object_id, "from_": begin}
    with Client(obj.url, obj.token) as client:
        if file:
            _export(client, file, filters)
            return
        found = list(islice(client.audit(**filters), number))
    if json_wanted:
        print_json(found)
        return
    rows = [
        [
            local_time(entry["at"]),
            entry["user_name"],
            entry["via"],
            entry["action"],
            entry["object_name"],
            entry["owner"],
        ]
        for entry in found
    ]
    print_table(["AT", "WHO", "VIA", "ACTION", "WHAT", "OWNER"], rows)


def _export(client: Client, file: Path, filters: dict[str, str]) -> None:
    """Only a whole export gets the name of the file."""
    form = "csv" if file.suffix == ".csv" else "jsonl"
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with unfinished.open("xb") as output:
            for data in client.export_audit(form, **filters):
                output.write(data)
        unfinished.replace(file)
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    click.echo(f"Exported to {file} ({file.stat().st_size} bytes).", err=True)
