"""The page of named tokens: the list, the form, and a new one, which is shown once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData
from starlette.responses import Response

from runhook.errors import Invalid, NotFound
from runhook.model.access import ACCOUNT_ACTIONS, JOB_ACTIONS, ROLE_OF, SERVER_ACTIONS
from runhook.model.job import Job
from runhook.model.token import Token
from runhook.services import jobs, tokens
from runhook.services.tokens import Issued, Wanted
from runhook.store.database import Transaction
from runhook.web.ask import Ask, go

PAGE = "/dash/tokens"
SHOWN, MOST_JOBS = 100, 500
DAY = 86_400
LIVES: Mapping[str, int | None] = {
    "1": DAY,
    "7": 7 * DAY,
    "30": 30 * DAY,
    "90": 90 * DAY,
    "365": 365 * DAY,
    "never": None,
}
CHOICES: Sequence[tuple[str, Sequence[str]]] = (
    ("On one job, or on all", sorted(JOB_ACTIONS)),
    ("On other things", sorted(set(ROLE_OF) - JOB_ACTIONS)),
    ("On your account", sorted(ACCOUNT_ACTIONS)),
    ("On the server, for administrators", sorted(SERVER_ACTIONS)),
)


@dataclass(frozen=True)
class Typed:
    """What the form holds."""

    description: str = ""
    everything: bool = False
    actions: Sequence[str] = ()
    job_id: str = ""
    lasts: str = "90"

    @classmethod
    def of(cls, form: FormData) -> "Typed":
        texts = {name: str(form.get(name) or "") for name in ("description", "job_id", "lasts")}
        actions = [str(each) for each in form.getlist("action")]
        description = texts.pop("description").strip()
        return cls(description, form.get("reach") == "everything", actions, **texts)

    def wanted(self) -> Wanted:
        """The token that this asks for; Invalid names each field that is wrong."""
        wrong = {}
        if not 0 < len(self.description) <= tokens.LONGEST_DESCRIPTION:
            wrong["description"] = f"write 1 to {tokens.LONGEST_DESCRIPTION} characters"
        if self.lasts not in LIVES:
            wrong["lasts"] = "choose one of these"
        if self.everything and (self.actions or self.job_id):
            wrong["scope"] = "choose either everything, or only some of it"
        if not self.everything and not self.actions:
            wrong["scope"] = "tick at least one thing that the token may do"
        if wrong:
            raise Invalid("cannot make this token", details=wrong)
        suffix = f":{self.job_id}" if self.job_id else ""
        scope = None if self.everything else " ".join(each + suffix for each in self.actions)
        return Wanted(self.description, scope, LIVES[self.lasts])


async def tokens_page(ask: Ask) -> Response:
    return await _page(ask, Typed())


async def make(ask: Ask) -> Response:
    """The answer shows the new token: nothing keeps it, so there is nowhere to go on to."""
    typed = Typed.of(await ask.form())

    def work(tx: Transaction) -> Issued:
        if typed.job_id:
            jobs.get(tx, ask.caller, typed.job_id)
        return tokens.make(tx, ask.caller, typed.wanted(), ask.now)

    try:
        made = await ask.write(work)
    except Invalid as error:
        return await _page(ask, typed, 422, wrong=error.details)
    except NotFound:
        return await _page(ask, typed, 422, wrong={"job_id": "there is no such job"})
    return await _page(ask, Typed(), made=made)


async def revoke(ask: Ask) -> Response:
    token_id = ask.path("token_id")
    await ask.write(lambda tx: tokens.revoke(tx, ask.caller, token_id, ask.now))
    return go(PAGE)


async def _page(
    ask: Ask,
    typed: Typed,
    status: int = 200,
    made: Issued | None = None,
    wrong: Mapping[str, Any] | None = None,
) -> Response:
    before = ask.query("before")

    def work(tx: Transaction) -> tuple[list[Token], list[Job]]:
        edge = tokens.get(tx, ask.caller, before) if before else None
        after = (edge.created_at, edge.id) if edge else None
        found = tokens.list_page(tx, ask.caller, size=SHOWN + 1, after=after)
        return found, jobs.list_page(tx, ask.caller, size=MOST_JOBS)

    found, known = await ask.read(work)
    return ask.page(
        "tokens.html",
        status,
        tokens=found[:SHOWN],
        older=found[SHOWN - 1].id if len(found) > SHOWN else "",
        jobs=known,
        names={job.id: job.name for job in known},
        choices=[group for group in CHOICES if ask.caller.admin or group[1] != CHOICES[-1][1]],
        bindable=JOB_ACTIONS,
        lives=LIVES,
        typed=typed,
        made=made,
        wrong=wrong or {},
    )
