"""Git credentials and known hosts: what is kept, who may, and what a runner is given."""

import base64
import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError
from sqlalchemy import update

from runhook.errors import Conflict, Forbidden, Invalid, NotFound, RunhookError
from runhook.keys import Keys
from runhook.model.access import RUN_SCOPES, Caller, User
from runhook.model.git_access import GitCredentialInfo, KnownHost, NewCredential
from runhook.ring import Ring
from runhook.runner.spec import GitCredential
from runhook.services import git_access
from runhook.services.validation import field_errors
from runhook.store import git, identities
from runhook.store.database import Database, Transaction, sqlite_url
from runhook.store.schema import prepare
from runhook.store.tables import git_credentials

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEYS = Keys(b"k" * 32, Ring(b"r" * 32))
ADMIN = Caller("a" * 32, "admin", "main/admin", admin=True)
OWNER = Caller("b" * 32, "ada", "main/ada")
STRANGER = Caller("c" * 32, "eve", "main/eve")
RUN = replace(OWNER, scopes=RUN_SCOPES, run_id="d" * 32)
TOKEN = "t0ken-of-a-test"


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Transaction]:
    database = Database(sqlite_url(tmp_path / "test.db"))
    prepare(database.engine)
    with database.engine.begin() as connection:
        yield Transaction(connection)
    database.close()


def token(prefix: str = "https://git.example/acme/", **more: object) -> NewCredential:
    values = {"name": "deploy", "kind": "token", "url_prefix": prefix, "value": TOKEN, **more}
    return NewCredential.model_validate(values)


def ssh_key(prefix: str = "git@git.example:", **more: object) -> NewCredential:
    values = {"name": "deploy", "kind": "ssh_key", "url_prefix": prefix, **more}
    return NewCredential.model_validate(values)


def add(
    tx: Transaction, new: NewCredential, caller: Caller = OWNER, now: datetime = NOON
) -> GitCredentialInfo:
    sealed = git_access.seal_credential(KEYS, caller, new, now)
    return git_access.add_credential(tx, caller, sealed)


def opened(tx: Transaction, url: str, owner: str = OWNER.owner) -> GitCredential | None:
    """What opens the URL for the owner's jobs."""
    found = git_access.credentials_for(tx, KEYS, owner, [url]).get(url)
    return found[1] if found else None


def fresh_key() -> dict[str, str]:
    """A host key as a runner reports it."""
    public = Ed25519PrivateKey.generate().public_key()
    line = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return {"type": line.split()[0], "key": line.split()[1], "fingerprint": "not believed"}


