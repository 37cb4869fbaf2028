"""Whole runs that have secrets: they get them, and nothing that they leave behind shows them."""

import base64
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_plus

import nbformat
import pytest

from tests.conftest import Api, LiveServer, MakeServer, Repository

SECRET = "Tr0ub4dor & <the> 3rd/hor$e"
KEY = "-----BEGIN A KEY-----\nfirst-line-of-the-key\nsecond-line-of-it\nend\n"
LIMIT = 60


@pytest.fixture(scope="module")
def vault(shared_api: Api) -> Api:
    """A server with two secrets."""
    for name, value in (("password", SECRET), ("key", KEY)):
        made = shared_api.request("POST", "/api/secrets", json={"name": name, "value": value})
        assert made.status_code == 201, made.text
        assert made.json()["warnings"] == []
    return shared_api


VARIABLE = {"location": "PASSWORD", "attachment_type": "environment_variable", "name": "password"}
FILE = {"location": "~/.ssh/a key", "type": "file", "name": "key"}
BOTH = [VARIABLE, FILE]


def run_of(api: Api, **spec: object) -> dict[str, object]:
    """A finished run of a job with both secrets."""
    return api.finished(api.start(api.apply(**{"secrets": BOTH, **spec}))["id"])


def forms() -> Iterator[bytes]:
    """How the secrets may be written, wherever they are looked for."""
    for value in (SECRET, KEY):
        raw = value.encode()
        yield from (raw, raw.hex().encode(), quote_plus(value).encode(), base64.b64encode(raw)[:-4])
        yield from (json.dumps(value)[1:-1].encode(), base64.b64encode(b"x" + raw)[2:-4])
        yield from (line for line in raw.splitlines() if len(line) >= 8)


def require_clean(api: Api, run: dict[str, object]) -> None:
    """Nothing of the secrets is in the attempts' directories, the database, the logs or answers."""
    data = api.server.data
    limit = time.monotonic() + LIMIT
    ended = {attempt_of(api, run), *(path.parent for path in data.glob("attempts/*/*/result.json"))}
    while any((place / name).exists() for place in ended for name in ("home", "workspace", "tmp")):
        assert time.monotonic() < limit, "what only the work needed is still there"
        time.sleep(0.01)
    places = [data / "attempts", data / "run", *data.glob("runhook.db*")]
    files = [path for place in places for path in (place, *place.rglob("*")) if path.is_file()]
    assert any(path.name == "spec.json" for path in files)
    texts = {str(path): path.read_bytes() for path in files}
    texts["answer"] = json.dumps(run, ensure_ascii=False).encode()
    texts["server.err"] = (data.parent / "server.err").read_bytes()
    for name, text in texts.items():
        assert not [form for form in forms() if form in text], name
    assert not list(data.rglob("a key"))


def test_a_run_gets_a_variable_and_a_file_outside_its_checkout(
    vault: Api, repository: Repository
) -> None:
    repository.commit({"x": "1"})
    check = (
        "import os, stat, pathlib; home = pathlib.Path.home(); key = home / '.ssh' / 'a key'\n"
        f"assert os.environ['PASSWORD'] == {SECRET!r}[:]\n"
        f"assert key.read_text() == {KEY!r}\n"
        "assert stat.S_IMODE(key.stat().st_mode) == 0o600\n"
        "assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700\n"
        "assert not key.is_relative_to(pathlib.Path.cwd())\n"
    )
    (repository.path / "check.py").write_text(check)
    repository.git("add", "--all")
    repository.git("commit", "--message", "check")
    repositories = [{"url": repository.url}]
    run = run_of(
        vault, name="gets", command="python materials/check.py", git_repositories=repositories
    )
    assert run["state"] == "succeeded", vault.log(run["id"])


TELL = r"""
import base64, html, json, os, sys, time
from urllib.parse import quote, quote_plus
value, key = os.environ["PASSWORD"], open(os.path.expanduser("~/.ssh/a key")).read()
for each in (value, key):
    raw = each.encode()
    for way in (quote, quote_plus, json.dumps, repr, html.escape, str):
        print("told:", way(each))
    for before in (b"", b"a", b"ab"):
        print(base64.b64encode(before + raw + b"z").decode())
    print(base64.urlsafe_b64encode(raw).decode())
    print(base64.encodebytes(raw).decode(), raw.hex(), raw.hex().upper())
for part in (value[:5], value[5:11], value[11:], "\n", key[:30], key[30:]):
    sys.stdout.write(part)
    sys.stdout.flush()
    time.sleep(0.05)
print("error", value, file=sys.stderr)
print("the end")
"""


