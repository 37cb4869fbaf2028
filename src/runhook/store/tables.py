"""The tables. Instants are whole microseconds since 1970 (UTC); ids are 32 hexadecimal digits."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.dialects.postgresql import JSONB

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def new_id() -> str:
    """A fresh id: 32 lowercase hexadecimal digits."""
    return uuid.uuid4().hex


class Instant(TypeDecorator[datetime]):
    """An aware datetime in UTC, stored as an integer that sorts and compares on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + value * MICROSECOND


Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
Id = String(32)
Serial = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

users = Table(
    "users",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("owner", String(128), nullable=False),
    Column("email", String(255), nullable=False, default=""),
    Column("full_name", String(255), nullable=False, server_default=""),
    Column("admin", Boolean, nullable=False, default=False),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("token_rotation", Integer, nullable=False, default=0),
    Column("password_hash", String(255)),
    Column("created_at", Instant, nullable=False),
)

identities = Table(
    "identities",
    metadata,
    Column("issuer", String(255), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Instant, nullable=False),
    Column("made_admin", Boolean, nullable=False, server_default=false()),
)
"""Accounts of sign-in providers (OpenID Connect), and whose they are here."""

spent_sign_ons = Table(
    "spent_sign_ons",
    metadata,
    Column("state_hash", String(64), primary_key=True),
    Column("expires_at", Instant, nullable=False, index=True),
)
"""Attempts to sign in through a provider that are over, as long as they could be repeated."""

groups = Table(
    "groups",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("owner", String(128), nullable=False, unique=True),
    Column("description", String(2048), nullable=False, default=""),
    Column("created_at", Instant, nullable=False),
)

