"""Rows of secrets, and what is sealed with which key, on SQLite and on PostgreSQL alike."""

from dataclasses import replace

import pytest

from runhook.model.git_access import GitCredentialInfo
from runhook.model.job import JobSpec
from runhook.model.secret import SecretInfo
from runhook.store import git, jobs, secrets
from runhook.store.database import Database
from runhook.store.sealed import key_ids
from runhook.store.tables import new_id
from tests.conformance.conftest import NOON

pytestmark = pytest.mark.anyio


def info(name: str, owner: str = "main/ada", access: str = "owner") -> SecretInfo:
    return SecretInfo(new_id(), owner, name, access, NOON, NOON, None)  # type: ignore[arg-type]


async def test_a_secret_comes_back_as_it_was_written_once_for_each_name(
    database: Database,
) -> None:
    one, two = info("a"), info("a", "main/eve")
    for each in (one, two):
        assert await database.write(lambda tx, e=each: secrets.insert_secret(tx, e, b"\x00\xff"))
    again = replace(one, id=new_id())
    assert not await database.write(lambda tx: secrets.insert_secret(tx, again, b"x"))
    assert await database.read(lambda tx: secrets.get_secret(tx, one.id)) == one
    assert await database.read(lambda tx: secrets.find_secret(tx, "main/eve", "a")) == two
    assert await database.read(lambda tx: secrets.sealed_value(tx, one.id)) == b"\x00\xff"
    changed = replace(one, name="b", access="org")
    await database.write(lambda tx: secrets.update_secret(tx, changed, b"new"))
    assert dict(await database.read(secrets.all_sealed)) == {changed: b"new", two: b"\x00\xff"}
    await database.write(lambda tx: secrets.delete_secret(tx, one.id))
    assert await database.read(lambda tx: secrets.get_secret(tx, one.id)) is None


async def test_lists_show_visible_owners_and_what_is_for_all(database: Database) -> None:
    rows = [info("c"), info("a"), info("B_x"), info("d", "main/eve"), info("e", "x/y", "org")]
    for row in rows:
        await database.write(lambda tx, r=row: secrets.insert_secret(tx, r, b"s"))

    async def names(**wanted: object) -> list[str]:
        found = await database.read(lambda tx: secrets.list_secrets(tx, size=3, **wanted))  # type: ignore[arg-type]
        return [each.name for each in found]

    assert sorted(await names(owners=["main/eve"])) == ["d", "e"]
    assert await names(owners=[]) == ["e"]
    assert await names(name="b_") == ["B_x"]
    assert await names(access="org") == ["e"]
    assert await names(owner="main/eve", owners=["main/ada"]) == []
    a, c = rows[1], rows[0]
    assert await names(after=("c", c.id)) == ["d", "e"]
    assert await names(before=("c", c.id), owner="main/ada", name="a") == ["a"]
    assert await names(after=("a", a.id), owner="main/ada", name="c") == ["c"]


async def test_the_jobs_that_have_secrets_are_found(database: Database) -> None:
    attached = {"location": "X", "attachment_type": "environment_variable", "name": "a"}
    specs = [
        JobSpec(name="without", command="echo '\"secrets\"'", tags={"secrets": "no"}),
        JobSpec.model_validate({"name": "with", "command": "true", "secrets": [attached]}),
    ]
    for spec in specs:
        await database.write(
            lambda tx, s=spec: jobs.insert_job(tx, "main/ada", s, user_id=None, now=NOON)
        )
    found = await database.read(jobs.jobs_with_secrets)
    assert [job.name for job in found] == ["with"]
    await database.write(lambda tx: jobs.mark_deleted(tx, found[0].id, NOON))
    assert await database.read(jobs.jobs_with_secrets) == []


async def test_the_ids_of_the_keys_in_use_are_found_in_every_table(database: Database) -> None:
    assert key_ids(database.engine) == set()
    credential = GitCredentialInfo(
        new_id(), "main/ada", "c", "token", "https://h.example/", "", None, NOON
    )
    await database.write(lambda tx: git.insert_credential(tx, credential, b"\x00gitx-rest"))
    for name, sealed in (("a", b"\xff\x00\x01\x02rest"), ("b", b"\xff\x00\x01\x02more")):
        row = info(name)
        await database.write(lambda tx, r=row, s=sealed: secrets.insert_secret(tx, r, s))
    assert key_ids(database.engine) == {b"\x00git", b"\xff\x00\x01\x02"}
    await database.write(lambda tx: git.replace_sealed(tx, credential.id, b"\xff\x00\x01\x02z"))
    assert key_ids(database.engine) == {b"\xff\x00\x01\x02"}
    assert await database.read(lambda tx: git.sealed_secret(tx, credential.id)) == (
        b"\xff\x00\x01\x02z"
    )
