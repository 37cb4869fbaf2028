"""The rows of every table in a form that either database takes: what a backup holds of them.

A row is a mapping of what JSON can say: instants are integers as they are stored, bytes are base64.
Tables and columns are those of the revision the rows were read at, whatever has become of them in a
newer program: they are read off a scratch database that was migrated to that revision.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    Table,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import SQLAlchemyError, StatementError

from runhook.errors import Conflict, Unavailable
from runhook.store.database import Transaction
from runhook.store.schema import exclude_others, migrate, revision_of, revisions
from runhook.store.tables import Json

FETCHED = 1000

PortableRow = dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """All of a database at one moment: (table, row) with referenced tables before those that
    refer to them. `rows` can be gone through once."""

    revision: str
    rows: Iterator[tuple[str, PortableRow]]


@contextmanager
def snapshot(engine: Engine) -> Iterator[Snapshot]:
    """The database as it is now, for as long as the block lasts; others go on writing meanwhile.

    Conflict if it holds no tables, or those of a newer program; Unavailable if it cannot be read.
    """
    with _sentences("read"), engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        revision = revision_of(connection)
        if revision is None:
            raise Conflict("cannot back up the database because it is empty: no server used it yet")
        require_known(revision, "the database")
        yield Snapshot(revision, _rows(connection, revision))


def _rows(connection: Connection, revision: str) -> Iterator[tuple[str, PortableRow]]:
    for table in tables_at(revision).sorted_tables:
        packed = [column.name for column in table.columns if _is_binary(column)]
        statement = select(table).order_by(*table.primary_key.columns)
        for row in connection.execute(statement.execution_options(yield_per=FETCHED)).mappings():
            values = dict(row)
            for name in packed:
                values[name] = None if row[name] is None else b64encode(row[name]).decode()
            yield table.name, values


class Loader:
    """Fills an empty database with the rows of a snapshot."""

    def __init__(self, connection: Connection, revision: str) -> None:
        self._connection = connection
        self._tables = tables_at(revision).tables
        migrate(connection, revision)

    def insert(self, name: str, rows: Sequence[PortableRow]) -> None:
        """Rows of one table; what they refer to must be there. ValueError if they do not fit."""
        table = self._tables.get(name)
        columns = set() if table is None else set(table.columns.keys())
        if table is None or any(not isinstance(row, dict) or row.keys() != columns for row in rows):
            raise ValueError(f"its rows of {name} are not those of such a table")
        packed = [column.name for column in table.columns if _is_binary(column)]
        if rows:
            self._connection.execute(insert(table), [_unpacked(row, packed) for row in rows])

    def finish(self) -> Transaction:
        """After the last row: numbers go on behind those used, and the tables are brought to the
        present revision. What is still to be changed can be changed with what this returns."""
        if self._connection.dialect.name == "postgresql":
            for table in self._tables.values():
                _advance(self._connection, table)
        migrate(self._connection)
        return Transaction(self._connection)


@contextmanager
def loading(engine: Engine, revision: str) -> Iterator[Loader]:
    """A loader, all in one transaction: if the block fails, the database is as empty as before.

    Conflict if the database holds tables; Unavailable if it cannot be written.
    """
    with _sentences("write"), engine.connect() as connection:
        exclude_others(connection)
        if inspect(connection).get_table_names():
            raise Conflict(
                "cannot restore into the database because it holds tables already",
                hint="Name an empty database; nothing was changed.",
            )
        yield Loader(connection, revision)
        connection.commit()


def require_known(revision: str, whose: str) -> None:
    """Conflict if a newer program made tables of this revision; `whose` they are is in words."""
    if revision not in revisions():
        raise Conflict(
            f"cannot use {whose}: a newer Runhook made it, with database revision {revision}",
            hint="Upgrade Runhook first.",
        )


def tables_at(revision: str) -> MetaData:
    """The tables of a known revision, with types that mean the same on either database."""
    tables = MetaData()
    event.listen(tables, "column_reflect", _generalize)
    scratch = create_engine("sqlite://")
    with scratch.connect() as connection:
        migrate(connection, revision)
        tables.reflect(connection)
    scratch.dispose()
    tables.remove(tables.tables["alembic_version"])
    return tables


def _generalize(_: Any, __: Any, column: dict[str, Any]) -> None:
    generic = column["type"].as_generic()
    column["type"] = Json if isinstance(generic, JSON) else generic


def _is_binary(column: Column[Any]) -> bool:
    return isinstance(column.type, LargeBinary)


def _unpacked(row: PortableRow, packed: Sequence[str]) -> Mapping[str, Any]:
    bare = {name: b64decode(row[name], validate=True) for name in packed if row[name] is not None}
    return row | bare


def _advance(connection: Connection, table: Table) -> None:
    """Have the sequence of the table's key, if it has one, go on after its greatest number."""
    for column in table.primary_key.columns:
        sequence = connection.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
        if sequence:
            greatest = func.max(column)
            following = func.coalesce(greatest + 1, 1)
            connection.execute(select(func.setval(sequence, following, False)))


@contextmanager
def _sentences(verb: str) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        cause = error.orig if isinstance(error, StatementError) else error
        raise Unavailable(f"cannot {verb} the database: {str(cause).strip()}") from None