def test_whatever_a_command_prints_its_log_shows_no_secret(vault: Api) -> None:
    start_script = 'echo "script: $PASSWORD"; export COPY="$PASSWORD"'
    command = f"echo \"$COPY\"; python - <<'END'\n{TELL}\nEND"
    run = run_of(vault, name="prints", command=command, start_script=start_script)
    log = vault.log(run["id"])
    assert run["state"] == "succeeded", log
    assert "script: ***\n***\n" in log
    assert "told: ***\n" in log
    assert "error ***\n" in log
    assert log.endswith("the end\n")
    assert "first_output" in (attempt_of(vault, run) / "events.jsonl").read_text()
    require_clean(vault, run)


def notebook(*sources: str) -> str:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.writes(nbformat.v4.new_notebook(cells=cells))


CELLS = (
    "import json, os\nvalue = os.environ['PASSWORD']\n"
    "key = open(os.path.expanduser('~/.ssh/a key')).read()\nprint('it is', value); print(key)",
    "from IPython.display import HTML, display\n"
    "display(HTML('<b>' + value + '</b>')); display({'a': value, 'b': key})",
    "json.dump({'v': value, 'k': [key]}, open(os.environ['RUNHOOK_RESULT'], 'w'))\nvalue",
    "raise ValueError('no ' + value)",
)


def test_a_notebook_shows_no_secret_in_outputs_traceback_reason_or_result(
    vault: Api, repository: Repository
) -> None:
    repository.commit({"n.ipynb": notebook(*CELLS)})
    repositories = [{"url": repository.url}]
    run = run_of(vault, name="nb", notebook="materials/n.ipynb", git_repositories=repositories)
    assert (run["state"], run["reason"]) == ("failed", "cell 4 failed with ValueError: no ***")
    assert "it is ***\n" in vault.log(run["id"])
    require_clean(vault, run)
    kept = attempt_of(vault, run) / "artifacts" / "n.ipynb"
    cells = nbformat.read(kept, as_version=4).cells
    assert "it is ***" in cells[0].outputs[0].text
    assert cells[1].outputs[0].data["text/html"] == "<b>***</b>"
    assert cells[3].outputs[0].evalue == "no ***"


def attempt_of(api: Api, run: dict[str, object]) -> Path:
    (attempt,) = run["attempts"]  # type: ignore[misc]
    return api.server.data / "attempts" / attempt["id"][:2] / attempt["id"]


def test_the_result_and_notebooks_that_a_command_leaves_are_masked(vault: Api) -> None:
    text = json.dumps(notebook("pass").replace("pass", "X"))
    command = (
        "python - <<'END'\nimport json, os\n"
        f"text, value = json.loads({text!r}), os.environ['PASSWORD']\n"
        "key = open(os.path.expanduser('~/.ssh/a key')).read()\n"
        "kept = json.loads(text)\nkept['metadata']['note'] = [value, key]\n"
        "kept['cells'][0]['source'] = key.splitlines(True)\n"
        "for place in ('out.ipynb', os.environ['RUNHOOK_ARTIFACTS'] + '/own.ipynb'):\n"
        "    json.dump(kept, open(place, 'w'))\n"
        "os.symlink('out.ipynb', 'link.ipynb')\n"
        "json.dump({'value': value}, open(os.environ['RUNHOOK_RESULT'], 'w'))\nEND"
    )
    run = run_of(vault, name="leaves", command=command)
    assert run["state"] == "succeeded", vault.log(run["id"])
    place = attempt_of(vault, run)
    assert json.loads((place / "result-value.json").read_text()) == {"value": "***"}
    for name in ("out.ipynb", "own.ipynb"):
        kept = json.loads((place / "artifacts" / name).read_text())
        assert kept["cells"][0]["source"] == ["***"]
    require_clean(vault, run)


def test_papermill_as_a_command_leaves_no_secret(vault: Api, repository: Repository) -> None:
    repository.commit({"n.ipynb": notebook(*CELLS)})
    command = (
        "papermill materials/n.ipynb out.ipynb --stdout-file - --stderr-file - --kernel python3"
    )
    run = run_of(
        vault,
        name="mill",
        command=command,
        git_repositories=[{"url": repository.url}],
        extra_packages={"pip": "papermill"},
    )
    assert run["state"] == "failed"
    assert "it is ***" in vault.log(run["id"])
    assert (attempt_of(vault, run) / "artifacts" / "out.ipynb").exists()
    require_clean(vault, run)


