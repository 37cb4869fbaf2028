"""Rows of runs; `transition` is the only way a run's state changes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, and_, func, insert, or_, select, update

from runhook.model.policy import Overlap
from runhook.model.run import ACTIVE, TERMINAL, Event, Run, RunState, Trigger, sources_of
from runhook.store.database import Transaction
from runhook.store.events import record
from runhook.store.tables import jobs, new_id, runs
from runhook.store.text import clean, cleaned, storable


@dataclass(frozen=True)
class NewRun:
    """What is known of a run when it is asked for."""

    job_id: str
    job_version: int
    trigger: Trigger
    started_by: str | None
    parameters: dict[str, Any]
    created_at: datetime
    idempotency_key: str | None = None
    schedule_id: str | None = None
    scheduled_for: datetime | None = None
    overlap: Overlap = Overlap.ALLOW
    priority: int = 0
    pool: str | None = None
    not_before_at: datetime | None = None
    queue_expires_at: datetime | None = None
    caused_by: str | None = None
    replay_of: str | None = None
    commits: list[dict[str, Any]] = field(default_factory=list)
    lock_id: str | None = None
    secret_parameters: list[str] | None = None

    def expiring(self, at: datetime) -> "NewRun":
        """The same, giving up at `at` if it is still queued then."""
        return replace(self, queue_expires_at=at)


def insert_run(
    tx: Transaction, new: NewRun, state: RunState = RunState.QUEUED, reason: str | None = None
) -> Run:
    """Write the run and its first event. `state` is `queued`, or `skipped` with the reason."""
    number = tx.execute(
        update(jobs)
        .where(jobs.c.id == new.job_id)
        .values(runs_created=jobs.c.runs_created + 1)
        .returning(jobs.c.runs_created)
    ).scalar_one()
    finished_at = new.created_at if state in TERMINAL else None
    row = tx.execute(
        insert(runs)
        .values(
            **vars(new),
            id=new_id(),
            number=number,
            state=state,
            reason=reason,
            finished_at=finished_at,
        )
        .returning(runs)
    ).one()
    run = run_of(row)
    record(
        tx,
        Event(run.id, None, new.created_at, str(state), {"trigger": new.trigger, "reason": reason}),
    )
    tx.publish("queued", "runs", f"run/{run.id}", f"job/{run.job_id}")
    return run


def transition(
    tx: Transaction,
    run_id: str,
    *,
    to: RunState,
    now: datetime,
    attempt_id: str | None = None,
    only_from: RunState | None = None,
    **facts: Any,
) -> bool:
    """Move a run to state `to` if the table of transitions allows it from where it stands, or, if
    `only_from` is given, from that state alone.

    `facts` are further columns to set. False: somebody else moved it first, nothing is changed.
    """
    if to in TERMINAL:
        facts.setdefault("finished_at", now)
    facts = storable(facts)
    statement = (
        update(runs)
        .where(runs.c.id == run_id, runs.c.state.in_([only_from] if only_from else sources_of(to)))
        .values(state=to, **facts)
        .returning(runs.c.job_id)
    )
    job_id = tx.execute(statement).scalar_one_or_none()
    if job_id is None:
        return False
    data = {
        name: facts[name] for name in ("reason", "exit_code", "step") if facts.get(name) is not None
    }
    record(tx, Event(run_id, attempt_id, now, str(to), data))
    tx.publish(
        "runs", f"run/{run_id}", f"job/{job_id}", *(["queued"] if to == RunState.QUEUED else [])
    )
    return True


def update_run(tx: Transaction, run_id: str, **facts: Any) -> None:
    """Set columns other than the state, which only `transition` changes."""
    assert "state" not in facts
    tx.execute(update(runs).where(runs.c.id == run_id).values(**facts))
    tx.publish(f"run/{run_id}")


def request_cancel(tx: Transaction, run_id: str, now: datetime) -> bool:
    """Note the wish to cancel, once, if the run is active."""
    statement = (
        update(runs)
        .where(
            runs.c.id == run_id,
            runs.c.state.in_(ACTIVE),
            runs.c.cancel_requested_at.is_(None),
        )
        .values(cancel_requested_at=now)
        .returning(runs.c.job_id)
    )
    job_id = tx.execute(statement).scalar_one_or_none()
    if job_id is None:
        return False
    record(tx, Event(run_id, None, now, "cancel_requested"))
    tx.publish("cancel", f"run/{run_id}", f"job/{job_id}")
    return True


def wish_cancelled(tx: Transaction, run: Run, now: datetime, reason: str) -> bool:
    """A queued run is cancelled at once; of a living one the wish is noted, and whoever watches it
    ends it. False, and nothing is changed, if it has finished or somebody had wished it before."""
    lock_run(tx, run.id)
    if transition(
        tx, run.id, to=RunState.CANCELLED, now=now, only_from=RunState.QUEUED, reason=reason
    ):
        return True
    if not request_cancel(tx, run.id, now):
        return False
    update_run(tx, run.id, reason=clean(reason))
    return True


def lock_run(tx: Transaction, run_id: str) -> Run | None:
    """The run, held until the transaction ends: what is decided by its state stays decided. Jobs
    are locked before schedules, and these before runs."""
    row = tx.execute(select(runs).where(runs.c.id == run_id).with_for_update()).one_or_none()
    return None if row is None else run_of(row)


def get_run(tx: Transaction, run_id: str) -> Run | None:
    row = tx.execute(select(runs).where(runs.c.id == run_id)).one_or_none()
    return None if row is None else run_of(row)


def find_by_key(tx: Transaction, job_id: str, idempotency_key: str) -> Run | None:
    """The run that an earlier start with this key made."""
    row = tx.execute(
        select(runs).where(runs.c.job_id == job_id, runs.c.idempotency_key == idempotency_key)
    ).one_or_none()
    return None if row is None else run_of(row)


def find_by_fire(tx: Transaction, schedule_id: str, scheduled_for: datetime) -> Run | None:
    """The run that a fire of a schedule made."""
    row = tx.execute(
        select(runs).where(runs.c.schedule_id == schedule_id, runs.c.scheduled_for == scheduled_for)
    ).one_or_none()
    return None if row is None else run_of(row)


def find_by_cause(tx: Transaction, job_id: str, run_id: str) -> Run | None:
    """The run of this job that the success of another run made."""
    row = tx.execute(
        select(runs).where(runs.c.job_id == job_id, runs.c.caused_by == run_id)
    ).one_or_none()
    return None if row is None else run_of(row)


def add_commit(tx: Transaction, run_id: str, commit: dict[str, Any]) -> None:
    """Note a repository's commit; what an earlier attempt had checked out there is replaced."""
    run = get_run(tx, run_id)
    if run is None:
        return
    others = [known for known in run.commits if known.get("path") != commit.get("path")]
    update_run(tx, run_id, commits=[*others, cleaned(commit)])


