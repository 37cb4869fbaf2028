"""Bringing a database to the present revision of the tables."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from runhook.errors import SettingsError

REVISION = "0003"
"""The newest file in migrations/versions; a test keeps the two together."""

MIGRATIONS = Path(__file__).with_name("migrations")
ADVISORY_LOCK = 0x72756E686F6F6B  # "runhook", in bytes


def prepare(engine: Engine) -> None:
    """Create the tables, or migrate them. Two processes that do it at once do it once.

    SettingsError if the database was made by a newer version of this program, or cannot be used.
    """
    try:
        with engine.connect() as connection:
            if revision_of(connection) == REVISION:
                return
        with engine.connect() as connection:
            exclude_others(connection)
            migrate(connection)
            connection.commit()
    except DBAPIError as error:
        place = engine.url.render_as_string(hide_password=True)
        what = " ".join(str(error.orig).split())
        raise SettingsError(f"cannot start: the database {place} cannot be used: {what}") from error


def revision_of(connection: Connection) -> str | None:
    """The revision a database is at; None if it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).one_or_none()
    return None if row is None else str(row[0])


def revision_at(engine: Engine) -> str | None:
    """The revision the database is at, which is not changed. SettingsError if it cannot be reached,
    or was made by a newer version of this program."""
    try:
        with engine.connect() as connection:
            found = revision_of(connection)
    except DBAPIError as error:
        what = " ".join(str(error.orig).split())
        place = engine.url.render_as_string(hide_password=True)
        raise SettingsError(f"the database {place} cannot be used: {what}") from error
    if found is not None and found not in revisions():
        raise SettingsError(
            f"the database is at revision {found}, which a newer version of this program made"
        )
    return found


def exclude_others(connection: Connection) -> None:
    """Until the transaction ends, nobody else migrates."""
    if connection.dialect.name == "postgresql":
        statement = text("SELECT pg_advisory_xact_lock(:lock)")
        connection.execute(statement, {"lock": ADVISORY_LOCK})
    else:
        connection.rollback()
        connection.execution_options(writes=True)
        connection.execute(text("SELECT 1"))


def revisions() -> set[str]:
    """Every revision that this program knows."""
    return {path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")}


def migrate(connection: Connection, wanted: str = REVISION) -> None:
    """Bring the tables to the revision `wanted`, in the transaction of the connection."""
    # imported here because it costs 0.2 s and is needed once per version
    # ruff: noqa: PLC0415
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(MIGRATIONS))
    current = revision_of(connection)
    if current is not None and current not in revisions():
        raise SettingsError(
            f"cannot start: the database is at revision {current}, which a newer Runhook made; "
            "upgrade Runhook, or restore the backup from before the upgrade"
        )
    with EnvironmentContext(Config(), scripts) as context:
        context.configure(
            connection=connection,
            transactional_ddl=True,  # also on SQLite: the transaction is ours, see above
            fn=lambda revision, _: scripts._upgrade_revs(wanted, revision),
        )
        context.run_migrations()