def fingerprint(key: dict[str, str]) -> str:
    digest = hashlib.sha256(base64.b64decode(key["key"])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def rsa_key() -> dict[str, str]:
    """Another type of host key: only its form matters."""
    fields = [b"ssh-rsa", b"\x01\x00\x01", b"\x7f" * 256]
    blob = b"".join(struct.pack(">I", len(field)) + field for field in fields)
    return {"type": "ssh-rsa", "key": base64.b64encode(blob).decode()}


def hosts(tx: Transaction) -> list[KnownHost]:
    return git_access.list_hosts(tx, ADMIN)


# Credentials


def test_a_token_reaches_the_runner_and_no_answer(tx: Transaction) -> None:
    info = add(tx, token(username="ada"))
    url = "https://git.example/acme/tools.git"
    assert git_access.credentials_for(tx, KEYS, OWNER.owner, [url, "https://other.example/x"]) == {
        url: (info.id, GitCredential("token", "ada", TOKEN))
    }
    sealed = git.sealed_secret(tx, info.id)
    assert TOKEN.encode() not in sealed
    assert TOKEN not in repr([info, *git_access.list_credentials(tx, OWNER), token()])
    assert TOKEN not in repr(git_access.seal_credential(KEYS, OWNER, token(), NOON))


def test_a_made_key_is_a_pair_whose_public_half_is_shown(tx: Transaction) -> None:
    info = add(tx, ssh_key())
    credential = opened(tx, "ssh://git@git.example/acme/tools.git")
    assert credential is not None
    assert info.public_key is not None
    assert info.public_key.startswith("ssh-ed25519 ")
    assert info.public_key.endswith(" runhook-deploy")
    assert credential.value.startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert credential.value.endswith("-----END OPENSSH PRIVATE KEY-----\n")
    public = add(tx, ssh_key(name="again", value=credential.value)).public_key
    assert public == info.public_key.replace("deploy", "again")


def test_each_owner_has_names_of_its_own(tx: Transaction) -> None:
    add(tx, token())
    with pytest.raises(Conflict, match="already has a git credential called deploy"):
        add(tx, ssh_key())
    add(tx, token(), STRANGER)
    assert len(git_access.list_credentials(tx, ADMIN)) == 2


def test_a_credential_serves_its_owners_jobs_alone(tx: Transaction) -> None:
    add(tx, token())
    assert opened(tx, "https://git.example/acme/x")
    assert opened(tx, "https://git.example/acme/x", STRANGER.owner) is None


def test_nobody_sees_or_touches_a_strangers_credential(tx: Transaction) -> None:
    info = add(tx, token())
    assert git_access.list_credentials(tx, STRANGER) == []
    with pytest.raises(NotFound):
        git_access.delete_credential(tx, STRANGER, info.id, NOON)
    with pytest.raises(NotFound):
        add(tx, token(owner=OWNER.owner), STRANGER)
    sealed = git_access.seal_credential(KEYS, OWNER, token(name="other"), NOON)
    with pytest.raises(NotFound):
        git_access.add_credential(tx, STRANGER, sealed)
    assert git_access.list_credentials(tx, ADMIN) == [info]


def test_an_administrator_may_add_and_delete_for_another_owner(tx: Transaction) -> None:
    with pytest.raises(NotFound, match="there is no owner main/ada here"):
        add(tx, token(owner=OWNER.owner), ADMIN)
    identities.insert_user(tx, User(OWNER.user_id, OWNER.name, OWNER.owner), "x", NOON)
    info = add(tx, token(owner=OWNER.owner), ADMIN)
    assert info.owner == OWNER.owner
    git_access.delete_credential(tx, ADMIN, info.id, NOON)
    assert opened(tx, "https://git.example/acme/x") is None
    with pytest.raises(NotFound):
        git_access.delete_credential(tx, ADMIN, info.id, NOON)


def test_a_runs_own_token_opens_none_of_this(tx: Transaction) -> None:
    info = add(tx, token())
    for forbidden in (
        lambda: git_access.list_credentials(tx, RUN),
        lambda: git_access.seal_credential(KEYS, RUN, token(), NOON),
        lambda: git_access.delete_credential(tx, RUN, info.id, NOON),
        lambda: git_access.list_hosts(tx, RUN),
    ):
        with pytest.raises(Forbidden):
            forbidden()


def test_the_longest_prefix_wins_and_of_equal_ones_the_newest(tx: Transaction) -> None:
    add(tx, token("https://git.example/", name="host", value="host"))
    add(tx, token("https://git.example/acme", name="z-old", value="old"))
    add(tx, token("https://git.example/acme/", name="a-new", value="new"), now=NOON + MINUTE)
    assert opened(tx, "https://git.example/acme/x") == GitCredential("token", "", "new")
    assert opened(tx, "https://git.example/other/x") == GitCredential("token", "", "host")


def test_a_key_opens_no_https_and_a_token_no_ssh(tx: Transaction) -> None:
    add(tx, token("https://git.example/", name="t"))
    add(tx, ssh_key(name="k"))
    over_https, over_ssh = opened(tx, "https://git.example/x"), opened(tx, "git@git.example:x")
    assert over_https is not None
    assert over_ssh is not None
    assert (over_https.kind, over_ssh.kind) == ("token", "ssh_key")


@pytest.mark.parametrize(
    ("column", "owner", "url"),
    [
        ({"owner": STRANGER.owner}, STRANGER.owner, "https://git.example/acme/x"),
        ({"url_prefix": "https://evil.example/"}, OWNER.owner, "https://evil.example/x"),
        ({"username": "eve"}, OWNER.owner, "https://git.example/acme/x"),
        ({"name": "renamed"}, OWNER.owner, "https://git.example/acme/x"),
        (
            {"kind": "ssh_key", "url_prefix": "git@evil.example:"},
            OWNER.owner,
            "git@evil.example:x",
        ),
        ({"secret": b""}, OWNER.owner, "https://git.example/acme/x"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_a_row_that_was_altered_in_the_database_gives_its_secret_to_nobody(
    tx: Transaction, column: dict[str, object], owner: str, url: str
) -> None:
    add(tx, token())
    tx.execute(update(git_credentials).values(**column))
    with pytest.raises(RunhookError, match="cannot decrypt"):
        opened(tx, url, owner)


def test_a_secret_that_was_moved_to_another_row_stays_closed(tx: Transaction) -> None:
    mine, other = add(tx, token()), add(tx, token("https://evil.example/"), STRANGER)
    stolen = git.sealed_secret(tx, mine.id)
    row = update(git_credentials).where(git_credentials.c.id == other.id)
    tx.execute(row.values(secret=stolen))
    with pytest.raises(RunhookError, match="cannot decrypt"):
        opened(tx, "https://evil.example/x", STRANGER.owner)


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"value": " \n"}, "value", "give the token"),
        ({"value": "a\nusername=eve"}, "value", "one line"),
        ({"value": "x" * 8193}, "value", "at most 8192"),
        ({"url_prefix": "git@git.example:"}, "url_prefix", "opens https"),
        ({"url_prefix": "file:///srv"}, "url_prefix", "write the beginning"),
        ({"url_prefix": "https://ada:x@git.example/"}, "url_prefix", "write the beginning"),
        ({"url_prefix": "https://ada@git.example/"}, "url_prefix", "leave the user out"),
        ({"url_prefix": "https://git.example/../"}, "url_prefix", "without '.' and '..'"),
        ({"url_prefix": "https://git.example:99999/"}, "url_prefix", "from 1 to 65535"),
        ({"kind": "ssh_key"}, "url_prefix", "opens ssh"),
        ({"username": "a:b"}, "username", "match pattern"),
        ({"username": "a\nb"}, "username", "match pattern"),
        ({"name": "a b"}, "name", "match pattern"),
        ({"name": "deploy\n"}, "name", "match pattern"),
        ({"owner": "main/a\x00"}, "owner", "match pattern"),
        ({"token": "x"}, "token", "is not known"),
    ],
)
def test_a_wrong_field_is_named_and_the_secret_is_not(
    change: dict[str, str], field: str, sentence: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        token(**change)
    (found,) = field_errors(refused.value, NewCredential).items()
    assert found[0] == field
    assert sentence in found[1]
    assert TOKEN not in str(refused.value)


def test_a_user_name_beside_an_ssh_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="stands in the address"):
        ssh_key(username="git")