class Duration(NamedTuple):
    """How a run ended, and how many seconds it took."""

    state: str
    seconds: float


@dataclass(frozen=True)
class RunFilter:
    """Which runs to list; None means any."""

    job_id: str | None = None
    owners: Collection[str] | None = None
    states: Collection[RunState] | None = None
    triggers: Collection[Trigger] | None = None


def list_runs(
    tx: Transaction,
    filter: RunFilter,
    *,
    size: int,
    after: tuple[datetime, str] | None = None,
    before: tuple[datetime, str] | None = None,
) -> list[Run]:
    """Newest first. `after` and `before` are (created_at, id) of the run at the edge of a page;
    with `before` the page that ends just before it."""
    statement = _filtered(select(runs), filter)
    at = runs.c.created_at
    if after:
        statement = statement.where(or_(at < after[0], and_(at == after[0], runs.c.id < after[1])))
    if before:
        statement = statement.where(
            or_(at > before[0], and_(at == before[0], runs.c.id > before[1]))
        )
        statement = statement.order_by(at, runs.c.id)
    else:
        statement = statement.order_by(at.desc(), runs.c.id.desc())
    found = [run_of(row) for row in tx.execute(statement.limit(size))]
    return found[::-1] if before else found


def recent_runs(tx: Transaction, job_ids: Sequence[str], count: int) -> dict[str, list[Run]]:
    """The newest runs of some jobs, at most `count` of each, newest first. Found by their numbers:
    however long the history is, nothing else is read."""
    statement = (
        select(runs)
        .join(jobs, jobs.c.id == runs.c.job_id)
        .where(jobs.c.id.in_(job_ids), runs.c.number > jobs.c.runs_created - count)
        .order_by(runs.c.job_id, runs.c.number.desc())
    )
    found: dict[str, list[Run]] = {job_id: [] for job_id in job_ids}
    for row in tx.execute(statement):
        found[row.job_id].append(run_of(row))
    return found