def test_no_process_has_a_secret_among_its_arguments(vault: Api) -> None:
    look = (
        "python - <<'END'\nimport os\n"
        "value, pid, lines = os.environ['PASSWORD'].encode(), str(os.getpid()), []\n"
        "while pid != '0':\n"
        "    lines.append(open(f'/proc/{pid}/cmdline', 'rb').read())\n"
        "    pid = open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[1]\n"
        "print(len(lines), any(value in line for line in lines))\nEND"
    )
    run = run_of(vault, name="arguments", command=look)
    count, found = vault.log(run["id"]).split()
    assert int(count) >= 2
    assert found == "False"


def test_a_large_output_arrives_whole_but_for_the_secrets(vault: Api) -> None:
    line = "x" * 99
    command = f'yes {line} | head -n 200000; echo "$PASSWORD"; yes {line} | head -n 9'
    run = run_of(vault, name="large", command=command)
    assert run["state"] == "succeeded"
    log = vault.log(run["id"])
    assert log == f"{line}\n" * 200_000 + "***\n" + f"{line}\n" * 9


def test_output_is_live_and_a_daemon_that_holds_the_pipe_does_not_hold_the_end(
    vault: Api,
) -> None:
    command = "echo begun; (trap '' TERM INT; sleep 300; echo late) & sleep 0.1; echo \"$PASSWORD\""
    run = vault.start(vault.apply(name="daemon", command=command, secrets=BOTH))
    path = f"/api/runs/{run['id']}/log?follow=1"
    began = time.monotonic()
    with vault.request("GET", path, stream=True) as stream:
        lines = [line for line in stream.iter_lines() if line.startswith(b"data: ")]
    assert b"begun" in lines[0]
    assert time.monotonic() - began < LIMIT
    ended = vault.finished(run["id"])
    assert ended["state"] == "succeeded"
    assert vault.log(run["id"]) == "begun\n***\n"


def test_a_killed_runner_leaves_nothing_that_was_not_masked(
    make_server: MakeServer, tmp_path: Path
) -> None:
    server: LiveServer = make_server().start()
    api = Api(server, server.token())
    for name, value in (("password", SECRET), ("key", KEY)):
        api.request("POST", "/api/secrets", json={"name": name, "value": value})
    command = (
        'echo "$PASSWORD" > note; echo begun; echo "$PASSWORD" > $RUNHOOK_RESULT; '
        "for i in $(seq 1000); do printf '%s' \"${PASSWORD:0:9}\"; sleep 0.01; "
        "printf '%s\\n' \"${PASSWORD:9}\"; done"
    )
    run = api.start(api.apply(name="long", command=command, secrets=BOTH))
    with api.request("GET", f"/api/runs/{run['id']}/log?follow=1", stream=True) as stream:
        assert any(b"***" in line for line in stream.iter_lines())
    place = attempt_of(api, api.run(run["id"]))
    assert (place / "workspace" / "note").exists()
    os.kill(json.loads((place / "runner.json").read_text())["pid"], signal.SIGKILL)
    ended = api.finished(run["id"])
    assert ended["state"] == "lost"
    require_clean(api, ended)


def test_a_secret_that_is_gone_or_not_permitted_fails_the_run_at_its_start(vault: Api) -> None:
    made = vault.request("POST", "/api/secrets", json={"name": "short-lived", "value": "abcdef"})
    path = f"/api/secrets/{made.json()['id']}"
    attached = [{"location": "X", "attachment_type": "environment_variable", "name": "short-lived"}]
    job = vault.apply(name="needs-it", command="echo began", secrets=attached)
    refused = vault.request("DELETE", path)
    assert refused.status_code == 409
    assert "main/admin/needs-it" in refused.json()["message"]
    assert vault.request("DELETE", f"{path}?force=true").status_code == 204
    run = vault.finished(vault.start(job)["id"])
    assert run["state"] == "failed"
    assert "the secret short-lived of main/admin, attached at X, is not there" in str(run["reason"])
    assert vault.log(run["id"]) == ""


def test_the_runs_own_token_is_masked_in_every_log_at_its_true_offsets(
    shared_api: Api,
) -> None:
    command = "sleep 0.1; printf 'a%.0s' $(seq 65500); echo $RUNHOOK_TOKEN; echo end"
    run = shared_api.finished(
        shared_api.start(shared_api.apply(name="token", command=command))["id"]
    )
    log = shared_api.log(run["id"])
    whole = "a" * 65500 + "rhr_" + "*" * 72 + "\nend\n"
    assert log == whole
    for offset in (65500, 65501, 65503, 65504, 65510, 65575, 65576):
        answer = shared_api.request("GET", f"/api/runs/{run['id']}/log?offset={offset}")
        assert answer.text == whole[offset:]
    with shared_api.request("GET", f"/api/runs/{run['id']}/log?follow=1", stream=True) as stream:
        data = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith(b"data: ")]
    assert "".join(each for each in data if isinstance(each, str)) == whole
