"""Settings: where they come from, and what is refused."""

from pathlib import Path

import pytest

from runhook.errors import SettingsError
from runhook.settings import FIELDS, RUN_VARIABLES, env_name, load, proxies_of
from tests.conftest import ROOT


def test_the_command_line_wins_over_the_environment_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "runhook.toml").write_text('[server]\nport = 1\nhost = "h1"\nurl = "u1"\n')
    environ = {"RUNHOOK_SERVER_PORT": "2", "RUNHOOK_SERVER_HOST": "h2"}
    settings = load(environ=environ, overrides={"server_data": tmp_path, "server_port": 3})
    assert (settings.server_port, settings.server_host, settings.server_url) == (3, "h2", "u1")


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"RUNHOOK_GIT_ALLOW_FILE_URL": "1"}, "did you mean RUNHOOK_GIT_ALLOW_FILE_URLS?"),
        ({"RUNHOOK_SERVER_PORT": "many"}, "RUNHOOK_SERVER_PORT is 'many'"),
        ({"RUNHOOK_GIT_ALLOW_FILE_URLS": "perhaps"}, "write true or false"),
    ],
)
def test_a_wrong_variable_stops_the_start(environ: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(environ=environ)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[server]\nprot = 1\n", "did you mean server.port?"),
        ("server = 1\n", "unknown setting server"),
        ("[server\n", "cannot be read"),
        ("[server]\nport = true\n", "a number was expected"),
    ],
)
def test_a_wrong_file_stops_the_start(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "runhook.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(environ={}, overrides={"server_data": tmp_path})
    assert words in caught.value.message


def test_proxies_are_addresses_and_networks_and_nothing_else() -> None:
    assert proxies_of(" 127.0.0.1, 10.1.0.0/16,::1 ,") == ["127.0.0.1", "10.1.0.0/16", "::1"]
    assert proxies_of("") == []
    for wrong in ("*", "localhost", "10.1.0.1/16"):
        with pytest.raises(SettingsError, match="is no address and no network"):
            proxies_of(wrong)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no settings file"):
        load(environ={}, file=tmp_path / "nowhere.toml")


def test_what_a_run_sees_and_what_tests_set_are_no_settings() -> None:
    environ = dict.fromkeys([*RUN_VARIABLES, "RUNHOOK_TEST_ANYTHING"], "x")
    assert load(environ=environ) == load(environ={})


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for name, item in FIELDS.items():
        assert f"`{env_name(name)}`" in text, name
        assert item.metadata["help"] in text, name
