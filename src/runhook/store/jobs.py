"""Rows of jobs, the versions of their definitions, and their schedules."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Text, and_, cast, delete, func, insert, select, update

from runhook.bus import CREDENTIALS
from runhook.model.job import Job, JobSpec
from runhook.model.schedule import Schedule
from runhook.store.database import Transaction
from runhook.store.pages import in_page
from runhook.store.tables import job_versions, jobs, new_id, schedules, triggers


@dataclass(frozen=True)
class JobVersion:
    """A definition as it was from `created_at` on."""

    number: int
    spec: JobSpec
    created_at: datetime
    created_by: str | None


@dataclass(frozen=True)
class ArmedSchedule:
    """A schedule of a job with its state; `next_fire_at` counts only while it is not paused, and is
    None after the last fire. The run of a fire is made at `due_at`: later by the jitter."""

    id: str
    job_id: str
    position: int
    rule: Schedule
    paused: bool
    next_fire_at: datetime | None
    due_at: datetime | None
    fired_at: datetime | None


def insert_job(
    tx: Transaction, owner: str, spec: JobSpec, *, user_id: str | None, now: datetime
) -> Job:
    """A new job at version 1. The caller has made sure that (owner, name) is free."""
    row = tx.execute(
        insert(jobs)
        .values(
            id=new_id(),
            owner=owner,
            version=1,
            **_columns(spec),
            created_at=now,
            updated_at=now,
            created_by=user_id,
        )
        .returning(jobs)
    ).one()
    job = _job_of(row)
    _insert_version(tx, job, user_id, now)
    _replace_triggers(tx, job)
    tx.publish("jobs", f"job/{job.id}")
    return job


def _columns(spec: JobSpec) -> dict[str, Any]:
    """The definition, and what of it the queue looks at."""
    return {
        "name": spec.name,
        "spec": spec.recipe_spec(),
        "max_running": spec.max_running,
        "pool": spec.pool,
    }


def _replace_triggers(tx: Transaction, job: Job) -> None:
    tx.execute(delete(triggers).where(triggers.c.job_id == job.id))
    rows = [{"job_id": job.id, "kind": "after", "name": name} for name in {*job.spec.predecessors}]
    if rows:
        tx.execute(insert(triggers), rows)


def followers(tx: Transaction, job: Job) -> list[Job]:
    """The jobs of the same owner that are to run after this one has succeeded."""
    mine = and_(triggers.c.kind == "after", triggers.c.name == job.name)
    statement = select(jobs).join(triggers, triggers.c.job_id == jobs.c.id).where(mine)
    visible = and_(jobs.c.owner == job.owner, jobs.c.deleted_at.is_(None))
    return [_job_of(row) for row in tx.execute(statement.where(visible).order_by(jobs.c.id))]


def update_job(
    tx: Transaction, job: Job, spec: JobSpec, *, user_id: str | None, now: datetime
) -> Job:
    """`job` with a new definition, as a new version."""
    row = tx.execute(
        update(jobs)
        .where(jobs.c.id == job.id)
        .values(version=jobs.c.version + 1, updated_at=now, **_columns(spec))
        .returning(jobs)
    ).one()
    changed = _job_of(row)
    _insert_version(tx, changed, user_id, now)
    _replace_triggers(tx, changed)
    tx.publish("jobs", f"job/{job.id}")
    return changed


def rotate_token(tx: Transaction, job_id: str) -> int:
    """The next rotation of the job: tokens of its runs that were made before open nothing more."""
    following = jobs.c.token_rotation + 1
    statement = update(jobs).where(jobs.c.id == job_id).values(token_rotation=following)
    tx.publish(CREDENTIALS)
    return int(tx.execute(statement.returning(jobs.c.token_rotation)).scalar_one())


def _insert_version(tx: Transaction, job: Job, user_id: str | None, now: datetime) -> None:
    tx.execute(
        insert(job_versions).values(
            job_id=job.id,
            number=job.version,
            spec=job.spec.recipe_spec(),
            created_at=now,
            created_by=user_id,
        )
    )


def mark_deleted(tx: Transaction, job_id: str, now: datetime) -> None:
    """Take the job out of sight and its name and schedules out of use. Its rows stay until its
    last run has ended and its files are gone (`remove_job`)."""
    values = {"deleted_at": now, "name": f"~{job_id}"}
    tx.execute(update(jobs).where(jobs.c.id == job_id).values(**values))
    tx.execute(delete(schedules).where(schedules.c.job_id == job_id))
    tx.publish("jobs", "deleted", f"job/{job_id}")


def deleted_jobs(tx: Transaction) -> list[str]:
    """The ids of jobs that are out of sight but not removed yet."""
    return list(tx.execute(select(jobs.c.id).where(jobs.c.deleted_at.is_not(None))).scalars())


def remove_job(tx: Transaction, job_id: str) -> None:
    """Remove the job with its versions, runs, attempts and events."""
    tx.execute(delete(jobs).where(jobs.c.id == job_id))


def get_job(tx: Transaction, job_id: str) -> Job | None:
    """The job, unless it was deleted."""
    statement = select(jobs).where(jobs.c.id == job_id, jobs.c.deleted_at.is_(None))
    row = tx.execute(statement).one_or_none()
    return None if row is None else _job_of(row)


def jobs_of(tx: Transaction, job_ids: Collection[str]) -> dict[str, Job]:
    """The jobs by their ids; those that were deleted are left out."""
    statement = select(jobs).where(jobs.c.id.in_(set(job_ids)), jobs.c.deleted_at.is_(None))
    return {row.id: _job_of(row) for row in tx.execute(statement)}


def any_job(tx: Transaction, job_id: str) -> Job | None:
    """The job, also one that was deleted while its last runs end."""
    row = tx.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
    return None if row is None else _job_of(row)


def lock_job(tx: Transaction, job_id: str) -> None:
    """Let starts of one job happen one after another until the transaction ends. SQLite has one
    writer anyway."""
    if tx.dialect == "sqlite":
        return
    tx.execute(select(jobs.c.id).where(jobs.c.id == job_id).with_for_update())


def lock_name(tx: Transaction, owner: str, name: str) -> None:
    """Let jobs of one name be made one after another until the transaction ends."""
    if tx.dialect == "postgresql":
        number = func.hashtextextended(f"{owner}/{name}", 0)
        tx.execute(select(func.pg_advisory_xact_lock(number)))


def find_job(tx: Transaction, owner: str, name: str) -> Job | None:
    row = tx.execute(select(jobs).where(jobs.c.owner == owner, jobs.c.name == name)).one_or_none()
    return None if row is None else _job_of(row)


def list_jobs(
    tx: Transaction,
    *,
    size: int,
    owners: Collection[str] | None = None,
    name: str = "",
    tag: tuple[str, str] | None = None,
    after: tuple[str, str] | None = None,
    before: tuple[str, str] | None = None,
    descending: bool = False,
) -> list[Job]:
    """By name. `name` is part of the names wanted, letter case ignored; `tag` is a (key, value)
    that they have, the key without quotes and backslashes; `after` and `before` are (name, id) of
    the job at the edge of a page."""
    statement = select(jobs).where(jobs.c.deleted_at.is_(None))
    if owners is not None:
        statement = statement.where(jobs.c.owner.in_(owners))
    if name:
        statement = statement.where(jobs.c.name.icontains(name, autoescape=True))
    if tag:
        statement = statement.where(jobs.c.spec["tags"][tag[0]].as_string() == tag[1])
    page = in_page((jobs.c.name, jobs.c.id), after, before, descending)
    found = [_job_of(row) for row in tx.execute(page(statement).limit(size))]
    return found[::-1] if before else found


def jobs_with_secrets(tx: Transaction) -> list[Job]:
    """The jobs that have any secret attached, by name."""
    mentioned = cast(jobs.c.spec, Text).like('%"secrets"%')
    statement = select(jobs).where(jobs.c.deleted_at.is_(None), mentioned)
    found = [_job_of(row) for row in tx.execute(statement.order_by(jobs.c.name, jobs.c.id))]
    return [job for job in found if job.spec.secrets]


def list_versions(tx: Transaction, job_id: str) -> list[JobVersion]:
    """Every version of the definition, newest first."""
    statement = select(job_versions).where(job_versions.c.job_id == job_id)
    return [
        _version_of(row) for row in tx.execute(statement.order_by(job_versions.c.number.desc()))
    ]


def get_version(tx: Transaction, job_id: str, number: int) -> JobVersion | None:
    statement = select(job_versions).where(
        job_versions.c.job_id == job_id, job_versions.c.number == number
    )
    row = tx.execute(statement).one_or_none()
    return None if row is None else _version_of(row)


def replace_schedules(
    tx: Transaction, job_id: str, rules: Sequence[Schedule], now: datetime
) -> None:
    """Make `rules` the job's schedules. A rule that stays keeps its id, its next fire and, unless
    it says otherwise, whether it is paused, so that no fire is lost or doubled by an edit."""
    before: dict[str, list[ArmedSchedule]] = {}
    for armed in list_schedules(tx, job_id):
        before.setdefault(_timing(armed.rule), []).append(armed)
    tx.execute(delete(schedules).where(schedules.c.job_id == job_id))
    for position, rule in enumerate(rules):
        same = before.get(_timing(rule))
        known = same.pop(0) if same else None
        paused = rule.paused if rule.paused is not None else known is not None and known.paused
        resumed = known is not None and known.paused and not paused
        armed = ArmedSchedule(
            id=known.id if known else new_id(),
            job_id=job_id,
            position=position,
            rule=rule,
            paused=paused,
            next_fire_at=known.next_fire_at if known and not resumed else rule.next_fire(now),
            due_at=None,
            fired_at=known.fired_at if known else None,
        )
        armed = replace(armed, due_at=_due_at(armed))
        values = vars(armed) | {"rule": rule.model_dump(mode="json", exclude_unset=True)}
        tx.execute(insert(schedules).values(**values))
    tx.publish("schedules", f"job/{job_id}")


def _timing(rule: Schedule) -> str:
    return repr((rule.cron, rule.zone, rule.dst, rule.start, rule.end))


def _due_at(armed: ArmedSchedule) -> datetime | None:
    if armed.next_fire_at is None:
        return None
    return armed.next_fire_at + armed.rule.delay(armed.id)


def pause_schedules(tx: Transaction, job_id: str, paused: bool, now: datetime) -> None:
    """Pause every schedule of a job, or let them go on with the first fire after `now`."""
    for armed in list_schedules(tx, job_id):
        if armed.paused and not paused:
            set_next_fire(tx, armed, armed.rule.next_fire(now))
        tx.execute(update(schedules).where(schedules.c.id == armed.id).values(paused=paused))
    tx.publish("schedules", f"job/{job_id}")


def list_schedules(tx: Transaction, *job_ids: str) -> list[ArmedSchedule]:
    """The schedules of some jobs, in the order of each definition."""
    statement = select(schedules).where(schedules.c.job_id.in_(job_ids))
    return [armed_of(row) for row in tx.execute(statement.order_by(schedules.c.position))]


def lock_schedule(tx: Transaction, schedule_id: str) -> ArmedSchedule | None:
    """The schedule, held for this transaction with its job, which is locked first; None if it is
    gone."""
    statement = select(schedules).where(schedules.c.id == schedule_id)
    job_id = tx.execute(
        select(schedules.c.job_id).where(schedules.c.id == schedule_id)
    ).scalar_one_or_none()
    if job_id:
        lock_job(tx, job_id)
    row = tx.execute(statement.with_for_update()).one_or_none()
    return None if row is None else armed_of(row)


def schedules_ahead(tx: Transaction, now: datetime) -> list[str]:
    """The ids of schedules that fired at an instant which has not come: the clock was set back."""
    statement = select(schedules.c.id).where(schedules.c.fired_at > now)
    return list(tx.execute(statement).scalars())


def due_schedules(tx: Transaction, now: datetime, limit: int) -> list[str]:
    """The ids of schedules whose next fire has come, the longest due first."""
    statement = (
        select(schedules.c.id)
        .where(schedules.c.paused.is_(False), schedules.c.due_at <= now)
        .order_by(schedules.c.due_at)
        .limit(limit)
    )
    return list(tx.execute(statement).scalars())


def next_due(tx: Transaction) -> datetime | None:
    """When the next schedule of all is due, None if there is none."""
    statement = select(func.min(schedules.c.due_at)).where(schedules.c.paused.is_(False))
    earliest: datetime | None = tx.execute(statement).scalar_one()
    return earliest


def set_next_fire(
    tx: Transaction, armed: ArmedSchedule, at: datetime | None, **facts: datetime
) -> None:
    """Note when a schedule fires next (None: never again); `facts` are further columns."""
    due_at = _due_at(replace(armed, next_fire_at=at))
    values = {"next_fire_at": at, "due_at": due_at, **facts}
    tx.execute(update(schedules).where(schedules.c.id == armed.id).values(**values))


def _job_of(row: Row[Any]) -> Job:
    values = {name: row._mapping[name] for name in Job.__dataclass_fields__}
    return Job(**values | {"spec": JobSpec.model_validate(row.spec)})


def _version_of(row: Row[Any]) -> JobVersion:
    return JobVersion(row.number, JobSpec.model_validate(row.spec), row.created_at, row.created_by)


def armed_of(row: Row[Any]) -> ArmedSchedule:
    """A schedule from a row that holds the columns of `schedules`."""
    values = {name: row._mapping[name] for name in ArmedSchedule.__dataclass_fields__}
    return ArmedSchedule(**values | {"rule": Schedule.model_validate(row.rule)})
