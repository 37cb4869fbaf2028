"""The command line against a real server."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Api, MakeServer, clean_environment


class Shell:
    """Runs `runhook` as somebody with an empty home would."""

    def __init__(self, home: Path, api: Api | None = None) -> None:
        named = {"RUNHOOK_URL": api.server.url, "RUNHOOK_TOKEN": api.token} if api else {}
        self.environment = clean_environment(home, **named)

    def __call__(self, *words: str, input: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "runhook", *words]
        return subprocess.run(
            command, capture_output=True, text=True, env=self.environment, input=input, timeout=60
        )


@pytest.fixture
def shell(tmp_path: Path, shared_api: Api) -> Shell:
    return Shell(tmp_path, shared_api)


def write_recipe(path: Path, **spec: object) -> str:
    path.write_text(json.dumps({"type": "job", "spec": spec}))
    return str(path)


def test_people_and_groups_are_kept_by_command(shell: Shell, shared_api: Api) -> None:
    assert "/dash/sign-in?link=" in shell("users", "add", "by-command", "--email", "b@c.de").stdout
    assert re.search(r"^by-command +user ", shell("users", "list").stdout, re.MULTILINE)
    assert shell("groups", "add", "commanders", "--description", "of commands").returncode == 0
    given = shell("groups", "role", "commanders", "by-command", "operator")
    assert given.stdout == "by-command is operator of commanders\n"
    found = json.loads(shell("groups", "members", "commanders", "--json").stdout)
    assert {each["username"]: each["role"] for each in found} == {
        "admin": "admin",
        "by-command": "operator",
    }
    assert shell("groups", "role", "commanders", "by-command", "none").returncode == 0
    assert "disabled" in shell("users", "disable", "by-command").stdout
    assert "disabled" in shell("users", "reset", "by-command").stderr
    assert shell("users", "remove", "by-command").returncode == 0
    refused = shell("groups", "role", "commanders", "admin", "viewer")
    assert (refused.returncode, "last admin" in refused.stderr) == (1, True)
    assert shell("groups", "remove", "commanders").returncode == 0


def test_apply_start_and_follow_end_as_the_run_ends(shell: Shell, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "job.yaml", name="by-cli", command="echo hello; exit 5")
    applied = shell("apply", recipe)
    assert applied.stdout.startswith("created main/admin/by-cli")
    assert shell("apply", recipe).stdout.startswith("unchanged")
    followed = shell("start", "by-cli", "-f")
    assert followed.stdout == "hello\n"
    assert "exited with status 5" in followed.stderr
    assert followed.returncode == 5
    run = json.loads(shell("runs", "by-cli", "--json").stdout)[0]
    assert (run["state"], run["trigger"]) == ("failed", "cli")
    assert shell("logs", run["id"]).stdout == "hello\n"
    assert shell("logs", "-f", run["id"]).returncode == 5
    assert "by-cli" in shell("jobs").stdout
    assert run["id"] in shell("runs").stdout


def test_the_recipe_of_a_repository_in_the_older_form_is_applied(
    shell: Shell, tmp_path: Path
) -> None:
    file = tmp_path / ".saturn" / "saturn.json"
    file.parent.mkdir()
    job = {"instance_type": "large", "command": "echo from a repository", "backoff_limit": 2}
    recipe = {"schema_version": "2022.01.06", "name": "by-repository", "job": job}
    file.write_text(
        json.dumps({**recipe, "image_uri": "a/b:1", "jupyter_server": {}, "owner": "admin"})
    )
    applied = shell("apply", str(file), "--json")
    assert applied.returncode == 0, applied.stderr
    assert json.loads(applied.stdout)["spec"] == {
        "name": "by-repository",
        "owner": "main/admin",
        "image": {"uri": "a/b:1"},
        "instance_type": "large",
        "command": "echo from a repository",
        "retries": 2,
    }
    assert "Note: image is kept, but not used here" in applied.stderr
    file.write_text(json.dumps({**recipe, "colour": "red"}))
    refused = shell("apply", str(file))
    assert refused.returncode == 1
    assert "colour" in refused.stderr


def test_a_recipe_may_be_yaml_without_its_frame_and_notes_go_to_stderr(
    shell: Shell, tmp_path: Path
) -> None:
    recipe = tmp_path / "job.yaml"
    recipe.write_text("name: frameless\ncommand: 'true'\nextra_packages:\n  conda: numpy\n")
    applied = shell("apply", str(recipe), "--json")
    assert json.loads(applied.stdout)["spec"]["name"] == "frameless"
    assert "conda packages are not offered" in applied.stderr


def test_webhooks_are_shown_with_what_their_senders_need(
    shell: Shell, tmp_path: Path, shared_api: Api
) -> None:
    triggers = [{"webhook": "pushed", "source": "github"}, {"webhook": "nightly"}]
    shell("apply", write_recipe(tmp_path / "j", name="hooked", command="true", triggers=triggers))
    found = json.loads(shell("webhooks", "hooked", "--json").stdout)
    assert [each["name"] for each in found] == ["pushed", "nightly"]
    head, *lines = shell("webhooks", "hooked").stdout.splitlines()
    assert head.split() == ["NAME", "SOURCE", "URL", "SECRET"]
    expected = [[each[key] for key in ("name", "source", "url", "secret")] for each in found]
    assert [line.split() for line in lines] == expected
    assert found[0]["url"].startswith(f"{shared_api.server.url}/api/hooks/")
    shell("apply", write_recipe(tmp_path / "k", name="unhooked", command="true"))
    assert shell("webhooks", "unhooked").stdout.split() == head.split()


def test_parameters_are_json_or_else_text(shell: Shell, tmp_path: Path) -> None:
    defaults = {"region": "north", "year": 1}
    recipe = write_recipe(
        tmp_path / "j", name="cli-parameters", command="echo $region $year", parameters=defaults
    )
    shell("apply", recipe)
    followed = shell("start", "cli-parameters", "-p", "region=south", "-p", "year=2027", "-f")
    assert followed.stdout == "south 2027\n"
    as_text = shell("start", "cli-parameters", "-p", "region=12", "-f")
    assert as_text.stdout == "12 1\n"
    wrong = shell("start", "cli-parameters", "-p", "regoin=x")
    assert wrong.returncode == 1
    assert "did you mean region?" in wrong.stderr


def test_a_cancelled_run_ends_with_130(shell: Shell, tmp_path: Path, shared_api: Api) -> None:
    shell("apply", write_recipe(tmp_path / "j", name="cli-long", command="sleep 600"))
    run_id = shared_api.start(json.loads(shell("jobs", "cli-long", "--json").stdout)[0]["id"])["id"]
    assert shell("cancel", str(run_id)).returncode == 0
    assert shell("logs", "-f", str(run_id)).returncode == 130


def _hear_interrupts() -> None:
    """Where the tests are run in the background of a shell, the signal is ignored from there on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_leaving_the_log_leaves_the_run(shell: Shell, tmp_path: Path, shared_api: Api) -> None:
    shell("apply", write_recipe(tmp_path / "j", name="cli-left", command="echo up; sleep 600"))
    command = [sys.executable, "-m", "runhook", "start", "cli-left", "-f"]
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=shell.environment,
        preexec_fn=_hear_interrupts,
    )
    assert child.stdout
    assert child.stdout.readline() == "up\n"
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=20)
    assert "The run goes on" in errors
    run = json.loads(shell("runs", "cli-left", "--json").stdout)[0]
    assert run["state"] == "running"
    shell("cancel", run["id"])


