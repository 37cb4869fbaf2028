"""What the page of a run says about doing it again: the facts that make it what it was, and the
lines for a terminal that do the same by hand.
"""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from runhook.model.access import Caller
from runhook.model.command_line import filled_in, text_of
from runhook.model.job import JobSpec
from runhook.model.parameters import HIDDEN
from runhook.model.run import Run
from runhook.services import replays
from runhook.store import jobs
from runhook.store.database import Transaction
from runhook.web.ask import Ask, go

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Recipe:
    """`refusal` is the end of a sentence: why it cannot be run exactly again; `by_hand` are lines
    for bash, empty for who may not read the definition, which they tell."""

    refusal: str | None
    by_hand: str


def recipe_of(tx: Transaction, caller: Caller, run: Run, url: str) -> Recipe:
    """For a run that the caller was found to see; `url` is the server's."""
    readable = caller.scoped("jobs:read", run.job_id)
    version = jobs.get_version(tx, run.job_id, run.job_version) if readable else None
    lines = by_hand(version.spec, run, url) if version else ""
    return Recipe(replays.why_not(tx, run), lines)


def by_hand(spec: JobSpec, run: Run, url: str) -> str:
    """Lines for bash that check out, install and run what the run was. Everything that was given is
    quoted; of a secret parameter the line says that it is missing. No character steers the terminal
    that they are pasted into."""
    lines = ["mkdir workspace && cd workspace"]
    for commit in run.commits:
        folder = shlex.quote(str(commit.get("path", "")))
        lines.append(f"git clone -- {shlex.quote(str(commit.get('url', '')))} {folder}")
        lines.append(f"git -C {folder} checkout --detach {shlex.quote(commit.get('commit', ''))}")
    if run.lock_id:
        who = '-H "Authorization: token $RUNHOOK_TOKEN"'
        lines.append(f"curl {who} -o lock.txt {shlex.quote(f'{url}/api/runs/{run.id}/lock')}")
        python = f" --python {spec.python}" if spec.python else ""
        lines.append(f"uv venv{python} && uv pip sync lock.txt && source .venv/bin/activate")
    lines += _variables(spec, run.shown_parameters)
    if spec.working_directory:
        lines.append(f"cd {shlex.quote(spec.working_directory)}")
    lines += [spec.start_script] if spec.start_script else []
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", "\n".join([*lines, _work(spec, run)]))


def _variables(spec: JobSpec, parameters: Mapping[str, Any]) -> list[str]:
    values = {**(spec.environment_variables or {}), **parameters}
    return [
        f"export {name}=…   # secret: not shown"
        if value == HIDDEN
        else f"export {name}={shlex.quote(text_of(value))}"
        for name, value in values.items()
    ]


def _work(spec: JobSpec, run: Run) -> str:
    if spec.command:
        return filled_in(spec.command, run.shown_parameters)
    given = [
        f"-r {name} {shlex.quote(value)}"
        if isinstance(value, str)
        else f"-y {shlex.quote(json.dumps({name: value}))}"  # JSON is YAML
        for name, value in run.shown_parameters.items()
        if value != HIDDEN
    ]
    return " ".join(["papermill", shlex.quote(spec.notebook or ""), "out.ipynb", *given])


async def replay(ask: Ask) -> Response:
    """Run exactly this again, and show the new run."""
    run_id, keys = ask.path("run_id"), ask.server.keys
    ask.server.site.capacity.require_room()
    run = await ask.write(lambda tx: replays.replay(tx, keys, ask.caller, run_id, ask.now))
    return go(f"/dash/runs/{run.id}")
