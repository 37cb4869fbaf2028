"""The one place where the event loop crosses into the synchronous database code.

`write` runs a function in a transaction and returns once it is durable; `read` runs one on a
snapshot. On SQLite a single writer thread takes everything that is waiting and commits it as one
transaction, each function in a savepoint of its own, so that hundreds of writes share one sync to
disk (group commit). On PostgreSQL each write is a transaction of its own in a small pool.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, Executable, create_engine, event
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.pool import QueuePool

from runhook.bus import Bus
from runhook.errors import Unavailable

logger = logging.getLogger("runhook")
T = TypeVar("T")
READERS = 4
BATCH = 128
BUSY_TIMEOUT_MS = 10_000
CONNECTION = {
    "options": "-c timezone=utc -c statement_timeout=60s -c lock_timeout=20s",
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""How PostgreSQL is reached (libpq): whatever hangs, a host or a statement, ends as an error."""


class Transaction:
    """What store and service functions get as their first argument."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.topics: list[str] = []

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._connection.dialect.name

    def execute(self, statement: Executable, values: Any = None) -> CursorResult[Any]:
        """Run one statement; `values` as for SQLAlchemy (a mapping, or a list for many rows)."""
        return self._connection.execute(statement, values)

    def fenced(self, what: str, work: Callable[..., None], *values: Any) -> None:
        """`work(self, *values)`, all of it or nothing: an error in it is logged and spoils nothing
        else of the transaction. Only an outage of the database goes on upwards."""
        topics = len(self.topics)
        try:
            with self._connection.begin_nested():
                work(self, *values)
        except Exception as error:
            if _is_outage(error):
                raise
            del self.topics[topics:]
            logger.exception("%s is left out", what)

    def publish(self, *topics: str) -> None:
        """Give hints on the bus, once the transaction is committed and never before."""
        self.topics.extend(topics)


Work = Callable[[Transaction], T]


class Database:
    """Open with `async with`; every method may be called from the event loop only."""

    def __init__(self, url: str, bus: Bus | None = None) -> None:
        self.engine = _sqlite_engine(url) if url.startswith("sqlite") else _postgres_engine(url)
        self.bus = bus or Bus()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="database")
        self._writer = _GroupWriter(self.engine) if self.engine.dialect.name == "sqlite" else None

    async def __aenter__(self) -> "Database":
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Finish what was accepted and release every connection."""
        if self._writer:
            self._writer.close()
        self._readers.shutdown(wait=True)
        self.engine.dispose()

    async def read(self, work: Work[T]) -> T:
        """What `work` returns; nothing it writes is kept."""
        future: Future[T] = self._readers.submit(self._read, work)
        return await asyncio.wrap_future(future)

    async def write(self, work: Work[T]) -> T:
        """What `work` returns, after its changes are durable; its error if it raised one (then
        nothing is changed). Cancelling the caller does not take an accepted write back, nor its
        hints."""
        if self._writer:
            submitted = self._writer.submit(work)
        else:
            submitted = self._readers.submit(self._write, work)
        future = asyncio.wrap_future(submitted)
        future.add_done_callback(self._publish)
        result, _ = await asyncio.shield(future)
        return result

    def _publish(self, done: "asyncio.Future[tuple[Any, list[str]]]") -> None:
        if not done.cancelled() and done.exception() is None:
            self.bus.publish(*done.result()[1])

    def _read(self, work: Work[T]) -> T:
        with _outages("read"), self.engine.connect() as connection:
            return work(Transaction(connection))

    def _write(self, work: Work[T]) -> tuple[T, list[str]]:
        for last in (False, False, True):
            try:
                with _outages("write to"), self.engine.begin() as connection:
                    transaction = Transaction(connection)
                    return work(transaction), transaction.topics
            except Unavailable as error:
                if last or not _is_clash(error.__cause__):
                    raise
        raise AssertionError("the last try returns or raises")


@contextmanager
def _outages(doing: str) -> Iterator[None]:
    """A database that is locked, full, damaged or gone makes the server unavailable for a while; it
    is not an error of ours."""
    try:
        yield
    except DBAPIError as error:
        if _is_outage(error):
            raise _unavailable(doing, error) from error
        raise


def _is_clash(error: BaseException | None) -> bool:
    """Two transactions of PostgreSQL in each other's way: one was taken back and may try again."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return state in ("40P01", "40001")


def _is_outage(error: BaseException) -> bool:
    """Statements of ours that are wrong raise other errors, except for a damaged SQLite file."""
    return isinstance(error, (OperationalError, InterfaceError)) or type(error) is DatabaseError


def _unavailable(doing: str, error: DBAPIError) -> Unavailable:
    what = " ".join(str(error.orig).split())
    return Unavailable(
        f"cannot {doing} the database: {what}",
        hint="Try again soon; with an Idempotency-Key nothing starts twice.",
    )


class _GroupWriter:
    """One thread, one connection, many writes in one commit."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(writes=True)
        self._queue: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="database-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work[T]) -> Future[tuple[T, list[str]]]:
        future: Future[tuple[T, list[str]]] = Future()
        self._queue.put((work, future))
        return future

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        open_for_work = True
        while open_for_work:
            batch = []
            item = self._queue.get()
            while item is not None:
                batch.append(item)
                if len(batch) >= BATCH or self._queue.empty():
                    break
                item = self._queue.get()
            open_for_work = item is not None
            if batch:
                self._commit(batch)

    def _commit(self, batch: Sequence[tuple[Work[Any], Future[Any]]]) -> None:
        """One transaction for the whole batch. A write that fails is rolled back to its savepoint
        and answered with its error; if the commit itself fails, every write of the batch is."""
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with self._engine.begin() as connection:
                for work, future in batch:
                    outcomes.append((future, *_attempt(connection, work)))
        except BaseException as error:  # the thread must live: every caller gets the error
            outage = isinstance(error, DBAPIError) and _is_outage(error)
            failure = _unavailable("write to", error) if outage else error  # type: ignore[arg-type]
            outcomes = [(future, None, failure) for _, future in batch]
        for future, result, failed in outcomes:
            if failed is None:
                future.set_result(result)
            else:
                future.set_exception(failed)


def _attempt(
    connection: Connection, work: Work[Any]
) -> tuple[tuple[Any, list[str]] | None, BaseException | None]:
    transaction = Transaction(connection)
    try:
        with connection.begin_nested():
            result = work(transaction)
    except Exception as error:  # belongs to this write alone, unless the database itself fails
        if _is_outage(error):
            raise
        return None, error
    return (result, transaction.topics), None


def sqlite_url(path: Path) -> str:
    """The address of an SQLite file."""
    return f"sqlite:///{path}"


def _sqlite_engine(url: str) -> Engine:
    """WAL, and synchronous=FULL: an answered start survives a power cut."""
    engine = create_engine(
        url, poolclass=QueuePool, pool_size=READERS + 1, connect_args={"check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, see below
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-8000",
        ):
            connection.execute(f"PRAGMA {pragma}")
        _enter_wal(connection)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _enter_wal(connection: Any) -> None:
    """Switch the file to WAL, once in its life. SQLite does not wait for others here, whatever the
    busy timeout says, so we do."""
    limit = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.01)


def _postgres_engine(url: str) -> Engine:
    address = "postgresql+psycopg" + url[url.index("://") :]
    return create_engine(
        address,
        pool_size=READERS + 1,
        pool_pre_ping=True,
        connect_args=CONNECTION,
    )