def durations(tx: Transaction, job_ids: Sequence[str], count: int) -> dict[str, list[Duration]]:
    """The outcomes of the newest runs of some jobs, of at most `count` of each, newest first."""
    statement = (
        select(runs.c.job_id, runs.c.state, runs.c.started_at, runs.c.finished_at)
        .join(jobs, jobs.c.id == runs.c.job_id)
        .where(jobs.c.id.in_(job_ids), runs.c.number > jobs.c.runs_created - count)
        .where(runs.c.started_at.is_not(None), runs.c.finished_at.is_not(None))
        .order_by(runs.c.job_id, runs.c.number.desc())
    )
    found: dict[str, list[Duration]] = {job_id: [] for job_id in job_ids}
    for row in tx.execute(statement):
        seconds = (row.finished_at - row.started_at).total_seconds()
        found[row.job_id].append(Duration(row.state, seconds))
    return found


def _filtered(statement: Select[Any], filter: RunFilter) -> Select[Any]:
    if filter.job_id is not None:
        statement = statement.where(runs.c.job_id == filter.job_id)
    if filter.owners is not None:
        owned = select(jobs.c.id).where(jobs.c.owner.in_(filter.owners))
        statement = statement.where(runs.c.job_id.in_(owned))
    if filter.states is not None:
        statement = statement.where(runs.c.state.in_(filter.states))
    if filter.triggers is not None:
        statement = statement.where(runs.c.trigger.in_(filter.triggers))
    return statement


def active_runs(tx: Transaction, job_id: str, limit: int | None = None) -> list[Run]:
    """The runs of a job that have not ended, oldest first."""
    statement = select(runs).where(runs.c.job_id == job_id, runs.c.state.in_(ACTIVE)).limit(limit)
    return [run_of(row) for row in tx.execute(statement.order_by(runs.c.created_at))]


def count_runs(tx: Transaction, state: RunState) -> int:
    """How many runs are in this state."""
    statement = select(func.count()).select_from(runs).where(runs.c.state == state)
    return int(tx.execute(statement).scalar_one())


@dataclass(frozen=True)
class Activity:
    """What a job's runs are doing: how many are `starting` or `running` (`alive`), how many of
    these execute the user's work (`running`), whether some wait in the queue, and whether one of
    the living is to be cancelled."""

    alive: int = 0
    running: int = 0
    queued: bool = False
    stopping: bool = False

    def __bool__(self) -> bool:
        return bool(self.alive or self.queued)


def activity(
    tx: Transaction, job_ids: Sequence[str], waiting: Collection[str] | None = None
) -> dict[str, Activity]:
    """The activity of each job; `waiting` are those with a run in the queue, if that is known. Its
    cost depends on how many jobs and living runs there are, not on how long the queue is."""
    living = (
        select(
            runs.c.job_id,
            func.count().label("alive"),
            func.count().filter(runs.c.state == RunState.RUNNING).label("running"),
            func.count(runs.c.cancel_requested_at).label("stopping"),
        )
        .where(runs.c.state.in_((RunState.STARTING, RunState.RUNNING)), runs.c.job_id.in_(job_ids))
        .group_by(runs.c.job_id)
    )
    queued = _with_queued_runs(tx, job_ids) if waiting is None else waiting
    found = {
        row.job_id: Activity(row.alive, row.running, row.job_id in queued, row.stopping > 0)
        for row in tx.execute(living)
    }
    return {job_id: found.get(job_id, Activity(queued=job_id in queued)) for job_id in job_ids}


def _with_queued_runs(tx: Transaction, job_ids: Sequence[str]) -> set[str]:
    waits = select(1).where(runs.c.job_id == jobs.c.id, runs.c.state == RunState.QUEUED).exists()
    return set(tx.execute(select(jobs.c.id).where(jobs.c.id.in_(job_ids), waits)).scalars())


def run_of(row: Row[Any]) -> Run:
    """A Run from a row that holds the columns of `runs`."""
    mapping = row._mapping
    values = {name: mapping[name] for name in Run.__dataclass_fields__}
    words = {
        "state": RunState(row.state),
        "trigger": Trigger(row.trigger),
        "overlap": Overlap(row.overlap),
    }
    return Run(**values | words)
