"""Secrets: what is kept, who may attach what, and what a run is given."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import delete, select, update

from runhook.errors import Conflict, Forbidden, Invalid, NotFound, RunhookError
from runhook.keys import Keys
from runhook.model.access import RUN_SCOPES, Caller, Group, Role, User
from runhook.model.job import Job, JobSpec
from runhook.model.secret import NewSecret, SecretAttachment, SecretChange, SecretInfo
from runhook.ring import Ring
from runhook.services import jobs, secrets
from runhook.services.validation import field_errors
from runhook.store import identities, people
from runhook.store import jobs as job_rows
from runhook.store.database import Database, Transaction, sqlite_url
from runhook.store.schema import prepare
from runhook.store.tables import audit, memberships, users
from runhook.store.tables import secrets as table

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEYS = Keys(b"k" * 32, Ring(b"r" * 32))
ADA = Caller("b" * 32, "ada", "main/ada")
EVE = Caller("c" * 32, "eve", "main/eve")
TEAM = "main/team"
VALUE = "the-value-of-a-test"


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Transaction]:
    database = Database(sqlite_url(tmp_path / "test.db"))
    prepare(database.engine)
    with database.engine.begin() as connection:
        opened = Transaction(connection)
        for caller in (ADA, EVE):
            user = User(caller.user_id, caller.name, caller.owner)
            identities.insert_user(opened, user, caller.name, NOON)
        people.insert_group(opened, Group("d" * 32, "team", TEAM, "", NOON))
        yield opened
    database.close()


def with_role(tx: Transaction, caller: Caller, role: Role | None, owner: str = TEAM) -> Caller:
    """The caller with that role on the owner's things, also in the database."""
    mine = (memberships.c.user_id == caller.user_id, memberships.c.owner == owner)
    tx.execute(delete(memberships).where(*mine))
    if role is None:
        return caller
    row = {"owner": owner, "user_id": caller.user_id, "role": role}
    tx.execute(memberships.insert().values(**row, source="manual", created_at=NOON))
    return replace(caller, roles={**caller.roles, owner: role})


def add(tx: Transaction, caller: Caller = ADA, **more: object) -> SecretInfo:
    new = NewSecret.model_validate({"name": "db", "value": VALUE, **more})
    return secrets.add(tx, KEYS, caller, new, NOON)


def spec(*attached: dict[str, object], **more: object) -> JobSpec:
    rows = [{"location": "DB", "attachment_type": "environment_variable", **a} for a in attached]
    return jobs.parse_spec({"name": "a-job", "command": "true", "secrets": rows, **more})


def given(tx: Transaction, job: Job) -> secrets.RunSecrets:
    version = job_rows.get_version(tx, job.id, job.version)
    assert version
    return secrets.for_run(tx, KEYS, job, version)


def test_a_secret_cannot_belong_to_an_owner_that_is_not_there(tx: Transaction) -> None:
    with pytest.raises(NotFound, match="no owner main/nobody"):
        add(tx, replace(ADA, admin=True), owner="main/nobody")
    assert add(tx, replace(ADA, admin=True), owner=TEAM).owner == TEAM


def test_a_run_is_given_the_values_and_nothing_else_shows_them(tx: Transaction) -> None:
    info = add(tx)
    job = jobs.create(tx, ADA, spec({"name": "db"}), NOON)
    told = given(tx, job)
    assert (told.variables, told.files, told.refusal) == ({"DB": VALUE}, {}, None)
    rows = str(tx.execute(select(audit)).all()) + str(tx.execute(select(table)).all())
    new = NewSecret(name="x", value=VALUE)
    assert VALUE not in repr([info, new, SecretChange(value=VALUE), told, job]) + rows


def test_a_refused_value_is_not_repeated() -> None:
    for values in ({"value": VALUE + "\x00"}, {"value": VALUE, "name": ""}, {"value": [VALUE]}):
        with pytest.raises(ValidationError) as caught:
            NewSecret.model_validate({"name": "x", **values})
        assert VALUE not in str(caught.value) + str(field_errors(caught.value, NewSecret))
    with pytest.raises(ValidationError, match="at most 65536 bytes"):
        NewSecret(name="x", value="ü" * 32_769)
    assert NewSecret(name="x", value="ü" * 32_768)


def test_short_values_are_told_of() -> None:
    assert secrets.notices("abc") == [secrets.TOO_SHORT]
    assert secrets.notices("abcd") == secrets.notices(None) == []