def test_a_damaged_key_is_refused_by_its_field() -> None:
    new = ssh_key(value="-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA")
    with pytest.raises(Invalid) as refused:
        git_access.seal_credential(KEYS, OWNER, new, NOON)
    assert "damaged" in refused.value.details["value"]


# Known hosts


def test_a_key_that_a_runner_met_counts_once_an_administrator_confirmed_it(
    tx: Transaction,
) -> None:
    key = fresh_key()
    git_access.note_host_keys(tx, "Git.Example", [key], NOON)
    git_access.note_host_keys(tx, "[git.example]:22", [key], NOON + MINUTE)
    (shown,) = hosts(tx)
    assert (shown.host, shown.first_seen_at, shown.changed) == ("git.example", NOON, False)
    assert shown.fingerprint == fingerprint(key)
    assert git_access.known_hosts_text(tx) == ""
    with pytest.raises(Forbidden):
        git_access.confirm_host(tx, OWNER, shown.id, NOON)
    confirmed = git_access.confirm_host(tx, ADMIN, shown.id, NOON)
    assert (confirmed.confirmed_at, confirmed.confirmed_by) == (NOON, ADMIN.user_id)
    assert git_access.confirm_host(tx, ADMIN, shown.id, NOON + MINUTE) == confirmed
    assert git_access.known_hosts_text(tx) == f"git.example ssh-ed25519 {key['key']}\n"
    with pytest.raises(Forbidden):
        git_access.delete_host(tx, OWNER, shown.id, NOON)
    git_access.delete_host(tx, ADMIN, shown.id, NOON)
    assert git_access.known_hosts_text(tx) == ""
    with pytest.raises(NotFound):
        git_access.confirm_host(tx, ADMIN, shown.id, NOON)


