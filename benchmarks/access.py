"""What finding out who asks, and whether they may, costs a start call.

    .venv/bin/python benchmarks/access.py

An SQLite file with 10,000 accounts that have five memberships each and 10,000 named tokens. Timed,
each alone, in the process: what the gate looks up for a token, the access check of a start, and the
entry in the audit log, against the whole transaction of a start. Prints medians in milliseconds.
"""

import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from runhook.keys import Keys
from runhook.model.access import Caller, Role, User
from runhook.model.job import JobSpec
from runhook.model.run import Trigger
from runhook.services import access, audit, identities, jobs, runs, tokens
from runhook.services.tokens import Wanted
from runhook.store import identities as users
from runhook.store import people
from runhook.store.database import Database, Transaction, sqlite_url
from runhook.store.schema import prepare
from runhook.store.tables import new_id

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
PEOPLE, GROUPS, TIMES = 10_000, 50, 2_000
KEYS = Keys(b"k" * 32)


def median_ms(work: Callable[[], object]) -> float:
    """Of many times."""
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def populate(tx: Transaction) -> tuple[User, str]:
    """The accounts; one of them, and a named token of it."""
    made = None
    for number in range(PEOPLE):
        user = User(new_id(), f"person-{number}", f"main/person-{number}")
        users.insert_user(tx, user, secrets.token_hex(16), NOW)
        for each in range(5):
            owner = f"main/group-{(number + each) % GROUPS}"
            people.set_member(tx, owner, user.id, Role.OPERATOR, "manual", NOW)
        made = (user, tokens.make(tx, user.caller(), Wanted("bench", None), NOW).access)
    assert made
    return made


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(sqlite_url(Path(folder) / "bench.db"))
        prepare(database.engine)
        writes = database.engine.execution_options(writes=True)
        with writes.begin() as connection:
            tx = Transaction(connection)
            user, named = populate(tx)
            root = Caller("", "root", "main/group-0", admin=True)
            spec = JobSpec.model_validate({"name": "job", "command": "true"})
            job = jobs.create(tx, user.caller(), spec, NOW)
        with writes.begin() as connection:
            tx = Transaction(connection)
            caller = identities.caller_of_token(tx, KEYS, named, NOW)
            request = runs.StartRequest(Trigger.API)
            gate = median_ms(lambda: identities.caller_of_token(tx, KEYS, named, NOW))
            check = median_ms(lambda: access.require(caller, "jobs:start", job.owner))
            run = runs.start(tx, caller, job.id, request, NOW)
            entry = median_ms(lambda: audit.record_run(tx, root, "run.started", run, job, NOW, {}))
            whole = median_ms(lambda: runs.start(tx, caller, job.id, request, NOW))
        database.close()
    print(f"who asks (token, account, {len(caller.roles)} roles)   {gate:.3f} ms")
    print(f"may they                               {check:.4f} ms")
    print(f"entry in the audit log                 {entry:.3f} ms")
    print(f"all checks together                    {gate + check + entry:.3f} ms")
    print(f"whole transaction of a start           {whole:.3f} ms")


if __name__ == "__main__":
    main()
