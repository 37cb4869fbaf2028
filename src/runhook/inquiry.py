"""Asking repositories what they hold, for the API and the pages alike.

The work is done by a program of the runner, in a process of its own with a limit of time; here it
is started, given the credential by its standard input, and waited for in a thread. Only a few are
asked at the same time, so that nobody keeps the server busy by asking.
"""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any, TypeVar

from runhook.asked import Asked
from runhook.errors import Invalid, RunhookError, Unavailable
from runhook.model.comparison import Pair
from runhook.model.inference import contract_of_cell, contract_of_script
from runhook.model.inspection import RepositoryQuestion
from runhook.model.parameters import Contract
from runhook.runner.history import Commit
from runhook.runner.inspection import Answer, Document, Inspection, Request
from runhook.services import contracts, inspections
from runhook.services.parameters import WrongParameters

logger = logging.getLogger("runhook")
T = TypeVar("T")
SAVING_SECONDS = 5.0
"""How long the saving of a job waits for its notebook; after that, it is looked into meanwhile."""
AT_ONCE, WAITING = 2, 16
MOST_LOGS = 4
PATIENCE = 15.0
"""Seconds beyond the program's own limit after which it is ended."""
LARGEST_ANSWER = 32 * 1024 * 1024
PROGRAM = [sys.executable, "-m", "runhook.runner.inspection"]


class Desk:
    """How many questions are being answered, and how many wait."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)
        self._inside = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for one's turn. Unavailable if too many wait already."""
        if self._inside >= AT_ONCE + WAITING:
            raise Unavailable("too many repositories are being looked into; try again soon")
        self._inside += 1
        try:
            async with self._places:
                yield
        finally:
            self._inside -= 1


desk = Desk()
_learning: set[asyncio.Task[None]] = set()


async def inspected(ask: Asked, question: RepositoryQuestion) -> Inspection:
    """What the repository holds. NotFound or Forbidden as `services.inspections` has it; Invalid if
    the repository cannot be read, or holds no such reference or file; Unavailable if it could not
    be asked in time."""
    server, now = ask.server, ask.now
    places = server.site.places
    request = await ask.write(
        lambda tx: inspections.asked(tx, server.keys, places, ask.caller, question, now)
    )
    found = await answer_to(ask, request)
    if found.inspection:
        return found.inspection
    field = "url" if found.unreachable or not (question.reference or question.path) else "reference"
    if question.path and found.error and question.path in found.error:
        field = "path"
    sentence = found.error or "it gave no answer"
    raise Invalid(f"cannot look into this repository: {sentence}", details={field: sentence})


def contract_of_document(document: Document) -> Contract | None:
    """What a notebook or script declares; None if it is neither, or a notebook that tags no cell.
    ValueError, as a sentence, if that cannot be read."""
    if document.path.endswith(".ipynb"):
        cell = document.outline.parameters
        return None if cell is None else contract_of_cell(cell)
    if document.text is None:
        return None
    found = contract_of_script(document.text)
    return found if found.parameters else None


async def answer_to(ask: Asked, request: Request) -> Answer:
    """The answer to a request that `services.inspections` made. Unavailable if there is none."""
    if reason := ask.server.disk.reason():
        raise Unavailable(f"cannot look into repositories: {reason}")
    async with desk.place():
        text = await _run(request)
    try:
        values = json.loads(text)
        found = values.pop("inspection")
        log = values.pop("log")
        answer = Answer(
            Inspection.from_json(found) if found else None,
            log=None if log is None else [Commit(**each) for each in log],
            **values,
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Unavailable(f"looking into {request.url} failed; try again soon") from None
    if answer.host_keys:
        noted = ask.now
        await ask.write(lambda tx: inspections.note_hosts(tx, answer.host_keys, noted))
    return answer


async def _run(request: Request) -> bytes:
    """The program's answer. It ends with us: whoever hangs up ends it."""
    process = await asyncio.to_thread(_spawn)
    try:
        return await asyncio.to_thread(_talk, process, request)
    finally:
        if process.poll() is None:
            process.terminate()


def _spawn() -> "subprocess.Popen[bytes]":
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(PROGRAM, start_new_session=True, cwd="/", **pipes)


def _talk(process: "subprocess.Popen[bytes]", request: Request) -> bytes:
    with process:
        try:
            said = json.dumps(asdict(request)).encode()
            text, errors = process.communicate(said, request.seconds + PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            return b""
    if process.returncode:
        logger.error(
            "looking into a repository failed: %s", errors[-2000:].decode("utf-8", "replace")
        )
    return text if len(text) <= LARGEST_ANSWER else b""


async def with_logs(ask: Asked, owner: str, commits: Sequence[Pair]) -> list[Pair]:
    """The commits of two runs, those that differ with the log between them, where the server's
    mirror has it; of the first few repositories."""
    changed = [each for each in commits if each.url][:MOST_LOGS]
    return [
        replace(each, log=await _log_between(ask, owner, each)) if each in changed else each
        for each in commits
    ]


async def _log_between(ask: Asked, owner: str, pair: Pair) -> list[dict[str, str]] | None:
    url, since, until = pair.url or "", str(pair.other), str(pair.this)
    places, now = ask.server.site.places, ask.now
    try:
        request = await ask.read(
            lambda tx: inspections.for_log(tx, places, owner, url, since, until, now)
        )
        log = (await answer_to(ask, request)).log
    except Unavailable:
        return None
    return None if log is None else [asdict(each) for each in log]


async def learn(ask: Asked, job_id: str) -> bool:
    """Ask what the job's notebook declares, and keep it. False if there is no such notebook in a
    repository, or it was asked just now. Unavailable if the repository cannot be reached."""
    server, now = ask.server, ask.now
    places = server.site.places
    asked = await ask.read(lambda tx: contracts.question(tx, server.keys, places, job_id, now))
    if asked is None:
        return False
    place, request = asked
    answer = await answer_to(ask, request)
    if answer.unreachable:
        raise Unavailable(
            f"cannot know yet which parameters {place.path} takes: {answer.error}",
            hint="Try again when the repository can be reached, or declare the parameters in the "
            "job: declared ones are taken without asking.",
        )
    await ask.write(lambda tx: contracts.note_answer(tx, job_id, place, answer, now))
    return True


async def learn_soon(ask: Asked, job_id: str) -> None:
    """The same after a job was saved: waited for a little while, and never an error."""
    task = asyncio.create_task(_learn_quietly(ask, job_id))
    _learning.add(task)
    task.add_done_callback(_learning.discard)
    await asyncio.wait([task], timeout=SAVING_SECONDS)


async def _learn_quietly(ask: Asked, job_id: str) -> None:
    try:
        await learn(ask, job_id)
    except RunhookError as error:
        logger.info("the contract of job %s is not known yet: %s", job_id, error.message)


async def started(ask: Asked, job_id: str, start: Callable[[], Awaitable[T]]) -> T:
    """What `start` returns. If it is refused because of the parameters, the notebook is looked into
    and it is tried once more: the notebook may have been changed, or never been looked into.

    Unavailable if the repository cannot be reached and a name is given that only it could know.
    """
    try:
        return await start()
    except WrongParameters as error:
        try:
            learnt = await learn(ask, job_id)
        except Unavailable:
            if error.unknown:
                raise
            learnt = False
        if not learnt:
            raise
    return await start()
