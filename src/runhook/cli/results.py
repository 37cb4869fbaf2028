"""`runhook artifacts` and `runhook parameters`; what `runhook start` sends and prints."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import click

from runhook.cli.client import Client, ClientError
from runhook.cli.login import Login
from runhook.cli.output import exit_code, local_time, print_json, print_table
from runhook.model.command_line import text_of
from runhook.model.inference import inferred
from runhook.model.quantity import shown_bytes

JSON = click.option("--json", "json_wanted", is_flag=True, help="JSON instead of text.")


@click.command()
@click.argument("run_id")
@click.option("--get", "path", metavar="PATH", help="Fetch this file.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Where to write it; - for standard output. Default: its own name, here.",
)
@click.option(
    "--zip",
    "archive",
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Fetch all of them as a ZIP archive.",
)
@JSON
@click.pass_obj
def artifacts(
    obj: Login,
    run_id: str,
    path: str | None,
    output: Path | None,
    archive: Path | None,
    json_wanted: bool,
) -> None:
    """List the files that the run with this id left, or fetch them."""
    if path and archive:
        raise click.UsageError("give either --get or --zip")
    with Client(obj.url, obj.token) as client:
        if path:
            _write(client.artifact(run_id, path), output or Path(PurePosixPath(path).name))
        elif archive:
            _write(client.artifacts_zip(run_id), archive)
        else:
            _list(client.artifacts(run_id), json_wanted)


def _list(found: list[dict[str, Any]], json_wanted: bool) -> None:
    if json_wanted:
        print_json(found)
        return
    rows = [[f["path"], shown_bytes(f["size"]), local_time(f["modified_at"])] for f in found]
    print_table(["PATH", "SIZE", "CHANGED"], rows)


def _write(pieces: Iterable[bytes], target: Path) -> None:
    """To standard output, or to a file that is not there yet."""
    if str(target) == "-":
        for data in pieces:
            sys.stdout.buffer.write(data)
        return
    first = next(iterator := iter(pieces), b"")  # what is not there makes no file
    try:
        with target.open("xb") as file:
            file.write(first)
            for data in iterator:
                file.write(data)
    except FileExistsError:
        raise click.ClickException(f"{target} is there already: name another with -o") from None
    click.echo(f"wrote {target}", err=True)


@click.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--recipe", is_flag=True, help="As the `parameters` of a recipe.")
@JSON
def parameters(file: Any, recipe: bool, json_wanted: bool) -> None:
    """Print the contract of a notebook or script here: what it declares as its parameters.

    A notebook declares them in the cell tagged `parameters`, a script in a block `# /// runhook`.
    Nothing of it is executed. --json prints JSON Schema.
    """
    try:
        contract = inferred(file.read())
    except (ValueError, RecursionError) as error:
        raise click.ClickException(f"cannot read the parameters of {file.name}: {error}") from None
    known = contract.parameters.values()
    if recipe:
        print_json({each.name: each.long_form() for each in known if not each.written})
    elif json_wanted:
        print_json(contract.schema(Path(file.name).name))
    else:
        rows = [
            [
                each.name,
                str(each.kind),
                text_of(each.default) if each.has_default else each.written or "(needed)",
                each.help,
            ]
            for each in known
        ]
        print_table(["NAME", "TYPE", "DEFAULT", "HELP"], rows)


def typed(client: Client, job: str, given: tuple[str, ...]) -> dict[str, Any]:
    """`("year=2026", "zip=007")` as values: text for a parameter that takes text alone, else JSON,
    else text. What the job takes is asked for only if there is something to tell apart."""
    texts = [item.partition("=") for item in given]
    for (name, equals, _), item in zip(texts, given, strict=True):
        if not equals or not name:
            raise click.BadParameter(f"write NAME=VALUE instead of {item!r}")
    properties = _properties(client, job) if texts else {}
    return {
        name: text if properties.get(name, {}).get("type") == "string" else _json_or_text(text)
        for name, _, text in texts
    }


def _properties(client: Client, job: str) -> dict[str, Any]:
    try:
        return dict(client.contract(job)["properties"])
    except ClientError:  # a token that may only start; what is wrong otherwise, the start says
        return {}


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def tell_result(run: dict[str, Any]) -> int:
    """Print what a run returned, and to standard error how it ended: the exit code for it."""
    if run["result"] is not None:
        print_json(run["result"])
    reason = f": {run['reason']}" if run["reason"] else ""
    click.echo(f"run {run['number']} {run['state']}{reason}  {run['url']}", err=True)
    return exit_code(run)