def test_a_changed_key_stands_beside_the_believed_one_and_is_marked(tx: Transaction) -> None:
    old, new = fresh_key(), fresh_key()
    believed = git_access.add_host(tx, ADMIN, f"[h.example]:2222 ssh-ed25519 {old['key']}", NOON)
    git_access.note_host_keys(tx, "[h.example]:2222", [new, old], NOON + MINUTE)
    git_access.note_host_keys(tx, "h.example", [fresh_key()], NOON + MINUTE)
    marked = {host.fingerprint for host in hosts(tx) if host.changed}
    assert marked == {fingerprint(new)}
    assert git_access.known_hosts_text(tx) == f"[h.example]:2222 {believed.key}\n"
    (changed,) = (host for host in hosts(tx) if host.changed)
    git_access.confirm_host(tx, ADMIN, changed.id, NOON + 2 * MINUTE)
    assert git_access.known_hosts_text(tx).count("[h.example]:2222 ") == 2
    assert not any(host.changed for host in hosts(tx))


def test_other_types_of_key_are_suspicious_only_if_first_seen_after_the_confirmation(
    tx: Transaction,
) -> None:
    first, late = fresh_key(), rsa_key()
    git_access.note_host_keys(tx, "a.example", [first, late], NOON)
    git_access.note_host_keys(tx, "b.example", [first], NOON)
    for host in hosts(tx):
        if host.type == "ssh-ed25519":
            git_access.confirm_host(tx, ADMIN, host.id, NOON + MINUTE)
    git_access.note_host_keys(tx, "b.example", [late], NOON + 2 * MINUTE)
    assert [host.host for host in hosts(tx) if host.changed] == ["b.example"]


def test_a_line_that_an_administrator_adds_is_believed_at_once(tx: Transaction) -> None:
    key = fresh_key()
    line = f"Git.example {key['type']} {key['key']} a comment\n"
    with pytest.raises(Forbidden):
        git_access.add_host(tx, OWNER, line, NOON)
    added = git_access.add_host(tx, ADMIN, line, NOON)
    assert (added.host, added.confirmed_at) == ("git.example", NOON)
    assert git_access.add_host(tx, ADMIN, line, NOON + MINUTE) == added


def test_adding_a_key_that_was_shown_before_confirms_it(tx: Transaction) -> None:
    key = fresh_key()
    git_access.note_host_keys(tx, "git.example", [key], NOON)
    git_access.add_host(tx, ADMIN, f"git.example ssh-ed25519 {key['key']}", NOON + MINUTE)
    assert [host.confirmed_at for host in hosts(tx)] == [NOON + MINUTE]


