"""Rows of what jobs' notebooks were last found to declare: one for each job."""

from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.dialects import postgresql, sqlite

from runhook.model.known_contract import Told
from runhook.store.database import Transaction
from runhook.store.tables import contracts
from runhook.store.text import clean


def keep_told(tx: Transaction, job_id: str, told: Told) -> None:
    """What was told of a job's notebook, in place of what was told before."""
    values = {**vars(told), "cell": clean(told.cell, None), "problem": clean(told.problem)}
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[tx.dialect]
    statement = dialect.insert(contracts).values(job_id=job_id, **values)
    statement = statement.on_conflict_do_update(index_elements=["job_id"], set_=values)
    tx.execute(statement)
    tx.publish(f"job/{job_id}")


def get_told(tx: Transaction, job_id: str) -> Told | None:
    row = tx.execute(select(contracts).where(contracts.c.job_id == job_id)).one_or_none()
    return None if row is None else _told_of(row)


def _told_of(row: Row[Any]) -> Told:
    return Told(**{name: row._mapping[name] for name in Told.__dataclass_fields__})
