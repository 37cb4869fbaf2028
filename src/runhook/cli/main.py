"""The command `runhook`: one function a command."""

import codecs
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from runhook import __version__
from runhook.cli import people
from runhook.cli.audit import audit
from runhook.cli.client import Client, ClientError
from runhook.cli.doctor import doctor
from runhook.cli.login import Login, current_login, keep_login
from runhook.cli.output import (
    as_json,
    duration,
    exit_code,
    fail,
    local_time,
    print_json,
    print_table,
)
from runhook.cli.recipe import RecipeError, read_recipe
from runhook.cli.results import artifacts, parameters, tell_result, typed
from runhook.cli.screen import Screen, harmless
from runhook.cli.secrets import secrets
from runhook.cli.tokens import tokens
from runhook.errors import RunhookError, SettingsError
from runhook.model.quantity import shown_bytes
from runhook.settings import Settings, load

SHOWN = 30


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--url", help="The server (or RUNHOOK_URL; or the one of `runhook login`).")
@click.option("--token", help="Your user token (or RUNHOOK_TOKEN; or the one of `runhook login`).")
@click.version_option(__version__)
@click.pass_context
def cli(context: click.Context, url: str | None, token: str | None) -> None:
    """Run notebooks and scripts from git: by a call, on a schedule, or now."""
    context.obj = current_login(os.environ, url, token)


