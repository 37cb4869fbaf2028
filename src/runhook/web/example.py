"""The example: a job that shows what a run is, made for whoever has none yet."""

from starlette.responses import Response

from runhook.errors import NotFound
from runhook.model.job import Job
from runhook.services import jobs
from runhook.store.database import Transaction
from runhook.web.ask import Ask, go

NAME = "example"
SPEC = {
    "name": NAME,
    "description": "Counts to a number, and returns it.",
    "command": (
        'for step in $(seq $to); do echo "step $step of $to"; sleep 0.5; done\n'
        "printf '\\033[32mdone\\033[0m\\n'\n"
        'echo "{\\"counted\\": $to}" > $RUNHOOK_RESULT\n'
        "seq $to > $RUNHOOK_ARTIFACTS/numbers.txt"
    ),
    "parameters": {"to": {"type": "int", "default": 5, "min": 1, "max": 60, "help": "How far."}},
}


async def make_example(ask: Ask) -> Response:
    """The caller's example, new or the one that is there, with a tour of its page."""

    def work(tx: Transaction) -> Job:
        try:
            return jobs.find(tx, ask.caller, NAME)
        except NotFound:
            return jobs.create(tx, ask.caller, jobs.parse_spec(SPEC), ask.now)

    job = await ask.write(work)
    return go(f"/dash/resources/job/{job.id}?tour=1")
