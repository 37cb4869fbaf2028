"""People, groups, sessions and failed sign-ins on both databases."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from runhook.errors import Conflict, TooManyRequests, Unauthorized
from runhook.keys import Keys
from runhook.model.access import Caller, Role
from runhook.model.people import GroupChange, NewGroup, NewPerson, PersonChange
from runhook.services import groups, identities, links, members, people, sessions, throttle
from runhook.services.sessions import Visit
from runhook.store import identities as identity_rows
from runhook.store import people as people_rows
from runhook.store import sign_in_failures
from runhook.store.database import Database, Transaction
from runhook.store.tables import audit
from tests.conformance.conftest import NOON

pytestmark = pytest.mark.anyio
KEYS = Keys(b"k" * 32)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def admin(database: Database) -> Caller:
    user, _ = await database.write(
        lambda tx: identities.ensure_administrator(tx, KEYS, "main", NOON)
    )
    return user.caller(via="test")


async def invite(database: Database, by: Caller, name: str, **more: object) -> str:
    new = NewPerson.model_validate({"username": name, **more})
    _, link = await database.write(lambda tx: people.invite(tx, KEYS, by, "main", new, NOON))
    return link


async def test_of_many_who_take_a_name_at_once_one_gets_it(
    database: Database, admin: Caller
) -> None:
    def group(tx: Transaction) -> object:
        return groups.create(tx, admin, "main", NewGroup(groupname="wanted"), NOON)

    tries = [invite(database, admin, "wanted") for _ in range(4)]
    tries += [database.write(group) for _ in range(4)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(each, Conflict) for each in answers) == 7
    assert await database.read(lambda tx: people_rows.is_taken(tx, "wanted"))


async def test_of_two_administrators_who_demote_each_other_at_once_one_stays(
    database: Database, admin: Caller
) -> None:
    await invite(database, admin, "second", admin=True)
    answers = await asyncio.gather(
        *(
            database.write(
                lambda tx, who=who: people.change(tx, admin, who, PersonChange(admin=False), NOON)
            )
            for who in ("admin", "second")
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Conflict) for each in answers) == 1
    assert await database.read(people_rows.count_administrators) == 1


async def test_of_two_admins_who_leave_a_group_at_once_one_stays(
    database: Database, admin: Caller
) -> None:
    await invite(database, admin, "second")
    await database.write(
        lambda tx: groups.create(tx, admin, "main", NewGroup(groupname="team"), NOON)
    )
    await database.write(lambda tx: members.put(tx, admin, "main/team", "second", Role.ADMIN, NOON))
    answers = await asyncio.gather(
        *(
            database.write(lambda tx, who=who: members.remove(tx, admin, "main/team", who, NOON))
            for who in ("admin", "second")
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Conflict) for each in answers) == 1


async def test_whoever_is_disabled_or_deleted_is_out_at_once(
    database: Database, admin: Caller
) -> None:
    link = await invite(database, admin, "leaver")
    user = await database.read(lambda tx: people_rows.find_user(tx, "leaver"))
    assert user is not None
    token = KEYS.user_token(user.id, 0)
    session = await database.write(
        lambda tx: sessions.open_session(tx, user, Visit("10.0.0.1", "x" * 999), "test", NOON)
    )

    async def refused() -> int:
        """How many of the three ways in are closed."""
        ways = (
            lambda tx: identities.caller_of_token(tx, KEYS, token, NOON),
            lambda tx: sessions.caller_of(tx, session, NOON),
            lambda tx: links.look(tx, link, NOON),
        )
        found = await asyncio.gather(*map(database.read, ways), return_exceptions=True)
        return sum(isinstance(each, Unauthorized) for each in found)

    assert await refused() == 0
    off, on = PersonChange(locked=True), PersonChange(locked=False)
    await database.write(lambda tx: people.change(tx, admin, "leaver", off, NOON))
    assert await refused() == 3
    await database.write(lambda tx: people.change(tx, admin, "leaver", on, NOON))
    assert await refused() == 2  # the token is good again, sessions and links are gone
    await database.write(lambda tx: people.delete(tx, admin, "leaver", NOON))
    assert await refused() == 3
    await invite(database, admin, "leaver")
    assert await refused() == 3  # the same name is another account


async def test_roles_come_and_go_with_groups_and_people(database: Database, admin: Caller) -> None:
    await invite(database, admin, "ada")

    def work(tx: Transaction) -> None:
        group = groups.create(tx, admin, "main", NewGroup(groupname="team"), NOON)
        groups.change(tx, admin, group.id, GroupChange(description="x"), NOON)
        members.put(tx, admin, "main/team", "ada", Role.VIEWER, NOON)
        members.put(tx, admin, "main/team", "ada", Role.EDITOR, NOON)

    await database.write(work)
    ada = await database.read(lambda tx: people_rows.find_user(tx, "ada"))
    assert ada is not None
    roles = await database.read(lambda tx: identity_rows.roles_of(tx, ada.id))
    assert roles == {"main/team": Role.EDITOR}
    await database.write(lambda tx: groups.delete(tx, admin, "team", NOON))
    assert await database.read(lambda tx: identity_rows.roles_of(tx, ada.id)) == {}
    told = await database.read(
        lambda tx: [r.action for r in tx.execute(select(audit).order_by(audit.c.id))]
    )
    assert told == [
        *("user.created", "link.made", "group.created", "group.changed"),
        *("member.set", "member.set", "group.deleted"),
    ]


async def test_a_session_is_noted_as_seen_once_in_five_minutes(
    database: Database, admin: Caller
) -> None:
    user = await database.read(lambda tx: people_rows.find_user(tx, "admin"))
    assert user is not None
    session = await database.write(
        lambda tx: sessions.open_session(tx, user, Visit(), "test", NOON)
    )
    for later, due in ((299, False), (300, True)):
        at = NOON + later * SECOND
        _, found = await database.read(lambda tx, at=at: sessions.caller_of(tx, session, at))
        assert found is due
        await database.write(lambda tx, at=at: sessions.note_seen(tx, session, at))
    (listed,) = await database.read(lambda tx: sessions.list_own(tx, admin, NOON))
    assert listed.seen_at == NOON + 300 * SECOND
    after = NOON + sessions.LASTS
    with pytest.raises(Unauthorized):
        await database.read(lambda tx: sessions.caller_of(tx, session, after))
    await database.write(lambda tx: identity_rows.delete_expired(tx, after))
    assert await database.read(lambda tx: sessions.list_own(tx, admin, NOON)) == []


async def test_wrong_passwords_in_a_row_make_name_and_address_wait(database: Database) -> None:
    def enter(name: str, address: str, at: int) -> object:
        now = NOON + at * SECOND
        return database.write(lambda tx: throttle.enter(tx, KEYS, name, address, now))

    for _ in range(5):
        await enter("ada", "10.0.0.1", 0)
    with pytest.raises(TooManyRequests) as caught:
        await enter("Ada", "10.0.0.2", 31)
    assert caught.value.retry_after == 1
    await enter("ada", "10.0.0.2", 32)
    with pytest.raises(TooManyRequests) as caught:
        await enter("ada", "10.0.0.2", 33)
    assert caught.value.retry_after == 63
    await database.write(lambda tx: throttle.succeeded(tx, KEYS, "ada", "10.0.0.2"))
    await enter("ada", "10.0.0.2", 33)
    for number in range(25):  # with the five of the first address
        await enter(f"name-{number}", "10.0.0.1", 40)
    with pytest.raises(TooManyRequests):
        await enter("another", "10.0.0.1", 41)
    await enter("another", "10.0.0.3", 41)
    await enter("late", "10.0.0.9", 3 * 24 * 3600)
    key = KEYS.failure_key("name", "ada")
    assert await database.read(lambda tx: sign_in_failures.find(tx, key)) is None


async def test_many_tries_at_once_gain_nothing(database: Database) -> None:
    tries = (
        database.write(lambda tx: throttle.enter(tx, KEYS, "ada", "10.0.0.1", NOON))
        for _ in range(20)
    )
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(each is None for each in answers) == 5


@pytest.mark.parametrize(
    ("kind", "count", "seconds"),
    [("name", 4, 0), ("name", 5, 32), ("name", 9, 512), ("name", 10, 900), ("name", 10**6, 900)],
)
def test_the_wait_grows_up_to_a_quarter_of_an_hour(kind: str, count: int, seconds: int) -> None:
    assert throttle.wait_seconds(kind, count) == seconds
