"""Named tokens on both databases."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from runhook.errors import Forbidden, Invalid, NotFound, Unauthorized
from runhook.keys import Keys, random_token
from runhook.model.access import Caller, User
from runhook.model.scope import START_ONE, bound
from runhook.model.token import ACCESS, REFRESH
from runhook.services import identities, sign_in, tokens
from runhook.services.sessions import Visit
from runhook.services.tokens import Issued, Wanted
from runhook.store import identities as people
from runhook.store import tokens as rows
from runhook.store.database import Database
from runhook.store.tables import audit, new_id, spent_refreshes, users
from runhook.store.tables import tokens as table
from tests.conformance.conftest import NOON

pytestmark = pytest.mark.anyio
KEYS = Keys(b"k" * 32)
HOUR = timedelta(hours=1)
BOTH = Wanted("both", expires_in=3600, refresh_expires_in=7200)


@pytest.fixture
async def caller(database: Database) -> Caller:
    return await account(database, "teammate")


async def account(database: Database, name: str, admin: bool = False) -> Caller:
    user = User(new_id(), name, f"main/{name}", admin=admin)
    secret = KEYS.user_token(user.id, 0)
    await database.write(lambda tx: people.insert_user(tx, user, secret, NOON))
    return user.caller()


async def make(database: Database, caller: Caller, wanted: Wanted = BOTH) -> Issued:
    return await database.write(lambda tx: tokens.make(tx, caller, wanted, NOON))


async def holder(database: Database, access: str, now: datetime = NOON) -> Caller:
    return await database.read(lambda tx: identities.caller_of_token(tx, KEYS, access, now))


async def refresh(database: Database, spent: str | None, now: datetime = NOON) -> Issued | None:
    return await database.write(lambda tx: tokens.refresh(tx, spent or "", "192.0.2.1", now))


async def told(database: Database) -> list[tuple[str, str, Any, Any]]:
    statement = select(audit).order_by(audit.c.id)
    entries = await database.read(lambda tx: tx.execute(statement).all())
    return [(each.action, each.via, each.before, each.after) for each in entries]


async def test_a_token_opens_what_its_scope_says_and_is_kept_as_a_hash_only(
    database: Database, caller: Caller
) -> None:
    scope = bound(START_ONE, "a" * 32)
    made = await make(database, caller, Wanted("for a job", scope, 60, 120))
    found = await holder(database, made.access)
    assert (found.user_id, found.via, found.token_id) == (
        caller.user_id,
        "token for a job",
        made.token.id,
    )
    assert found.scopes == frozenset(scope.split())
    stored = str(await database.read(lambda tx: tx.execute(select(table)).all()))
    assert made.access not in stored
    assert made.refresh is not None
    assert made.refresh not in stored
    assert await database.read(lambda tx: rows.get_token(tx, made.token.id)) == made.token


async def test_a_wrong_an_expired_a_revoked_and_a_disabled_ones_token(
    database: Database, caller: Caller
) -> None:
    made = await make(database, caller)
    for wrong in (random_token(ACCESS), made.access[:-1], made.refresh or "", "rht_"):
        with pytest.raises(Unauthorized, match="^the token is not valid$"):
            await holder(database, wrong)
    await holder(database, made.access, NOON + HOUR - timedelta(microseconds=1))
    with pytest.raises(Unauthorized, match="expired"):
        await holder(database, made.access, NOON + HOUR)
    disable = users.update().values(disabled=True)
    await database.write(lambda tx: tx.execute(disable))
    with pytest.raises(Unauthorized, match="not valid"):
        await holder(database, made.access)
    assert await refresh(database, made.refresh) is None
    await database.write(lambda tx: tx.execute(users.update().values(disabled=False)))
    await database.write(lambda tx: tokens.revoke(tx, caller, made.token.id, NOON))
    with pytest.raises(Unauthorized, match="not valid"):
        await holder(database, made.access)
    with pytest.raises(NotFound):
        await database.write(lambda tx: tokens.revoke(tx, caller, made.token.id, NOON))


async def test_a_refresh_gives_a_new_pair_for_as_long_again_and_ends_the_old_one(
    database: Database, caller: Caller
) -> None:
    first = await make(database, caller)
    later = NOON + 1.5 * HOUR
    second = await refresh(database, first.refresh, later)
    assert second is not None
    assert second.token == replace(
        first.token, expires_at=later + HOUR, refresh_expires_at=later + 2 * HOUR
    )
    assert (await holder(database, second.access, later)).token_id == first.token.id
    with pytest.raises(Unauthorized):
        await holder(database, first.access, later)
    assert await refresh(database, second.refresh, later + 2 * HOUR) is None  # too late
    assert (await holder(database, second.access, later)).token_id == first.token.id
    assert [entry[:2] for entry in await told(database)] == [
        ("token.created", ""),
        ("token.refreshed", "refresh token"),
    ]


async def test_every_refresh_token_that_was_used_ends_the_token_however_old_it_is(
    database: Database, caller: Caller
) -> None:
    """A thief who refreshes twice must not have the first one forgotten."""
    first = await make(database, caller)
    second = await refresh(database, first.refresh)
    third = await refresh(database, second.refresh if second else None)
    assert third is not None
    assert await refresh(database, first.refresh) is None
    with pytest.raises(Unauthorized):
        await holder(database, third.access)
    assert await refresh(database, third.refresh) is None
    assert (await told(database))[-1][:2] == ("token.reused", "spent refresh token")
    left = await database.read(lambda tx: tx.execute(select(spent_refreshes)).all())
    assert left == []


async def test_of_two_refreshes_at_once_one_gets_a_pair_and_the_other_ends_it(
    database: Database, caller: Caller
) -> None:
    for _ in range(5):
        made = await make(database, caller)
        answers = await asyncio.gather(*(refresh(database, made.refresh) for _ in range(2)))
        pairs = [each for each in answers if each]
        assert len(pairs) == 1
        with pytest.raises(Unauthorized):
            await holder(database, pairs[0].access)
        assert await database.read(lambda tx, made=made: rows.get_token(tx, made.token.id)) is None


async def test_a_guess_opens_nothing_and_ends_nothing(database: Database, caller: Caller) -> None:
    made = await make(database, caller)
    for guess in (random_token(REFRESH), made.access, "", "rhf_" + "a" * 36):
        assert not await database.read(lambda tx, guess=guess: tokens.may_refresh(tx, guess))
        assert await refresh(database, guess) is None
    assert await refresh(database, made.refresh)


async def test_a_token_makes_none_that_may_more(database: Database, caller: Caller) -> None:
    job, other = "a" * 32, "b" * 32
    limited = replace(caller, scopes=frozenset({"user:token", "runs:read", f"jobs:start:{job}"}))
    for scope in (
        None,
        "jobs:start",
        f"jobs:start:{other}",
        "jobs:write",
        f"runs:read jobs:read:{job}",
    ):
        with pytest.raises(Invalid):
            await make(database, limited, Wanted("more", scope))
    for scope in ("runs:read", f"runs:read:{other} jobs:start:{job}", "user:token"):
        assert await make(database, limited, Wanted("less", scope))
    with pytest.raises(Forbidden):
        await make(database, replace(caller, scopes=frozenset({"runs:read"})), Wanted("x", None))
    with pytest.raises(Forbidden, match="with a scope"):
        await database.write(lambda tx: identities.user_token(tx, KEYS, limited))
    with pytest.raises(Forbidden, match="with a scope"):
        await database.write(lambda tx: identities.rotate_token(tx, KEYS, limited, NOON))
    with pytest.raises(Forbidden, match="with a scope"):
        await database.write(lambda tx: identities.make_sign_in_link(tx, limited, NOON))


@pytest.mark.parametrize(("wanted", "hours"), [(None, 1), (7200, 1), (1800, 0.5)])
async def test_a_token_makes_none_that_outlives_it(
    database: Database, caller: Caller, wanted: int | None, hours: float
) -> None:
    first = await make(database, caller, Wanted("an hour", expires_in=3600))
    held = await holder(database, first.access)
    second = await make(database, held, Wanted("longer", expires_in=wanted))
    assert second.token.expires_at == NOON + hours * HOUR
    third = await make(database, await holder(database, second.access), Wanted("the third"))
    assert third.token.expires_at == NOON + hours * HOUR
    with pytest.raises(Unauthorized, match="expired"):
        await holder(database, third.access, NOON + HOUR)
    with pytest.raises(Invalid) as refused:
        await make(database, held, BOTH)
    assert list(refused.value.details) == ["refresh_expires_in"]
    endless = await make(database, caller, Wanted("endless"))
    free = await make(database, await holder(database, endless.access), BOTH)
    assert free.token.refresh_expires_at == NOON + 2 * HOUR


async def test_only_a_user_token_opens_a_session(database: Database, caller: Caller) -> None:
    made = await make(database, caller, Wanted("everything"))
    for token, opens in ((made.access, False), (KEYS.user_token(caller.user_id, 0), True)):
        session = await database.write(
            lambda tx, token=token: sign_in.with_token(tx, KEYS, token, Visit(), NOON)
        )
        assert (session is not None) == opens


async def test_a_wrong_word_is_told_the_nearest(database: Database, caller: Caller) -> None:
    with pytest.raises(Invalid) as caught:
        await make(database, caller, Wanted("typo", "runs:read jobs:strat"))
    assert "did you mean jobs:start" in caught.value.details["scope"]
    for scope in ("", "  ", "runs:read " * 1000):
        with pytest.raises(Invalid):
            await make(database, caller, Wanted("empty or long", scope))


async def test_tokens_are_listed_page_by_page_each_to_whom_it_belongs(
    database: Database, caller: Caller
) -> None:
    mine = [await make(database, caller, Wanted(f"{n}", "runs:read")) for n in range(5)]
    stranger, admin = await account(database, "stranger"), await account(database, "boss", True)
    theirs = await make(database, stranger)
    everything = sorted((each.token for each in mine), key=lambda each: each.id, reverse=True)

    def page(who: Caller, **more: Any) -> Any:
        return database.read(lambda tx: tokens.list_page(tx, who, **more))

    assert await page(caller, size=9) == everything
    edge = (everything[1].created_at, everything[1].id)
    assert await page(caller, size=2, after=edge) == everything[2:4]
    edge = (everything[4].created_at, everything[4].id)
    assert await page(caller, size=2, before=edge) == everything[2:4]
    assert await page(admin, size=9, user_id=stranger.user_id) == [theirs.token]
    with pytest.raises(Forbidden):
        await page(caller, size=9, user_id=stranger.user_id)
    with pytest.raises(NotFound):
        await database.write(lambda tx: tokens.revoke(tx, caller, theirs.token.id, NOON))
    await database.write(lambda tx: tokens.revoke(tx, admin, theirs.token.id, NOON))
    renamed = await database.write(
        lambda tx: tokens.describe(tx, caller, mine[0].token.id, "new", NOON)
    )
    assert await database.read(lambda tx: tokens.get(tx, caller, renamed.id)) == renamed


async def test_a_use_is_noted_at_most_once_a_minute_whatever_the_clock_does(
    database: Database, caller: Caller
) -> None:
    made = await make(database, caller)
    seen = []
    for seconds in (0, 59, 60, 30):
        at = NOON + timedelta(seconds=seconds)
        address = f"192.0.2.{seconds}"
        await database.write(
            lambda tx, at=at, address=address: rows.note_use(tx, made.token.id, address, at)
        )
        token = await database.read(lambda tx: rows.get_token(tx, made.token.id))
        assert token is not None
        seen.append(token.last_address.rpartition(".")[2])
    assert seen == ["0", "0", "60", "30"]


async def test_the_audit_log_tells_scope_and_end_and_holds_no_token(
    database: Database, caller: Caller
) -> None:
    made = await make(database, caller, Wanted("told", "runs:read", 3600, 7200))
    await database.write(lambda tx: tokens.revoke(tx, caller, made.token.id, NOON))
    about = {"scope": "runs:read", "expires_at": (NOON + HOUR).isoformat()}
    entries = await told(database)
    assert entries == [("token.created", "", None, about), ("token.revoked", "", about, None)]
    assert made.access not in str(entries)