def test_what_is_wrong_is_a_sentence_and_an_exit_code(shell: Shell, tmp_path: Path) -> None:
    wrong = write_recipe(tmp_path / "j", name="x", comand="true")
    answer = shell("apply", wrong)
    assert answer.returncode == 1
    assert "spec.comand: is not known; did you mean command?" in answer.stderr
    assert "Traceback" not in answer.stderr
    for words, code in (
        (("start", "no-such-job"), 1),
        (("logs", "0" * 32), 1),
        (("start",), 2),
        (("apply", str(tmp_path / "nowhere")), 2),
    ):
        answer = shell(*words)
        assert answer.returncode == code, answer
        assert "Traceback" not in answer.stderr
    broken = tmp_path / "broken"
    broken.write_text("a: [")
    assert "neither YAML nor JSON" in shell("apply", str(broken)).stderr


def test_login_keeps_server_and_token_for_later_commands(tmp_path: Path, shared_api: Api) -> None:
    shell = Shell(tmp_path)
    assert "runhook up" in shell("jobs").stderr
    refused = shell("login", shared_api.server.url, "--token-stdin", input="0" * 32 + "\n")
    assert refused.returncode == 1
    kept = shell("login", shared_api.server.url, "--token-stdin", input=shared_api.token + "\n")
    assert kept.returncode == 0, kept.stderr
    assert shell("jobs").returncode == 0
    (file,) = tmp_path.rglob("login.json")
    assert file.stat().st_mode & 0o077 == 0


