"""Which passwords are taken, and how they are kept and compared."""

import asyncio

import pytest

from runhook.errors import Invalid, Unavailable
from runhook.services import passwords

GOOD = "three plain words"


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short words",
        "x" * 1025,
        "aaaaaaaaaaaa",
        "ababababababab",
        "Password1234",
        "ada.lovelace",
        "AdaLovelace1815!",
        "ada ada ada ada",
        "Ada-Lovelace-1",
    ],
)
def test_what_everybody_would_try_first_is_refused(password: str) -> None:
    with pytest.raises(Invalid) as caught:
        passwords.require_good(password, "ada", "ada.lovelace@example.org")
    assert set(caught.value.details) == {"password"}


@pytest.mark.parametrize(
    "password", [GOOD, "x1y2z3x1y2z3", "пароль из слов", "🐟🐠🐡🐬🐳🐋🐊🐢🐍🦎🦖🦕"]
)
def test_length_is_the_only_rule_beside(password: str) -> None:
    passwords.require_good(password, "ada", "ada@example.org")


def test_a_hash_fits_its_password_and_no_other_many_at_once() -> None:
    async def run() -> None:
        kept = await passwords.hashed("caf\u00e9 caf\u00e9 caf\u00e9")
        assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
        assert len(kept) <= 255
        tries = ["cafe\u0301 cafe\u0301 cafe\u0301", "cafe cafe cafe", "", GOOD]
        found = await asyncio.gather(*(passwords.fits(each, kept) for each in tries))
        assert found == [True, False, False, False]
        assert await passwords.fits(GOOD, None) is False

    asyncio.run(run())


def test_what_nobody_has_is_computed_like_a_real_hash() -> None:
    """Else the time it takes would tell which names there are."""
    made = asyncio.run(passwords.hashed(GOOD))
    real, nobodys = (text.split("$") for text in (made, passwords.NOBODYS))
    assert real[:4] == nobodys[:4]
    assert [len(part) for part in real] == [len(part) for part in nobodys]


def test_more_than_a_crowd_is_asked_to_come_again() -> None:
    async def run() -> None:
        tasks = [asyncio.create_task(passwords.fits(GOOD, None)) for _ in range(2)]
        await asyncio.sleep(0)
        room = passwords.MOST_WAITING - 2
        tasks += [asyncio.create_task(passwords.fits(GOOD, "$argon2id$")) for _ in range(room)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await passwords.fits(GOOD, None)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