cli.add_command(secrets)


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say where a server keeps its data."""
    options = (
        click.option("--data", type=click.Path(path_type=Path), help="The server's directory."),
        click.option("--config", type=click.Path(path_type=Path), help="A runhook.toml."),
    )
    for option in options:
        command = option(command)
    return command


@cli.command()
@server_options
@click.option("--host", help="Address to listen on (default: loopback only).")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes a free one.")
def up(data: Path | None, config: Path | None, host: str | None, port: int | None) -> None:
    """Start a server, here, until Ctrl-C. Runs that live then go on."""
    from runhook.app import serve  # noqa: PLC0415  client commands must not pay for it

    serve(_settings(config, server_data=data, server_host=host, server_port=port))


@cli.command()
@server_options
def token(data: Path | None, config: Path | None) -> None:
    """Print the first administrator's user token, on the server's own machine."""
    from runhook.app import administrator_token  # noqa: PLC0415  see `up`

    click.echo(administrator_token(_settings(config, server_data=data)))


@cli.command()
@server_options
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--without-files", is_flag=True, help="Leave out logs and artifacts.")
def backup(data: Path | None, config: Path | None, file: Path, without_files: bool) -> None:
    """Write all that the server here keeps to FILE, also while it serves."""
    from runhook.backup import back_up  # noqa: PLC0415  see `up`

    settings = _settings(config, server_data=data)
    place, url, now = settings.server_data, settings.database_url, datetime.now(UTC)
    counts = back_up(place, url, file, files=not without_files, now=now)
    click.echo(f"Backed up {_counted(counts)} to {file} ({file.stat().st_size} bytes).")
    if counts["unreadable"]:
        click.echo(f"Left out: {counts['unreadable']} files that cannot be read.", err=True)
    click.echo("It holds the server's key: keep it where nobody else can read it.", err=True)


@cli.command()
@server_options
@click.argument("file", type=click.Path(path_type=Path))
def restore(data: Path | None, config: Path | None, file: Path) -> None:
    """Make the server of the backup FILE again, in an empty place."""
    from runhook.restore import restore  # noqa: PLC0415  see `up`

    place = _settings(config, server_data=data).server_data
    made = restore(
        file, place, lambda toml: _settings(config or toml, server_data=place).database_url
    )
    click.echo(
        f"Restored {_counted(made.counts)} to {place}, as of {made.manifest.created_at}"
        + ("." if made.manifest.files else ", without logs and artifacts.")
    )
    if made.lost:
        click.echo(f"Runs that lived then and will be lost: {made.lost}.", err=True)
    click.echo(f"Start it with: runhook up --data {place}", err=True)


@cli.command()
@server_options
def rotate_key(data: Path | None, config: Path | None) -> None:
    """Encrypt all stored secrets with a new key; the server here must be stopped."""
    from runhook.app import rotate_key  # noqa: PLC0415  see `up`

    done = rotate_key(_settings(config, server_data=data))
    click.echo(f"Encrypted {done.count} stored secrets anew.")
    if done.by_hand:
        click.echo(
            f"Old keys that may be taken out of the ring now: {done.dropped}, all but the first.",
            err=True,
        )
    click.echo("Backups from before need their own keys: they hold the file, if there was one.")


@cli.command("doctor")
@server_options
@click.option("--host", help="As it would be given to `runhook up`.")
@as_json
def doctor_command(
    data: Path | None, config: Path | None, host: str | None, json_wanted: bool
) -> None:
    """Say what this machine is fit for, and what is not as it should be; 1 if that is broken."""
    doctor(_settings(config, server_data=data, server_host=host), json_wanted)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in ("jobs", "runs", "files"))


def _settings(config: Path | None, **overrides: Any) -> Settings:
    return load(environ=os.environ, file=config, overrides=overrides)


@cli.command()
@click.argument("url")
@click.option("--token-stdin", is_flag=True, help="Read the token from standard input.")
def login(url: str, token_stdin: bool) -> None:
    """Keep URL and your token for later commands."""
    given = sys.stdin.readline() if token_stdin else click.prompt("User token", hide_input=True)
    wanted = Login(url.rstrip("/"), given.strip())
    with Client(wanted.url, wanted.token) as client:
        user = client.user()
    path = keep_login(os.environ, wanted)
    click.echo(f"Signed in at {wanted.url} as {user['username']}; kept in {path}", err=True)


@cli.command()
@click.argument("file", type=click.File("rb"))
@click.option("--start", is_flag=True, help="Start a run of it, too.")
@as_json
@click.pass_obj
def apply(obj: Login, file: Any, start: bool, json_wanted: bool) -> None:
    """Create or change the job that the recipe in FILE (YAML or JSON; - for stdin) describes."""
    with Client(obj.url, obj.token) as client:
        recipe = client.apply(read_recipe(file))
        for warning in recipe["warnings"]:
            click.echo(f"Note: {warning}", err=True)
        run = client.start(recipe["state"]["id"]) if start else None
    if json_wanted:
        print_json({**recipe, "run": run} if run else recipe)
        return
    state, spec = recipe["state"], recipe["spec"]
    click.echo(f"{state['action']} {spec['owner']}/{spec['name']} ({state['id']})  {state['url']}")
    if run:
        click.echo(f"started run {run['number']} ({run['id']})  {run['url']}")


@cli.command()
@click.argument("name", default="")
@as_json
@click.pass_obj
def jobs(obj: Login, name: str, json_wanted: bool) -> None:
    """List jobs; NAME is a part of the names wanted."""
    with Client(obj.url, obj.token) as client:
        found = list(client.jobs(name))
    if json_wanted:
        print_json(found)
        return
    rows = [
        [
            job["owner"]["name"],
            job["name"],
            job["status"],
            local_time(job["next_fire_at"]),
            job["id"],
        ]
        for job in found
    ]
    print_table(["OWNER", "NAME", "STATUS", "NEXT FIRE", "ID"], rows)


@cli.command()
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Show the log; end as the run ends.")
@click.option(
    "-p",
    "--parameter",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="VALUE is text where the parameter takes text, else JSON, else text.",
)
@click.option("--wait", is_flag=True, help="Wait for its end and print what it returned.")
@click.option("--key", help="Idempotency key: the same again starts nothing twice.")
@click.option("--as-of", metavar="INSTANT", help="Logical time of the run, if that is not now.")
@as_json
@click.pass_obj
def start(
    obj: Login,
    job: str,
    follow: bool,
    wait: bool,
    given: tuple[str, ...],
    key: str | None,
    as_of: str | None,
    json_wanted: bool,
) -> None:
    """Start a run of JOB (id, name or owner/name)."""
    with Client(obj.url, obj.token) as client:
        wanted: dict[str, Any] = {"idempotency_key": key, "scheduled_for": as_of}
        values = typed(client, job, given)
        if wait and not follow:
            run = client.call(job, parameters=values, **wanted)
            if json_wanted:
                print_json(run)
            sys.exit(exit_code(run) if json_wanted else tell_result(run))
        run = client.start(job, parameters=values, **wanted)
        if follow:
            sys.exit(_follow(client, run["id"]))
    if json_wanted:
        print_json(run)
    else:
        click.echo(f"started run {run['number']} ({run['id']})  {run['url']}")


def _follow(client: Client, run_id: str) -> int:
    """Show the log until the run has ended: the exit code that tells how."""
    screen = Screen(sys.stdout)
    try:
        for text in client.follow(run_id):
            screen.write(text)
    except KeyboardInterrupt:
        click.echo(f"\nThe run goes on; end it with: runhook cancel {run_id}", err=True)
        return 130
    run = client.run(run_id)
    reason = f": {run['reason']}" if run["reason"] else ""
    click.echo(harmless(f"run {run['number']} {run['state']}{reason}  {run['url']}"), err=True)
    return exit_code(run)


@cli.command()
@click.argument("job")
@click.option("--from", "begin", required=True, metavar="INSTANT", help="The first, included.")
@click.option("--until", required=True, metavar="INSTANT", help="The end, not included.")
@click.option("--schedule", type=int, default=0, help="Which of the job's schedules, from 0.")
@as_json
@click.pass_obj
def backfill(
    obj: Login, job: str, begin: str, until: str, schedule: int, json_wanted: bool
) -> None:
    """Run a schedule of JOB as of the past: once for each fire between two instants."""
    with Client(obj.url, obj.token) as client:
        found = client.backfill(job, begin, until, schedule)
    if json_wanted:
        print_json(found)
        return
    rows = [[str(run["number"]), run["state"], run["scheduled_for"], run["id"]] for run in found]
    print_table(["RUN", "STATE", "SCHEDULED FOR", "ID"], rows)


@cli.command()
@click.argument("job", required=False)
@as_json
@click.pass_obj
def runs(obj: Login, job: str | None, json_wanted: bool) -> None:
    """List the newest runs, of JOB or of all jobs."""
    with Client(obj.url, obj.token) as client:
        found = [run for run, _ in zip(client.runs(job), range(SHOWN), strict=False)]
    if json_wanted:
        print_json(found)
        return
    rows = [
        [
            str(run["number"]),
            run["state"],
            run["trigger"],
            local_time(run["created_at"]),
            duration(run),
            run["id"],
        ]
        for run in found
    ]
    print_table(["RUN", "STATE", "TRIGGER", "CREATED", "TOOK", "ID"], rows)


@cli.command()
@click.argument("run_id")
@click.option("-f", "--follow", is_flag=True, help="Until the run ends; end as it ends.")
@click.pass_obj
def logs(obj: Login, run_id: str, follow: bool) -> None:
    """Print the log of the run with this id."""
    with Client(obj.url, obj.token) as client:
        if follow:
            sys.exit(_follow(client, run_id))
        if sys.stdout.isatty():
            screen, decoder = Screen(sys.stdout), codecs.getincrementaldecoder("utf-8")("replace")
            for data in client.log(run_id):
                screen.write(decoder.decode(data))
            return
        for data in client.log(run_id):
            sys.stdout.buffer.write(data)


@cli.command()
@click.argument("run_id")
@click.pass_obj
def cancel(obj: Login, run_id: str) -> None:
    """End the run with this id."""
    with Client(obj.url, obj.token) as client:
        run = client.cancel(run_id)
    click.echo(
        f"run {run['number']} is {run['state']}" + (", ending" if not run["finished_at"] else "")
    )


@cli.command()
@server_options
@click.option("--file", type=click.Path(path_type=Path), help="Write a connection file instead.")
@click.argument("run_id")
@click.pass_obj
def attach(
    obj: Login, data: Path | None, config: Path | None, file: Path | None, run_id: str
) -> None:
    """Open a console in the held kernel of a failed run, on the server's machine."""
    from runhook.cli.attach import attach  # noqa: PLC0415  only here are kernels spoken to

    attach(obj, run_id, _settings(config, server_data=data).server_data, file)