def test_an_unknown_setting_stops_the_start_and_names_the_nearest(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.environment["RUNHOOK_SERVER_PROT"] = "1"
    answer = shell("up", "--data", str(tmp_path / "d"))
    assert answer.returncode == 2
    assert "did you mean RUNHOOK_SERVER_PORT?" in answer.stderr


def test_a_taken_port_is_a_sentence(tmp_path: Path, shared_api: Api) -> None:
    answer = Shell(tmp_path)(
        "up", "--data", str(tmp_path / "d"), "--port", str(shared_api.server.port)
    )
    assert answer.returncode == 2
    assert "choose another with --port" in answer.stderr


def test_client_commands_do_not_pay_for_the_servers_imports(tmp_path: Path) -> None:
    program = (
        "import sys, runhook.cli.main\n"
        "print([n for n in ('sqlalchemy', 'uvicorn', 'nbclient', 'starlette') if n in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**clean_environment(tmp_path), "PATH": os.environ["PATH"]},
    )
    assert answer.stdout == "[]\n"


def test_a_server_stops_at_sigterm_and_its_runs_go_on(
    make_server: MakeServer, meeting: Path
) -> None:
    server = make_server().start()
    api = Api(server, server.token())
    job = api.apply(name="survivor", command=f"until [ -e {meeting}/go ]; do sleep 0.05; done")
    run = api.start(job)
    port = server.port
    server.kill(signal.SIGTERM)
    assert server.process
    assert server.process.returncode == 0
    server.start(port)
    (meeting / "go").touch()
    assert api.finished(run["id"])["state"] == "succeeded"


def test_a_server_that_is_killed_loses_nothing(make_server: MakeServer, meeting: Path) -> None:
    server = make_server().start()
    api = Api(server, server.token())
    job = api.apply(
        name="survivor",
        command=f"echo $RUNHOOK_RUN_ID >> {meeting}/ran; "
        f"until [ -e {meeting}/go ]; do sleep 0.05; done",
    )
    runs = [api.start(job)["id"] for _ in range(8)]
    port = server.port
    server.kill(signal.SIGKILL)
    (meeting / "go").touch()
    server.start(port)
    assert {api.finished(run_id)["state"] for run_id in runs} == {"succeeded"}
    assert sorted((meeting / "ran").read_text().split()) == sorted(map(str, runs))


def test_a_key_of_another_database_stops_the_start(tmp_path: Path) -> None:
    shell, data = Shell(tmp_path), str(tmp_path / "d")
    token = shell("token", "--data", data).stdout.strip()
    assert len(token) == 32
    (tmp_path / "d" / "keys" / "server.key").unlink()
    for command in (("token",), ("up", "--port", "0")):
        answer = shell(*command, "--data", data)
        assert answer.returncode == 2, answer
        assert "does not belong to this database" in answer.stderr
        assert "Traceback" not in answer.stderr


def test_a_data_directory_has_one_server(tmp_path: Path, shared_api: Api) -> None:
    answer = Shell(tmp_path)("up", "--data", str(shared_api.server.data), "--port", "0")
    assert answer.returncode == 2
    assert "another server uses" in answer.stderr


def test_secrets_are_set_from_standard_input_listed_and_removed(
    shell: Shell, tmp_path: Path
) -> None:
    value = "typed-into-the-command-line"
    added = shell("secrets", "set", "cli-secret", input=f"{value}\n")
    assert added.stdout.startswith("added main/admin/cli-secret ("), added.stderr
    changed = shell("secrets", "set", "cli-secret", "--access", "org", input="ab")
    assert changed.stdout.startswith("changed main/admin/cli-secret (")
    assert "not masked" in changed.stderr
    shell("secrets", "set", "cli-secret", input=value)
    listed = shell("secrets", "list", "cli-sec")
    assert "main/admin  cli-secret  org" in listed.stdout
    (shown,) = json.loads(shell("secrets", "list", "cli-sec", "--json").stdout)
    assert "value" not in shown
    attached = [{"location": "X", "attachment_type": "environment_variable", "name": "cli-secret"}]
    check = f'test "$X" = {value}'
    shell("apply", write_recipe(tmp_path / "j", name="cli-user", command=check, secrets=attached))
    assert shell("start", "cli-user", "-f").returncode == 0
    refused = shell("secrets", "remove", "cli-secret")
    assert (refused.returncode, "main/admin/cli-user" in refused.stderr) == (1, True)
    assert shell("secrets", "remove", "cli-secret", "--force").stdout == "removed cli-secret\n"
    assert "there is no secret" in shell("secrets", "remove", "cli-secret").stderr
    assert shell("secrets", "set", "cli-secret", value, input="x").returncode == 2
