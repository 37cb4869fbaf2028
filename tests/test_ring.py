"""The keys that encrypt at rest: where they come from, what is refused, and changing them."""

import os
import shlex
import sqlite3
import subprocess
import sys
from base64 import b64encode
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runhook.errors import RunhookError, SettingsError
from runhook.keys import Keys
from runhook.ring import Ring, Source
from tests.conftest import Api, LiveServer, MakeServer
from tests.test_backup import empty_place, restored

KEYS = Keys(b"k" * 32, Ring(b"r" * 32))
ONE, TWO = (b64encode(each * 32).decode() for each in (b"1", b"2"))
texts = st.text(st.characters(codec="utf-8"), max_size=200)


@given(texts, texts)
def test_what_was_encrypted_is_read_back_in_its_context_only(text: str, context: str) -> None:
    sealed = KEYS.encrypt(text, context)
    assert KEYS.decrypt(sealed, context) == text
    with pytest.raises(RunhookError):
        KEYS.decrypt(sealed, context + "x")
    with pytest.raises(RunhookError):
        Ring(b"o" * 32).decrypt(sealed, context)


@given(texts, st.integers(min_value=0))
def test_a_changed_byte_is_noticed(text: str, index: int) -> None:
    sealed = bytearray(KEYS.encrypt(text, "c"))
    sealed[index % len(sealed)] ^= 1
    with pytest.raises(RunhookError):
        KEYS.decrypt(bytes(sealed), "c")


@given(st.binary(max_size=40))
def test_bytes_that_were_never_encrypted_are_refused(sealed: bytes) -> None:
    with pytest.raises(RunhookError, match="cannot decrypt"):
        KEYS.decrypt(sealed, "c")


def test_no_two_encryptions_of_a_text_are_alike() -> None:
    assert len({KEYS.encrypt("text", "c") for _ in range(100)}) == 100


def test_the_first_key_encrypts_and_every_key_decrypts() -> None:
    old, new = Ring(b"1" * 32), Ring(b"2" * 32, b"1" * 32)
    sealed = old.encrypt("text", "c")
    assert new.decrypt(sealed, "c") == "text"
    with pytest.raises(RunhookError, match="another key"):
        old.decrypt(new.encrypt("text", "c"), "c")
    assert new.encrypt("text", "c").startswith(new.ids[0])
    assert Ring.parse(new.text(), "x").ids == new.ids


@pytest.mark.parametrize("text", ["nonsense", f"{ONE} {ONE[:-8]}", "é", "AAAA"])
def test_a_ring_that_cannot_be_read_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(SettingsError, match="is not 32 bytes in base64") as caught:
        Source(Path("none"), text=text).open(set())
    assert all(word not in caught.value.message for word in text.split())
    assert text not in repr(Source(Path("none"), text=text))


def test_the_setting_wins_over_the_command_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "secrets.key"
    by_text = Source(file, f"{ONE}\n{TWO}", "false").open(set())
    assert by_text.ids == Ring(b"1" * 32, b"2" * 32).ids
    by_command = Source(file, " ", f"echo {TWO}").open(set())
    assert by_command.ids == Ring(b"2" * 32).ids
    assert not file.exists()
    by_file = Source(file).open(set())
    assert Source(file).open(set(by_file.ids)).ids == by_file.ids
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("false", "exited with status 1"),
        ("/no/such/program", "No such file"),
        ("echo $HOME; true", "is not 32 bytes"),
        ("true", "there is no key"),
        ("'", "No closing quotation"),
    ],
)
def test_a_command_that_gives_no_key_is_a_sentence(
    tmp_path: Path, command: str, words: str
) -> None:
    with pytest.raises(SettingsError, match="cannot start: .*key") as caught:
        Source(tmp_path / "f", command=command).open(set())
    assert words in caught.value.message


def test_a_command_that_does_not_end_is_not_waited_for_without_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runhook.ring.COMMAND_SECONDS", 0.1)
    with pytest.raises(SettingsError, match="took longer than"):
        Source(tmp_path / "f", command="sleep 60").open(set())


def test_a_missing_wrong_or_open_file_stops_the_start_if_something_is_sealed(
    tmp_path: Path,
) -> None:
    source = Source(tmp_path / "secrets.key")
    with pytest.raises(SettingsError, match="is not there, and stored secrets"):
        source.open({b"1234"})
    assert not source.file.exists()
    ring = source.open(set())
    with pytest.raises(SettingsError, match="not in the ring .its id: 31323334"):
        source.open({b"1234", *ring.ids})
    source.file.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        source.open(set())


SECRET = "the-value-of-a-rotation-test"


def with_a_credential(server: LiveServer) -> Api:
    api = Api(server, server.token())
    new = {"name": "c", "kind": "token", "url_prefix": "https://git.example/", "value": SECRET}
    assert api.request("POST", "/api/git/credentials", json=new).status_code == 201
    secret = {"name": "s", "value": SECRET}
    assert api.request("POST", "/api/secrets", json=secret).status_code == 201
    api.apply(name="tell", command="test $S = " + SECRET, secrets=[ATTACHED])
    return api


ATTACHED = {"location": "S", "attachment_type": "environment_variable", "name": "s"}


def works(api: Api) -> None:
    """Is the value what it was? A run has it."""
    job = api.apply(name="tell", command="test $S = " + SECRET, secrets=[ATTACHED])
    run = api.finished(api.start(job)["id"])
    assert run["state"] == "succeeded", run