memberships = Table(
    "memberships",
    metadata,
    Column("owner", String(128), primary_key=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("role", String(16), nullable=False),
    Column("source", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id_hash", String(64), primary_key=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("seen_at", Instant),
    Column("address", String(64), nullable=False, server_default=""),
    Column("agent", String(255), nullable=False, server_default=""),
)

sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("purpose", String(16), nullable=False, server_default="sign-in"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("description", String(255), nullable=False),
    Column("scope", Text),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("refresh_hash", String(64), unique=True),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("refresh_expires_at", Instant),
    Column("lasts_seconds", Integer),
    Column("refresh_lasts_seconds", Integer),
    Column("last_used_at", Instant),
    Column("last_address", String(64), nullable=False, server_default=""),
)
"""Named tokens, with the hashes of their present access and refresh token."""

spent_refreshes = Table(
    "spent_refreshes",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("token_id", Id, ForeignKey("tokens.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("spent_at", Instant, nullable=False),
)
"""Every refresh token that was used: whoever brings one again has a copy, and the token ends. All
are kept, or a thief could refresh twice and so have the stolen one forgotten."""

sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("last_at", Instant, nullable=False),
    Index("ix_sign_in_failures_last_at", "last_at"),
)
"""Wrong passwords in a row, by a hash of the name or the address they came from."""

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("name", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("spec", Json, nullable=False),
    Column("runs_created", Integer, nullable=False, default=0),
    Column("max_running", Integer),
    Column("pool", String(64)),
    Column("served_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("created_by", Id),
    Column("token_rotation", Integer, nullable=False, server_default="0"),
    Column("deleted_at", Instant, index=True),
    UniqueConstraint("owner", "name"),
)

job_versions = Table(
    "job_versions",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("spec", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Id),
)

contracts = Table(
    "contracts",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("place", Json, nullable=False),
    Column("commit", String(64)),
    Column("cell", Text),
    Column("problem", Text),
    Column("told_at", Instant, nullable=False),
)
"""What the notebook of a job was last found to declare."""

schedules = Table(
    "schedules",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("rule", Json, nullable=False),
    Column("paused", Boolean, nullable=False, default=False),
    Column("next_fire_at", Instant),
    Column("due_at", Instant),
    Column("fired_at", Instant),
    Index("ix_schedules_due", "paused", "due_at"),
)

triggers = Table(
    "triggers",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("name", String(128), primary_key=True),
    Index("ix_triggers_kind_name", "kind", "name"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("job_version", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("trigger", String(16), nullable=False),
    Column("started_by", Id),
    Column("schedule_id", Id),
    Column("scheduled_for", Instant),
    Column("parameters", Json, nullable=False),
    Column("secret_parameters", Json),
    Column("idempotency_key", String(255)),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("cancel_requested_at", Instant),
    Column("exit_code", Integer),
    Column("step", String(32)),
    Column("reason", Text),
    Column("commits", Json, nullable=False),
    Column("lock_id", String(64)),
    Column("overlap", String(8), nullable=False, server_default="allow"),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("pool", String(64)),
    Column("not_before_at", Instant),
    Column("queue_expires_at", Instant),
    Column("caused_by", Id),
    Column("replay_of", Id),
    Column("pinned", Boolean, nullable=False, server_default=false()),
    Column("kept_bytes", BigInteger),
    Column("pruned_at", Instant),
    UniqueConstraint("job_id", "idempotency_key"),
    UniqueConstraint("schedule_id", "scheduled_for"),
    Index("ix_runs_state_created_at", "state", "created_at"),
    Index("ix_runs_job_id_state", "job_id", "state"),
    Index("ix_runs_job_id_number", "job_id", "number", unique=True),
    Index("ix_runs_job_id_created_at_id", "job_id", "created_at", "id"),
    Index("ix_runs_job_id_caused_by", "job_id", "caused_by", unique=True),
    Index("ix_runs_created_at_id", "created_at", "id"),
)
QUEUED = runs.c.state == "queued"
for name, *columns in (
    ("ix_runs_queue", "job_id", "priority", "number", "not_before_at"),
    ("ix_runs_queue_expires_at", "queue_expires_at"),
    ("ix_runs_queue_not_before_at", "not_before_at"),
):
    Index(name, *(runs.c[each] for each in columns), sqlite_where=QUEUED, postgresql_where=QUEUED)

run_secrets = Table(
    "run_secrets",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)
"""The values of runs' secret parameters, encrypted."""

attempts = Table(
    "attempts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("run_id", Id, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("executor", String(32), nullable=False),
    Column("handle", Json),
    Column("isolation", String(255)),
    Column("state", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("step", String(32)),
    Column("reason", Text),
    Column("events_read", BigInteger, nullable=False, default=0),
    UniqueConstraint("run_id", "number"),
    Index("ix_attempts_finished_at", "finished_at"),
)

events = Table(
    "events",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("run_id", Id, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("attempt_id", Id),
    Column("at", Instant, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("data", Json, nullable=False),
)

locks = Table(
    "locks",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("text", Text, nullable=False),
)

git_credentials = Table(
    "git_credentials",
    metadata,
    Column("id", Id, primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("name", String(128), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("url_prefix", String(2048), nullable=False),
    Column("username", String(255), nullable=False, default=""),
    Column("public_key", Text),
    Column("secret", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("owner", "name"),
)

repositories = Table(
    "repositories",
    metadata,
    Column("id", Id, primary_key=True),
    Column("owner", String(128), nullable=False, index=True),
    Column("url", String(2048), nullable=False),
    Column("credential_id", Id, ForeignKey("git_credentials.id", ondelete="SET NULL")),
    Column("created_at", Instant, nullable=False),
)
"""Addresses that were added before any job names them, or to say by which key they are opened. The
id is made from owner and address; where a job's code comes from stands in its definition."""

known_hosts = Table(
    "known_hosts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("host", String(255), nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", String(128), nullable=False),
    Column("first_seen_at", Instant, nullable=False),
    Column("confirmed_at", Instant),
    Column("confirmed_by", Id),
    UniqueConstraint("host", "fingerprint"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("id", Id, primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("name", String(128), nullable=False),
    Column("access", String(8), nullable=False, server_default="owner"),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("created_by", Id),
    UniqueConstraint("owner", "name"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("user_id", Id),
    Column("user_name", String(255), nullable=False),
    Column("via", String(255), nullable=False),
    Column("address", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("object_id", String(64), nullable=False),
    Column("object_name", String(255), nullable=False),
    Column("owner", String(128), nullable=False),
    Column("before", Json),
    Column("after", Json),
    Index("ix_audit_owner_id", "owner", "id"),
    Index("ix_audit_object_id_id", "object_id", "id"),
    Index("ix_audit_user_id_id", "user_id", "id"),
)
"""What was changed and started, by whom. The database itself refuses to change or remove a row."""