@cli.command()
@click.argument("run_id")
@click.pass_obj
def release(obj: Login, run_id: str) -> None:
    """Let the kernel go that is held of a failed run."""
    with Client(obj.url, obj.token) as client:
        run = client.release(run_id)
    click.echo(f"no kernel of run {run['number']} is held any longer")


@cli.command()
@click.argument("job")
@as_json
@click.pass_obj
def webhooks(obj: Login, job: str, json_wanted: bool) -> None:
    """List the webhooks of JOB with what their senders need: address and secret."""
    with Client(obj.url, obj.token) as client:
        found = client.webhooks(job)
    if json_wanted:
        print_json(found)
        return
    rows = [[each["name"], each["source"], each["url"], each["secret"]] for each in found]
    print_table(["NAME", "SOURCE", "URL", "SECRET"], rows)


@cli.command()
@click.argument("run_id")
@click.pass_obj
def pin(obj: Login, run_id: str) -> None:
    """Keep the run with this id whatever retention says."""
    _pin(obj, run_id, True)


@cli.command()
@click.argument("run_id")
@click.pass_obj
def unpin(obj: Login, run_id: str) -> None:
    """Keep the run with this id no longer than others."""
    _pin(obj, run_id, False)


def _pin(obj: Login, run_id: str, pinned: bool) -> None:
    with Client(obj.url, obj.token) as client:
        run = client.pin(run_id, pinned)
    click.echo(f"run {run['number']} is {'pinned' if run['pinned'] else 'not pinned'}")


@cli.command()
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@as_json
@click.pass_obj
def prune(obj: Login, dry_run: bool, json_wanted: bool) -> None:
    """Remove what retention does not keep: logs, artifacts, leftovers, caches."""
    with Client(obj.url, obj.token) as client:
        going = client.prune(dry_run)
    if json_wanted:
        print_json(going)
        return
    rows = [[f"{run['job']} {run['number']}", run] for run in going["runs"]]
    rows += [[each["name"], each] for each in going["caches"] + going["leftovers"]]
    if rows:
        heads = ["WHAT", "SIZE", "WHY"]
        print_table(heads, [[n, shown_bytes(each["bytes"]), each["reason"]] for n, each in rows])
    verb = "would go" if dry_run else "is being removed"
    free = shown_bytes(going["free_bytes"])
    click.echo(f"{shown_bytes(going['bytes'])} {verb}; {free} free", err=True)
    if going["disk"]:
        click.echo(f"Note: {going['disk']}", err=True)


cli.add_command(tokens)
cli.add_command(audit)
cli.add_command(people.users)
cli.add_command(people.groups)
cli.add_command(artifacts)
cli.add_command(parameters)


def main() -> None:
    """The entry point: what goes wrong is a sentence, never a traceback."""
    try:
        cli()
    except SettingsError as error:
        fail(error.message, error.hint, code=2)
    except (ClientError, RunhookError) as error:
        fail(error.message, error.hint, error.details)
    except RecipeError as error:
        fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
