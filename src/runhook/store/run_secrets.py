"""Rows of the values of runs' secret parameters, encrypted."""

from collections.abc import Mapping

from sqlalchemy import insert, select, update

from runhook.store.database import Transaction
from runhook.store.tables import run_secrets


def insert_sealed(tx: Transaction, run_id: str, sealed: Mapping[str, bytes]) -> None:
    """Keep the values of a new run, by the names of the parameters."""
    if sealed:
        rows = [{"run_id": run_id, "name": name, "sealed": each} for name, each in sealed.items()]
        tx.execute(insert(run_secrets), rows)


def sealed_of(tx: Transaction, run_id: str) -> dict[str, bytes]:
    """The values of a run by the names of the parameters."""
    statement = select(run_secrets.c.name, run_secrets.c.sealed)
    found = tx.execute(statement.where(run_secrets.c.run_id == run_id))
    return {row.name: bytes(row.sealed) for row in found}


def all_sealed(tx: Transaction) -> list[tuple[str, str, bytes]]:
    """Every value: run, name, and what is sealed."""
    columns = (run_secrets.c.run_id, run_secrets.c.name, run_secrets.c.sealed)
    return [(row.run_id, row.name, bytes(row.sealed)) for row in tx.execute(select(*columns))]


def replace_sealed(tx: Transaction, run_id: str, name: str, sealed: bytes) -> None:
    """A value as it was encrypted anew."""
    statement = update(run_secrets).where(run_secrets.c.run_id == run_id)
    tx.execute(statement.where(run_secrets.c.name == name).values(sealed=sealed))