def test_a_secret_is_changed_renamed_and_removed(tx: Transaction) -> None:
    info = add(tx)
    with pytest.raises(Conflict, match="already has a secret called db"):
        add(tx)
    wanted = SecretChange(name="database", value="another-value", access="org")
    changed = secrets.change(tx, KEYS, ADA, info.id, wanted, NOON + MINUTE)
    assert (changed.name, changed.access) == ("database", "org")
    assert (changed.created_at, changed.updated_at) == (NOON, NOON + MINUTE)
    assert secrets.get(tx, ADA, info.id) == changed
    add(tx)
    with pytest.raises(Conflict, match="already has"):
        secrets.change(tx, KEYS, ADA, info.id, SecretChange(name="db"), NOON)
    job = jobs.create(tx, ADA, spec({"name": "database"}), NOON)
    assert given(tx, job).variables == {"DB": "another-value"}
    for use in (
        lambda: secrets.delete(tx, ADA, info.id, NOON),
        lambda: secrets.change(tx, KEYS, ADA, info.id, SecretChange(name="z"), NOON),
    ):
        with pytest.raises(Conflict, match="attached to jobs: main/ada/a-job"):
            use()
    secrets.delete(tx, ADA, info.id, NOON, force=True)
    with pytest.raises(NotFound):
        secrets.delete(tx, ADA, info.id, NOON)
    assert "is not there any more" in str(given(tx, job).refusal)
    verbs = [row.action for row in tx.execute(select(audit).where(audit.c.kind == "secret"))]
    assert verbs == ["secret.added", "secret.changed", "secret.added", "secret.deleted"]


def test_a_value_that_was_moved_to_another_row_stays_closed(tx: Transaction) -> None:
    add(tx)
    jobs.create(tx, ADA, spec({"name": "db"}), NOON)
    add(tx, EVE)
    job = jobs.create(tx, EVE, spec({"name": "db"}), NOON)
    (stolen,) = tx.execute(select(table.c.sealed).where(table.c.owner == ADA.owner)).one()
    tx.execute(update(table).where(table.c.owner == EVE.owner).values(sealed=stolen))
    with pytest.raises(RunhookError, match="cannot decrypt"):
        given(tx, job)


def test_a_stranger_neither_sees_nor_attaches_and_learns_nothing_of_it(tx: Transaction) -> None:
    info = add(tx)
    for use in (
        lambda: secrets.get(tx, EVE, info.id),
        lambda: secrets.delete(tx, EVE, info.id, NOON),
        lambda: secrets.change(tx, KEYS, EVE, info.id, SecretChange(access="org"), NOON),
        lambda: add(tx, EVE, owner=ADA.owner, name="new"),
    ):
        with pytest.raises(NotFound):
            use()
    assert secrets.list_page(tx, EVE, size=9) == []
    sentences = []
    for name in ("db", "none"):
        with pytest.raises(Invalid) as caught:
            jobs.create(tx, EVE, spec({"name": name, "owner": ADA.owner}), NOON)
        sentences.append(caught.value.details["secrets.0.name"].replace(name, "…"))
    assert sentences[0] == sentences[1]


def test_a_viewer_sees_the_name_but_may_neither_change_nor_attach_it_elsewhere(
    tx: Transaction,
) -> None:
    editor = with_role(tx, ADA, Role.EDITOR)
    info = add(tx, editor, owner=TEAM)
    for role in (Role.VIEWER, Role.OPERATOR):
        caller = with_role(tx, EVE, role)
        assert secrets.get(tx, caller, info.id) == info
        assert secrets.list_page(tx, caller, size=9) == [info]
        with pytest.raises(Forbidden):
            secrets.delete(tx, caller, info.id, NOON)
        with pytest.raises(Invalid):
            jobs.create(tx, caller, spec({"name": "db", "owner": TEAM}), NOON)


def test_a_foreign_secret_is_asked_for_again_at_every_start(tx: Transaction) -> None:
    add(tx, with_role(tx, ADA, Role.EDITOR), owner=TEAM)
    editor = with_role(tx, EVE, Role.EDITOR)
    job = jobs.create(tx, editor, spec({"name": "db", "owner": {"name": TEAM}}), NOON)
    assert given(tx, job).variables == {"DB": VALUE}
    with_role(tx, EVE, Role.OPERATOR)
    told = given(tx, job)
    assert (told.variables, told.files) == ({}, {})
    assert "the secret db of main/team, attached at DB, may not be used" in str(told.refusal)
    with_role(tx, EVE, Role.ADMIN)
    assert given(tx, job).refusal is None
    tx.execute(update(users).where(users.c.id == EVE.user_id).values(disabled=True))
    assert given(tx, job).refusal


