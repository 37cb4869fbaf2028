"""Accounts and roles that come from a sign-in provider, on both databases."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from runhook.errors import Conflict, Forbidden, Unauthorized
from runhook.keys import Keys
from runhook.model.access import Caller, Role, User
from runhook.model.sign_on import Admission, Person, grants_of
from runhook.services import audit, identities, sso
from runhook.store import identities as user_rows
from runhook.store import sign_on
from runhook.store.audit import Entry, Wanted
from runhook.store.database import Database
from runhook.store.tables import new_id
from tests.conformance.conftest import NOON

pytestmark = pytest.mark.anyio
ISSUER = "https://id.example.org"
GRANTS = "staff=data:editor, staff=web:viewer, boss=data:admin, root=*:admin, self=bob:admin"
ADMISSION = Admission(grants=grants_of(GRANTS))


class Door:
    """Somebody's way in."""

    def __init__(self, database: Database, keys: Keys, admission: Admission = ADMISSION) -> None:
        self.database = database
        self.keys = keys
        self.admission = admission

    async def enter(self, subject: str, *groups: str, name: str = "") -> User:
        """Sign in, as whom the provider says."""
        person = Person(ISSUER, subject, name or subject, groups=frozenset(groups))
        session = await self.database.write(
            lambda tx: sso.sign_in(tx, self.keys, "main", self.admission, person, "192.0.2.1", NOON)
        )
        caller = await self.database.read(
            lambda tx: identities.caller_of_session(tx, session, NOON)
        )
        user = await self.database.read(lambda tx: user_rows.get_user(tx, caller.user_id))
        assert user is not None
        return user

    async def roles(self, user: User) -> dict[str, tuple[Role, str]]:
        return await self.database.read(lambda tx: sign_on.memberships_of(tx, user.id))

    async def add(self, name: str, **more: bool) -> User:
        """An account that is made here."""
        user = User(new_id(), name, f"main/{name}", **more)
        token = self.keys.user_token(user.id, 0)
        await self.database.write(lambda tx: user_rows.insert_user(tx, user, token, NOON))
        return user

    async def entries(self, action: str) -> list[Entry]:
        root = Caller("r" * 32, "root", "main/root", admin=True)
        wanted = Wanted(action=action)
        return await self.database.read(lambda tx: audit.page(tx, root, wanted, size=100))


@pytest.fixture
def door(database: Database, tmp_path: Path) -> Door:
    return Door(database, Keys.open(tmp_path / "keys"))


def names(entries: Iterable[Entry]) -> list[str]:
    return sorted(entry.object_name for entry in entries)


async def test_groups_give_roles_and_take_back_what_they_gave(door: Door) -> None:
    ada = await door.enter("ada", "staff")
    given = {"main/data": (Role.EDITOR, "sso"), "main/web": (Role.VIEWER, "sso")}
    assert await door.roles(ada) == given
    assert names(await door.entries("group.created")) == ["data", "web"]
    await door.enter("ada", "staff")
    assert len(await door.entries("member.")) == 2
    await door.enter("ada", "boss", "staff")
    assert (await door.roles(ada))["main/data"] == (Role.ADMIN, "sso")
    await door.enter("ada", "unknown")
    assert await door.roles(ada) == {}
    changes = [(each.owner, each.before, each.after) for each in await door.entries("member.")]
    assert changes[-3] == (
        "main/data",
        {"role": "editor", "source": "sso"},
        {"role": "admin", "source": "sso"},
    )
    assert {(each.user_name, each.via) for each in await door.entries("member.")} == {
        ("ada", "single sign-on")
    }


async def test_a_role_that_was_given_here_stays_as_it_is(door: Door) -> None:
    ada = await door.enter("ada", "staff")
    await door.database.write(
        lambda tx: tx.execute(
            sign_on.memberships.update()
            .where(sign_on.memberships.c.owner == "main/web")
            .values(source="manual", role="admin")
        )
    )
    for groups in (("staff",), (), ("boss",)):
        await door.enter("ada", *groups)
        assert (await door.roles(ada))["main/web"] == (Role.ADMIN, "manual")


async def test_a_persons_things_are_not_given_away_by_the_settings(door: Door) -> None:
    await door.add("bob")
    ada = await door.enter("ada", "self")
    assert await door.roles(ada) == {}
    assert await door.entries("group.created") == []


async def test_an_administrator_of_here_stays_one_and_so_does_the_last(door: Door) -> None:
    ada = await door.enter("ada", "root")
    assert ada.admin
    assert (await door.enter("ada")).admin  # nobody else could let anybody in again
    root = await door.add("root", admin=True)
    assert not (await door.enter("ada")).admin
    person = Person(ISSUER, "root-there", "ignored")
    await door.database.write(lambda tx: sso.link(tx, root.caller(), person, NOON))
    assert (await door.enter("root-there")).id == root.id
    assert (await door.enter("root-there", "root")).admin
    assert (await door.enter("root-there")).admin


async def test_a_disabled_account_stays_closed(door: Door) -> None:
    user = await door.add("carl", disabled=True)
    person = Person(ISSUER, "carl-there", "carl")
    await door.database.write(lambda tx: sso.link(tx, user.caller(), person, NOON))
    with pytest.raises(Forbidden, match="is disabled"):
        await door.enter("carl-there", "root")
    assert await door.roles(user) == {}
    assert await door.entries("session.opened") == []


async def test_names_of_users_and_groups_are_never_taken_over(door: Door) -> None:
    await door.enter("ada", "staff")
    for name in ("ada", "data"):
        with pytest.raises(Conflict, match=f"would be called {name}") as refused:
            await door.enter("another", name=name)
        assert "link" in refused.value.hint
    assert names(await door.entries("user.created")) == ["ada"]


async def test_only_linked_accounts_open_where_none_is_made(door: Door) -> None:
    closed = Door(door.database, door.keys, Admission(auto_create=False))
    with pytest.raises(Forbidden, match="no account here is linked"):
        await closed.enter("dora")
    user = await door.add("dora")
    person = Person(ISSUER, "dora", "dora")
    for _ in range(2):
        await door.database.write(lambda tx: sso.link(tx, user.caller(), person, NOON))
    assert (await closed.enter("dora")).id == user.id
    assert len(await door.entries("identity.linked")) == 1
    other = await door.add("eric")
    with pytest.raises(Conflict, match="another account"):
        await door.database.write(lambda tx: sso.link(tx, other.caller(), person, NOON))


async def test_unlinking_takes_along_what_came_through_the_link(door: Door) -> None:
    await door.add("root", admin=True)
    ada = await door.enter("ada", "staff", "root")
    for _ in range(2):
        await door.database.write(lambda tx: sso.unlink(tx, ada.caller(), ISSUER, NOON))
    assert await door.roles(ada) == {}
    after = await door.database.read(lambda tx: user_rows.get_user(tx, ada.id))
    assert after is not None
    assert not after.admin
    assert len(await door.entries("identity.unlinked")) == 1
    with pytest.raises(Conflict, match="would be called ada"):
        await door.enter("ada")


async def test_an_attempt_is_used_up_once_and_forgotten_when_it_is_too_old(
    database: Database,
) -> None:
    end = NOON + timedelta(minutes=10)
    await database.write(lambda tx: sso.use_up(tx, "state", end, NOON))
    with pytest.raises(Unauthorized, match="used already"):
        await database.write(lambda tx: sso.use_up(tx, "state", end, NOON))
    await database.write(lambda tx: sso.use_up(tx, "other", end + timedelta(hours=1), end))
    count = "SELECT count(*) FROM spent_sign_ons"
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql(count).scalar_one() == 1
