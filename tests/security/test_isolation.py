"""How far runs are kept apart is found out, said by doctor and run page, and can be required."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runhook.isolation import Isolation, hidden_folders
from runhook.runner.levels import FIRST_UID, LEVELS, describe, own_uid
from runhook.runner.probe import Found, probe
from runhook.runner.view import View, options
from runhook.settings import SettingsError
from tests.conftest import Api, LiveServer, MakeServer, clean_environment
from tests.security.conftest import Attacker, UnprivilegedServer
from tests.servers.system_parts import require


def examined(server: LiveServer, *words: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """What doctor finds, by name, and what it ends with."""
    command = [sys.executable, "-m", "runhook", "doctor", "--data", str(server.data), "--json"]
    if isinstance(server, UnprivilegedServer):
        command = [*server.command("doctor"), "--json"]
    done = subprocess.run(
        [*command, *words], capture_output=True, text=True, env=server.environment, cwd="/"
    )
    found: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(done.stdout):
        found.setdefault(finding["name"], []).append(finding)
    return done.returncode, found


def test_doctor_and_run_page_say_the_same(attacker: Attacker) -> None:
    ran = attacker.run("true")
    code, found = examined(attacker.api.server)
    told = ran.run["attempts"][-1]["isolation"]  # type: ignore[index]
    assert told == found["isolation"][0]["sentence"]
    assert code == 0
    assert found["database"][0]["state"] == found["uv"][0]["state"] == "ok"


def test_a_server_without_special_rights_says_why_there_is_no_better(
    unprivileged_api: Api,
) -> None:
    _, found = examined(unprivileged_api.server)
    assert found["isolation"][0]["sentence"].startswith("bubblewrap, same user: ")
    assert "only a server that runs as root" in found["isolation"][1]["sentence"]


def test_switched_off_it_is_said_not_to_hold_and_a_job_without_network_does_not_run(
    make_server: MakeServer,
) -> None:
    server = make_server("off", RUNHOOK_RUNS_ISOLATION="off").start()
    attacker = Attacker(Api(server, server.token()))
    key = attacker.data / "keys" / "server.key"
    ran = attacker.run(f"wc -c < {key}; grep NoNewPrivs /proc/self/status")
    told = ran.run["attempts"][-1]["isolation"]  # type: ignore[index]
    assert ran.log.split() == ["32", "NoNewPrivs:", "1"]
    assert "a run can read the server's data, keys and other runs" in told
    code, found = examined(server)
    assert (code, found["isolation"][0]["state"]) == (0, "warning")
    assert found["isolation"][0]["sentence"] == told
    cut_off = attacker.run("echo ran", "cut-off", network=False).run
    assert cut_off["state"] == "failed"
    assert "cannot be enforced here because the isolation is processes only" in cut_off["reason"]


def test_where_it_is_required_and_missing_nothing_starts(
    make_server: MakeServer, tmp_path: Path
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "bash", "env", "sh"):
        (folder / name).symlink_to(f"/usr/bin/{name}")
    server = make_server("required", RUNHOOK_RUNS_ISOLATION="required", PATH=str(folder)).start()
    api = Api(server, server.token())
    answer = api.request("POST", f"/api/jobs/{api.apply(name='a', command='true')}/start")
    assert answer.status_code == 503
    assert "isolation is required" in answer.json()["message"]
    assert "bubblewrap (bwrap) is not installed" in answer.json()["message"]
    code, found = examined(server)
    assert (code, found["isolation"][0]["state"]) == (1, "broken")


def test_a_setting_that_is_none_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="write auto, required or off"):
        Isolation.of("maybe", tmp_path)


def test_every_level_is_told_in_a_line_that_the_database_takes() -> None:
    for level in LEVELS:
        for network in (True, False):
            assert len(describe(level, network, shared=True)) <= 255
    assert "no network" in describe("bubblewrap", network=False)
    assert "network shared" in describe("bubblewrap")


def test_a_job_has_always_the_same_user_and_another_job_another() -> None:
    assert own_uid("a") == own_uid("a") != own_uid("b")
    assert FIRST_UID <= own_uid("a") < 2**31


def test_probing_changes_nothing(tmp_path: Path) -> None:
    before = sorted(os.listdir(tmp_path))
    found = probe()
    assert found.level in LEVELS
    assert sorted(os.listdir(tmp_path)) == before
    assert isinstance(found, Found)


def test_the_view_hides_first_and_then_puts_back(tmp_path: Path) -> None:
    data, kept = tmp_path / "data", tmp_path / "data" / "kept"
    kept.mkdir(parents=True)
    words = options(View(str(tmp_path), (str(data),), (), (str(kept),)))
    assert words[words.index("--ro-bind") + 1 :][:2] == ["/", "/"]
    bind = [index for index, word in enumerate(words) if word == str(kept)]
    assert words[bind[0] - 1] == "--bind"
    assert "--unshare-net" not in words
    assert "--unshare-net" in options(View(str(tmp_path), network=False))


def test_a_linked_data_directory_is_hidden_where_it_really_is(tmp_path: Path) -> None:
    require("bwrap")
    real = Path("/srv") / f"rh-{os.getpid()}"
    if os.geteuid() != 0:
        pytest.skip("only root makes a folder in /srv")
    real.mkdir()
    try:
        link = real.with_name(f"{real.name}-link")
        link.symlink_to(real)
        words = options(View(str(tmp_path), (str(link),)))
        assert words[words.index(str(real)) - 1] == "--tmpfs"
    finally:
        link.unlink()
        real.rmdir()


def test_the_servers_home_is_hidden_also_if_its_variable_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    hidden = hidden_folders(Path("/data"))
    assert {"/data", "/somewhere"} < set(hidden)


@pytest.mark.parametrize(
    ("words", "state"), [(["--host", "0.0.0.0"], "warning"), (["--host", "127.0.0.1"], "ok")]
)
def test_doctor_warns_of_an_address_without_https(
    tmp_path: Path, words: list[str], state: str
) -> None:
    server = LiveServer(tmp_path / "data", clean_environment(tmp_path))
    code, found = examined(server, *words)
    assert (code, found["address"][0]["state"]) == (0, state)


def test_doctor_finds_what_is_broken(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "keys").mkdir(parents=True)
    (data / "keys" / "server.key").write_bytes(b"short")
    (data / "runhook.db").write_text("this is no database, and long enough to be read as one" * 20)
    code, found = examined(LiveServer(data, clean_environment(tmp_path)))
    assert code == 1
    assert {name for name, each in found.items() if each[0]["state"] == "broken"} == {
        "key",
        "database",
    }
    assert not (tmp_path / "data" / "run").exists()
