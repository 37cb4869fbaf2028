"""`runhook tokens` against a real server."""

import json
from pathlib import Path

import pytest

from tests.cli.test_cli import Shell, write_recipe
from tests.conftest import Api


@pytest.fixture
def shell(tmp_path: Path, shared_api: Api) -> Shell:
    return Shell(tmp_path, shared_api)


def test_a_token_is_made_for_a_job_used_listed_and_revoked(
    shell: Shell, tmp_path: Path, shared_api: Api
) -> None:
    shell("apply", write_recipe(tmp_path / "j", name="cli-token", command="echo hello"))
    made = shell("tokens", "make", "for ci", "--job", "cli-token", "--expires", "90d")
    token = made.stdout.strip()
    assert token.startswith("rht_")
    assert "not shown again" in made.stderr
    holder = Shell(tmp_path, Api(shared_api.server, token))
    assert holder("start", "cli-token", "-f").stdout == "hello\n"
    assert "may not be used for user:token" in holder("tokens", "list").stderr
    (listed,) = (
        each
        for each in json.loads(shell("tokens", "list", "--json").stdout)
        if each["description"] == "for ci"
    )
    assert "jobs:start:" in listed["scope"]
    assert "for ci" in shell("tokens", "list").stdout
    assert shell("tokens", "revoke", listed["id"]).stdout == f"revoked {listed['id']}\n"
    assert "the token is not valid" in holder("start", "cli-token").stderr


def test_scopes_and_a_refresh_token(shell: Shell) -> None:
    words = ("--scope", "runs:read jobs:read", "--scope", "user:read", "--refresh", "1d")
    made = json.loads(shell("tokens", "make", "reader", *words, "--json").stdout)
    assert made["scope"] == "runs:read jobs:read user:read"
    assert made["refresh_token"].startswith("rhf_")
    assert len(shell("tokens", "make", "reader", *words).stdout.split()) == 2
    assert (
        json.loads(shell("tokens", "make", "all", "--everything", "--json").stdout)["scope"] is None
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("x",), "say what it may do"),
        (("x", "--everything", "--scope", "runs:read"), "say what it may do"),
        (("x", "--scope", "runs:raed"), "did you mean runs:read?"),
        (("x", "--everything", "--expires", "soon"), "write seconds, or a duration"),
    ],
)
def test_what_cannot_be_made_is_told(shell: Shell, words: tuple[str, ...], sentence: str) -> None:
    answer = shell("tokens", "make", *words)
    assert answer.returncode != 0
    assert sentence in answer.stderr
    assert answer.stdout == ""
