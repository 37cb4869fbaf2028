"""The server's key and what is derived from it."""

import threading
from pathlib import Path

import pytest

from runhook.errors import SettingsError
from runhook.keys import Keys

KEYS = Keys(b"k" * 32)


def test_user_tokens_differ_by_account_and_rotation_and_stay() -> None:
    tokens = {KEYS.user_token(user, turn) for user in "ab" for turn in range(3)}
    assert len(tokens) == 6
    assert all(len(token) == 32 and int(token, 16) >= 0 for token in tokens)
    assert KEYS.user_token("a", 1) == Keys(b"k" * 32).user_token("a", 1)


def test_only_genuine_run_tokens_name_their_attempt() -> None:
    token = KEYS.run_token("a" * 32)
    assert KEYS.attempt_of(token) == ("a" * 32, 0)
    assert KEYS.attempt_of(KEYS.run_token("a" * 32, 258)) == ("a" * 32, 258)
    rotated = token[:36] + "00000001" + token[44:]
    cut = token[:-1] + ("0" if token[-1] != "0" else "1")
    for forged in (cut, rotated, token + "x", "rhr_" + "a" * 72, "", "é" * 40, "\ud800"):
        assert KEYS.attempt_of(forged) is None


def test_the_secrets_of_webhooks_differ_by_job_and_name_and_stay() -> None:
    secrets = {KEYS.webhook_secret(job, name) for job in "ab" for name in "ab"}
    assert len(secrets) == 4
    assert all(len(secret) == 32 for secret in secrets)
    assert KEYS.webhook_secret("a", "b") == Keys(b"k" * 32).webhook_secret("a", "b")
    assert KEYS.webhook_secret("a", "b") != Keys(b"o" * 32).webhook_secret("a", "b")


def test_processes_that_make_the_key_at_once_get_the_same(tmp_path: Path) -> None:
    seen: list[str] = []
    threads = [
        threading.Thread(target=lambda: seen.append(Keys.open(tmp_path / "k").user_token("u", 0)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 1
    assert [path.name for path in (tmp_path / "k").iterdir()] == ["server.key"]


def test_a_key_that_others_may_read_or_that_is_damaged_is_refused(tmp_path: Path) -> None:
    Keys.open(tmp_path)
    key = tmp_path / "server.key"
    key.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        Keys.open(tmp_path)
    key.chmod(0o600)
    key.write_bytes(b"short")
    with pytest.raises(SettingsError, match="damaged"):
        Keys.open(tmp_path)


def test_a_place_where_no_key_can_stand_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "keys" / "server.key").mkdir(parents=True)
    for directory in (tmp_path / "file", tmp_path / "keys"):
        with pytest.raises(SettingsError, match=f"the key {directory}/server.key cannot be used"):
            Keys.open(directory)


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = Keys.open(tmp_path / "a" / "keys")
    assert first.user_token("u", 0) == Keys.open(tmp_path / "a" / "keys").user_token("u", 0)
    assert first.user_token("u", 0) != Keys.open(tmp_path / "b" / "keys").user_token("u", 0)
    assert (tmp_path / "a" / "keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "keys" / "server.key").stat().st_mode & 0o777 == 0o600
