"""Which ssh key opens which address: keys bound to addresses, and defaults."""

from datetime import timedelta

from runhook.model.git_access import ANY_SSH, NAMED_ONLY, GitCredentialInfo
from runhook.services import git_access, private_keys
from runhook.services.private_keys import KeyChange
from runhook.store.database import Transaction
from tests.services.test_git_access import KEYS, NOON, OWNER, add, opened, ssh_key, token, tx

__all__ = ["tx"]
SSH = "git@git.example:acme/tools.git"


def keep(
    tx: Transaction, name: str, *, default: bool = False, minutes: int = 0
) -> GitCredentialInfo:
    now = NOON + timedelta(minutes=minutes)
    pair = private_keys.pair_of(None, name)
    return private_keys.add(tx, KEYS, OWNER, OWNER.owner, name, pair, now, is_default=default)


def opener(tx: Transaction, url: str) -> str | None:
    found = git_access.openers(tx, OWNER.owner, [url]).get(url)
    return found.name if found else None


def test_a_key_that_is_no_default_opens_nothing_by_itself(tx: Transaction) -> None:
    keep(tx, "unbound")
    assert opened(tx, SSH) is None


def test_the_default_opens_ssh_and_only_what_nothing_else_opens(tx: Transaction) -> None:
    keep(tx, "default", default=True)
    assert opener(tx, SSH) == opener(tx, "ssh://git@other.example:2222/x.git") == "default"
    assert opener(tx, "https://git.example/acme/tools.git") is None
    add(tx, ssh_key("git@git.example:", name="bound"))
    add(tx, token(name="token"))
    assert opener(tx, SSH) == "bound"
    assert opener(tx, "git@other.example:x.git") == "default"


def test_there_is_one_default_and_the_others_still_open_what_is_theirs(tx: Transaction) -> None:
    first = keep(tx, "first", default=True)
    before = opened(tx, SSH)
    second = keep(tx, "second", default=True, minutes=1)
    assert opener(tx, SSH) == "second"
    prefixes = {info.name: info.url_prefix for info in private_keys.list_all(tx, OWNER)}
    assert prefixes == {"first": NAMED_ONLY, "second": ANY_SSH}
    private_keys.change(tx, KEYS, OWNER, first.id, KeyChange("renamed", True), NOON)
    assert (opener(tx, SSH), opened(tx, SSH)) == ("renamed", before)
    changed = private_keys.change(tx, KEYS, OWNER, second.id, KeyChange(is_default=False), NOON)
    assert changed == private_keys.get(tx, OWNER, second.id)
    private_keys.delete(tx, OWNER, first.id, NOON)
    assert opened(tx, SSH) is None


def test_another_value_is_what_opens_from_then_on(tx: Transaction) -> None:
    info = keep(tx, "default", default=True)
    pair = private_keys.pair_of(None, "other")
    changed = private_keys.change(tx, KEYS, OWNER, info.id, KeyChange(pair=pair), NOON)
    credential = opened(tx, SSH)
    assert credential and credential.value == pair.private
    assert changed.public_key == pair.public
