"""People, groups and their roles, tokens, secrets, the audit log; what notebooks declare."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _let_accounts_have_passwords()
    _make_owners()
    _make_tokens()
    _make_secrets()
    _make_repositories()
    _make_audit()
    op.add_column("runs", sa.Column("secret_parameters", Json))
    _make_contracts()


def _text(name: str, length: int, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=False, server_default=default)


def _moment(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _of_user(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_user_id")
    return sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=name, ondelete="CASCADE")


def _let_accounts_have_passwords() -> None:
    op.add_column("users", _text("full_name", 255, ""))
    op.add_column("users", sa.Column("password_hash", sa.String(length=255)))
    op.add_column("sessions", _moment("seen_at", nullable=True))
    op.add_column("sessions", _text("address", 64, ""))
    op.add_column("sessions", _text("agent", 255, ""))
    op.add_column("sign_in_links", _text("purpose", 16, "sign-in"))
    op.create_table(
        "sign_in_failures",
        _text("key", 64),
        sa.Column("count", sa.Integer(), nullable=False),
        _moment("last_at"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_in_failures")),
    )
    op.create_index("ix_sign_in_failures_last_at", "sign_in_failures", ["last_at"])
    op.create_table(
        "identities",
        _text("issuer", 255),
        _text("subject", 255),
        _text("user_id", 32),
        _moment("created_at"),
        sa.Column("made_admin", sa.Boolean(), server_default=sa.false(), nullable=False),
        _of_user("identities"),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_identities")),
    )
    op.create_index("ix_identities_user_id", "identities", ["user_id"])
    op.create_table(
        "spent_sign_ons",
        _text("state_hash", 64),
        _moment("expires_at"),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_spent_sign_ons")),
    )
    op.create_index("ix_spent_sign_ons_expires_at", "spent_sign_ons", ["expires_at"])


def _make_contracts() -> None:
    """What notebooks declare, the secret values that runs were given, and runs made again."""
    op.create_table(
        "contracts",
        _text("job_id", 32),
        sa.Column("place", Json, nullable=False),
        sa.Column("commit", sa.String(length=64)),
        sa.Column("cell", sa.Text()),
        sa.Column("problem", sa.Text()),
        _moment("told_at"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_contracts_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_contracts")),
    )
    op.create_table(
        "run_secrets",
        _text("run_id", 32),
        _text("name", 255),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_run_secrets_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_run_secrets")),
    )
    op.add_column("runs", sa.Column("replay_of", sa.String(length=32)))


def _make_owners() -> None:
    op.create_table(
        "groups",
        _text("id", 32),
        _text("name", 64),
        _text("owner", 128),
        _text("description", 2048),
        _moment("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_groups")),
        sa.UniqueConstraint("name", name=op.f("uq_groups_name")),
        sa.UniqueConstraint("owner", name=op.f("uq_groups_owner")),
    )
    op.create_table(
        "memberships",
        _text("owner", 128),
        _text("user_id", 32),
        _text("role", 16),
        _text("source", 16),
        _moment("created_at"),
        _of_user("memberships"),
        sa.PrimaryKeyConstraint("owner", "user_id", name=op.f("pk_memberships")),
    )
    op.create_index("ix_memberships_user_id", "memberships", ["user_id"])


def _make_tokens() -> None:
    op.create_table(
        "tokens",
        _text("id", 32),
        _text("user_id", 32),
        _text("description", 255),
        sa.Column("scope", sa.Text()),
        _text("token_hash", 64),
        sa.Column("refresh_hash", sa.String(length=64)),
        _moment("created_at"),
        _moment("expires_at", nullable=True),
        _moment("refresh_expires_at", nullable=True),
        sa.Column("lasts_seconds", sa.Integer()),
        sa.Column("refresh_lasts_seconds", sa.Integer()),
        _moment("last_used_at", nullable=True),
        _text("last_address", 64, ""),
        _of_user("tokens"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        *(
            sa.UniqueConstraint(name, name=op.f(f"uq_tokens_{name}"))
            for name in ("token_hash", "refresh_hash")
        ),
    )
    op.create_index("ix_tokens_user_id", "tokens", ["user_id"])
    op.create_table(
        "spent_refreshes",
        _text("hash", 64),
        _text("token_id", 32),
        _moment("spent_at"),
        sa.ForeignKeyConstraint(
            ["token_id"],
            ["tokens.id"],
            name=op.f("fk_spent_refreshes_token_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_spent_refreshes")),
    )
    op.create_index("ix_spent_refreshes_token_id", "spent_refreshes", ["token_id"])
    rotation = sa.Column("token_rotation", sa.Integer(), nullable=False, server_default="0")
    op.add_column("jobs", rotation)


def _make_secrets() -> None:
    op.create_table(
        "secrets",
        _text("id", 32),
        _text("owner", 128),
        _text("name", 128),
        _text("access", 8, "owner"),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
        sa.Column("created_by", sa.String(length=32)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_secrets")),
        sa.UniqueConstraint("owner", "name", name=op.f("uq_secrets_owner_name")),
    )


def _make_repositories() -> None:
    op.create_table(
        "repositories",
        _text("id", 32),
        _text("owner", 128),
        _text("url", 2048),
        sa.Column("credential_id", sa.String(length=32)),
        _moment("created_at"),
        sa.ForeignKeyConstraint(
            ["credential_id"],
            ["git_credentials.id"],
            name=op.f("fk_repositories_credential_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repositories")),
    )
    op.create_index("ix_repositories_owner", "repositories", ["owner"])


def _make_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        _moment("at"),
        sa.Column("user_id", sa.String(length=32)),
        _text("user_name", 255),
        _text("via", 255),
        _text("address", 64),
        _text("action", 64),
        _text("kind", 32),
        _text("object_id", 64),
        _text("object_name", 255),
        _text("owner", 128),
        sa.Column("before", Json),
        sa.Column("after", Json),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    for column in ("owner", "object_id", "user_id"):
        op.create_index(f"ix_audit_{column}_id", "audit", [column, "id"])
    for statement in _APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


_APPEND_ONLY = {
    "sqlite": [
        f"CREATE TRIGGER audit_{verb.lower()} BEFORE {verb} ON audit {condition}"
        "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        for verb, condition in (
            ("UPDATE", ""),
            ("DELETE", ""),
            # REPLACE deletes without asking the trigger for it
            ("INSERT", "WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id) "),
        )
    ],
    "postgresql": [
        "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$",
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
    ],
}