def test_whoever_may_not_use_a_foreign_secret_cannot_save_the_job_that_has_it(
    tx: Transaction,
) -> None:
    add(tx, with_role(tx, ADA, Role.EDITOR), owner=TEAM)
    editor = with_role(tx, ADA, Role.EDITOR)
    job = jobs.create(tx, editor, spec({"name": "db", "owner": TEAM}), NOON)
    helper = with_role(tx, EVE, Role.EDITOR, ADA.owner)
    changed = spec({"name": "db", "owner": TEAM}, command="echo $DB | mail eve")
    with pytest.raises(Invalid, match="cannot use this job definition"):
        jobs.change(tx, helper, job.id, changed, NOON)


def test_a_secret_for_the_organisation_is_for_everybodys_jobs_in_it(tx: Transaction) -> None:
    info = add(tx, access="org")
    job = jobs.create(tx, EVE, spec({"name": "db", "owner": ADA.owner}), NOON)
    assert given(tx, job).variables == {"DB": VALUE}
    assert secrets.list_page(tx, EVE, size=9) == [info]
    assert not secrets.may_write(EVE, info)
    with pytest.raises(NotFound):
        secrets.delete(tx, EVE, info.id, NOON)
    with pytest.raises(Conflict, match="1 that you do not see"):
        secrets.delete(tx, ADA, info.id, NOON)
    outside = Caller("d" * 32, "mal", "other/mal")
    with pytest.raises(NotFound):
        secrets.get(tx, outside, info.id)
    with pytest.raises(Invalid):
        jobs.create(tx, outside, spec({"name": "db", "owner": ADA.owner}), NOON)
    secrets.change(tx, KEYS, ADA, info.id, SecretChange(access="owner"), NOON)
    assert "may not be used" in str(given(tx, job).refusal)


def test_a_runs_own_token_opens_none_of_this(tx: Transaction) -> None:
    info = add(tx)
    run = replace(ADA, scopes=RUN_SCOPES, run_id="e" * 32)
    for use in (
        lambda: secrets.get(tx, run, info.id),
        lambda: secrets.list_page(tx, run, size=9),
        lambda: add(tx, run, name="new"),
        lambda: secrets.delete(tx, run, info.id, NOON),
    ):
        with pytest.raises(Forbidden):
            use()


@pytest.mark.parametrize(
    ("attachment", "words"),
    [
        ({"location": "RUNHOOK_X"}, "is set by the server"),
        ({"location": "1X"}, "cannot be the name of a variable"),
        ({"location": "A"}, "is in environment_variables too"),
        ({"location": "P"}, "is in parameters too"),
        ({"attachment_type": "file", "location": "/etc/passwd"}, "below the run's home"),
        ({"attachment_type": "file", "location": "~other/x"}, "below the run's home"),
        ({"attachment_type": "file", "location": "~/../x"}, "must lead to a file"),
        ({"attachment_type": "file", "location": "~/x/"}, "must lead to a file"),
        ({"attachment_type": "file", "location": "~/"}, "must lead to a file"),
        ({"attachment_type": "file", "location": "/home/jovyan/workspace/x"}, "workspace"),
        ({"attachment_type": "file", "type": "environment_variable"}, "differs from type"),
        ({"attachment_type": None}, "write environment_variable or file"),
        ({"value": "x"}, "is not known"),
    ],
)
def test_an_attachment_that_cannot_be_is_a_sentence(
    attachment: dict[str, object], words: str
) -> None:
    with pytest.raises(Invalid) as caught:
        spec(
            {"location": "DB", "name": "db", **attachment},
            environment_variables={"A": "1"},
            parameters={"P": 1},
        )
    assert words in str(caught.value.details)


def test_no_two_secrets_stand_at_one_place() -> None:
    file = {"attachment_type": "file", "name": "db"}
    for first, second in (("~/a", "a"), ("/home/jovyan/a", "~/a"), ("~/a", "~/a/b")):
        with pytest.raises(Invalid, match="cannot use this job definition"):
            spec({**file, "location": first}, {**file, "location": second})
    assert spec({**file, "location": "~/a"}, {**file, "location": "~/ab"})


def test_attachments_stay_in_the_form_they_were_given() -> None:
    rows = [
        {"location": "~/.netrc", "type": "file", "name": "a", "owner": "main/x"},
        {"location": "X", "attachment_type": "environment_variable", "name": "b"},
        {"location": "Y", "type": "environment_variable", "name": "b", "owner": {"name": "x"}},
    ]
    made = jobs.parse_spec({"name": "j", "command": "true", "secrets": rows})
    assert made.recipe_spec()["secrets"] == rows
    assert [each.kind for each in made.secrets or []] == [
        *("file", "environment_variable", "environment_variable")
    ]
    assert SecretAttachment.model_validate(rows[0]).path == ".netrc"