def sealed_ids(server: LiveServer) -> set[bytes]:
    """The ids of the keys that the rows were sealed with."""
    with closing(sqlite3.connect(server.data / "runhook.db")) as rows:
        statement = "SELECT secret FROM git_credentials UNION ALL SELECT sealed FROM secrets"
        found = [row for (row,) in rows.execute(statement)]
    assert len(found) == 2
    return {row[:4] for row in found}


def ring_of(server: LiveServer) -> Ring:
    return Ring.parse((server.data / "keys" / "secrets.key").read_text(), "file")


def rotation(server: LiveServer, code: str = "") -> subprocess.CompletedProcess[str]:
    """`runhook rotate-key`, with its steps altered by `code`."""
    program = f"import os, sys\nimport runhook.rotation as r\n{code}\n" + (
        "from runhook.cli.main import main\n"
        f"sys.argv = ['runhook', 'rotate-key', '--data', {str(server.data)!r}]\nmain()"
    )
    words = [sys.executable, "-c", program]
    return subprocess.run(words, capture_output=True, text=True, env=server.environment, timeout=60)


KILLED = {
    "before anything was written": "r.keyfile.replace = lambda *_: os.kill(os.getpid(), 9)",
    "before the rows were encrypted anew": "r._reseal = lambda *_: os.kill(os.getpid(), 9)",
    "within the transaction": (
        "real = r.git_access.reseal\nr.secrets.reseal = lambda *_: os.kill(os.getpid(), 9)"
    ),
    "before the old key was dropped": (
        "calls, real = [], r.keyfile.replace\n"
        "r.keyfile.replace = lambda *w: os.kill(os.getpid(), 9) if calls else "
        "(calls.append(1), real(*w))"
    ),
}


def test_a_rotation_that_is_killed_between_its_steps_loses_nothing_and_can_be_repeated(
    make_server: MakeServer,
) -> None:
    server = make_server().start()
    api = with_a_credential(server)
    assert "another server uses" in rotation(server).stderr
    works(api)
    server.stop()
    for moment, code in KILLED.items():
        assert rotation(server, code).returncode == -9, moment
        assert sealed_ids(server) <= set(ring_of(server).ids), moment
    server.start()
    works(Api(server, api.token))
    server.stop()
    before = ring_of(server)
    ended = rotation(server)
    assert (ended.returncode, ended.stdout.splitlines()[0]) == (
        0,
        "Encrypted 2 stored secrets anew.",
    ), ended.stderr
    after = ring_of(server)
    assert len(after.ids) == 1
    assert not set(after.ids) & set(before.ids)
    assert sealed_ids(server) == set(after.ids)
    assert (server.data / "keys" / "secrets.key").stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(server.data / "keys")) == ["secrets.key", "server.key"]
    server.start()
    works(Api(server, api.token))


def test_a_ring_given_by_the_environment_is_rotated_in_two_starts(make_server: MakeServer) -> None:
    server = make_server(RUNHOOK_SECRETS_KEY=ONE).start()
    api = with_a_credential(server)
    assert not (server.data / "keys" / "secrets.key").exists()
    leak = api.finished(
        api.start(api.apply(name="env", command="env; cat /proc/$PPID/environ"))["id"]
    )
    assert ONE not in api.log(leak["id"])
    server.stop()
    server.environment["RUNHOOK_SECRETS_KEY"] = TWO
    words = [sys.executable, "-m", "runhook", "up", "--port", "0", "--data", str(server.data)]
    ended = subprocess.run(
        words, capture_output=True, text=True, env=server.environment, timeout=60
    )
    assert ended.returncode == 2
    assert "cannot start: stored secrets were encrypted with a key that is not" in ended.stderr
    server.environment["RUNHOOK_SECRETS_KEY"] = f"{TWO} {ONE}"
    assert "may be taken out of the ring now: 1" in rotation(server).stderr
    assert sealed_ids(server) == set(Ring(b"2" * 32).ids)
    server.environment["RUNHOOK_SECRETS_KEY"] = TWO
    server.start()
    works(Api(server, api.token))


def test_a_backup_taken_while_the_key_is_changed_has_the_key_that_its_rows_need(
    make_server: MakeServer, shared_cache: Path, tmp_path: Path
) -> None:
    server = make_server().start()
    with_a_credential(server)
    server.stop()
    rotate = shlex.join([sys.executable, "-m", "runhook", "rotate-key", "--data", str(server.data)])
    for number, name in enumerate(("add_rows", "add_file")):
        backup = tmp_path / f"b{number}"
        program = (
            "import os, sys, runhook.backup as b\n"
            f"real, done = b._Taking.{name}, []\n"
            "def first(*w):\n"
            f"    done or done.append(os.system({rotate!r}))\n"
            "    return real(*w)\n"
            f"b._Taking.{name} = first\n"
            "from runhook.cli.main import main\n"
            f"sys.argv = ['runhook', 'backup', '--data', {str(server.data)!r}, {str(backup)!r}]\n"
            "main()"
        )
        words = [sys.executable, "-c", program]
        ended = subprocess.run(
            words, capture_output=True, text=True, env=server.environment, timeout=60
        )
        assert ended.returncode == 0, ended.stderr
        place = empty_place(make_server, f"of-{number}")
        works(restored(place, backup, shared_cache))