def test_a_line_that_is_none_is_refused_with_what_to_write(tx: Transaction) -> None:
    kind, key = "ssh-ed25519", fresh_key()["key"]
    lines = {
        "": "host, type and key",
        f"git.example {kind}": "host, type and key",
        "# git.example:22 SSH-2.0-OpenSSH": "host, type and key",
        f"@cert-authority *.example {kind} {key}": "host, type and key",
        f"*.example {kind} {key}": "one host",
        f"a.example,b.example {kind} {key}": "one host",
        f"|1|c2FsdA==|aGFzaA== {kind} {key}": "one host",
        f"git.example:2222 {kind} {key}": "one host",
        f"[git.example]:0 {kind} {key}": "from 1 to 65535",
        f"-oProxyCommand=x {kind} {key}": "one host",
        f"git.example {kind} {key[:-8]}": "damaged",
        f"git.example {kind} not-base64": "damaged",
        f"git.example ecdsa-sha2-nistp256 {key}": "damaged",
        f"git.example ssh-dss {key}": "the type of the key",
        f"git.example {kind} {key}\ngit.example {kind} {key}": "one line",
    }
    for line, sentence in lines.items():
        with pytest.raises(Invalid) as refused:
            git_access.add_host(tx, ADMIN, line, NOON)
        assert sentence in refused.value.details["line"], line
    assert hosts(tx) == []


@pytest.mark.parametrize(
    ("host", "keys"),
    [
        (None, []),
        ("git.example", {"type": "x"}),
        ("git.example", [None, 7, "ssh-ed25519 AAAA", {}, {"type": "ssh-ed25519"}]),
        ("git.example", [{"type": "ssh-ed25519 AAAA", "key": "AAAA"}]),
        ("git.example", [{"type": ["ssh-ed25519"], "key": {"a": 1}}]),
        ("git.example\nevil.example", [fresh_key()]),
        ("git.example\n", [fresh_key()]),
        ("a b", [fresh_key()]),
        ("\x00", [fresh_key()]),
        ("x" * 300, [fresh_key()]),
        ("*", [fresh_key()]),
    ],
)
def test_a_report_that_makes_no_sense_is_left_out(
    tx: Transaction, host: object, keys: object
) -> None:
    git_access.note_host_keys(tx, json.loads(json.dumps(host)), json.loads(json.dumps(keys)), NOON)
    assert hosts(tx) == []


def test_reports_cannot_fill_the_database_nor_push_out_what_is_believed(tx: Transaction) -> None:
    key = fresh_key()
    git_access.add_host(tx, ADMIN, f"believed.example ssh-ed25519 {key['key']}", NOON)
    many = git_access.MOST_UNCONFIRMED + 20
    for number in range(many):
        at = NOON + number * MINUTE
        git_access.note_host_keys(tx, f"h{number}.example", [key], at)
    git_access.note_host_keys(
        tx, "one.example", [fresh_key() for _ in range(50)], NOON + 1e6 * MINUTE
    )
    kept = {host.host for host in hosts(tx) if not host.confirmed_at}
    unconfirmed = [host for host in hosts(tx) if not host.confirmed_at]
    assert len(unconfirmed) == git_access.MOST_UNCONFIRMED
    assert sum(host.host == "one.example" for host in unconfirmed) == git_access.MOST_KEYS_NOTED
    assert "h0.example" not in kept
    assert f"h{many - 1}.example" in kept
    assert git_access.known_hosts_text(tx) == f"believed.example ssh-ed25519 {key['key']}\n"


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("[GIT.example]:2222", "[git.example]:2222"),
        ("::1", "::1"),
        ("[fe80::1]:22", "fe80::1"),
        ("[::1]:2222", "[::1]:2222"),
    ],
)
def test_hosts_are_kept_in_the_form_that_ssh_looks_for(
    tx: Transaction, text: str, host: str
) -> None:
    key = fresh_key()
    added = git_access.add_host(tx, ADMIN, f"{text} ssh-ed25519 {key['key']}", NOON)
    assert added.host == host
