"""What a run left, over the API: result, artifacts, notebook; and starts that are waited for."""

import io
import json
import os
import signal
import socket
import threading
import time
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
import requests

from tests.conftest import Api, Repository

RETURN = 'printf \'%s\' "$value" > "$RUNHOOK_RESULT"'


def attempt_directory(api: Api, run_id: object) -> Path:
    identity = str(api.run(run_id)["attempts"][-1]["id"])  # type: ignore[index]
    return api.server.data / "attempts" / identity[:2] / identity


def returning(api: Api, name: str, value: str) -> str:
    return api.apply(name=name, command=RETURN, parameters={"value": value})


def test_a_start_that_is_waited_for_answers_with_outcome_and_result(shared_api: Api) -> None:
    job = returning(shared_api, "returns", '{"total": 3, "é": [null]}')
    for ask in ({"params": {"wait": "30"}}, {"headers": {"Prefer": "respond-async, wait=30"}}):
        answer = shared_api.request("POST", f"/api/jobs/{job}/start", **ask)
        run = answer.json()["run"]
        assert (answer.status_code, run["state"]) == (200, "succeeded")
        assert run["result"] == {"total": 3, "é": [None]}
        assert answer.headers["Preference-Applied"] == "wait=30"
        kept = shared_api.request("GET", f"/api/runs/{run['id']}/result")
        assert kept.json() == run["result"]
    failing = shared_api.apply(name="fails-waited", command="exit 3")
    answer = shared_api.request("POST", f"/api/jobs/{failing}/start?wait=30")
    run = answer.json()["run"]
    assert (answer.status_code, run["state"], run["exit_code"]) == (200, "failed", 3)
    assert run["result"] is None
    assert answer.json()["status"] == "error"


def test_a_start_that_takes_too_long_is_answered_with_its_address(
    shared_api: Api, meeting: Path
) -> None:
    gate = meeting / "go"
    command = f"while [ ! -e {gate} ]; do sleep 0.05; done; echo 7 > $RUNHOOK_RESULT"
    job = shared_api.apply(name="slow-waited", command=command)
    key = {"Idempotency-Key": "one"}
    answer = shared_api.request("POST", f"/api/jobs/{job}/start?wait=1", headers=key)
    assert answer.status_code == 202
    run = answer.json()["run"]
    assert run["state"] in ("queued", "starting", "running")
    address = urlsplit(answer.headers["Location"]).path
    early = shared_api.request("GET", f"{address}/result")
    assert early.status_code == 404
    assert "has returned nothing yet: it is" in early.json()["message"]
    gate.touch()
    again = shared_api.request("POST", f"/api/jobs/{job}/start?wait=60", headers=key)
    assert (again.status_code, again.json()["run"]["result"]) == (200, 7)
    assert again.json()["run"]["id"] == run["id"]
    at_once = shared_api.request("POST", f"/api/jobs/{job}/start?wait=0")
    assert at_once.status_code in (200, 202)


def test_who_waits_and_leaves_cancels_nothing(shared_api: Api, meeting: Path) -> None:
    gate, begun = meeting / "go", meeting / "begun"
    command = f"touch {begun}; while [ ! -e {gate} ]; do sleep 0.05; done"
    job = shared_api.apply(name="left-alone", command=command)
    place = urlsplit(shared_api.server.url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        head = f"POST /api/jobs/{job}/start?wait=300 HTTP/1.1\r\nHost: {place.netloc}\r\n"
        head += f"Authorization: token {shared_api.token}\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode())
        limit = time.monotonic() + 60
        while not begun.exists():
            assert time.monotonic() < limit
            threading.Event().wait(0.02)
    gate.touch()
    runs = shared_api.request("GET", f"/api/jobs/{job}/runs").json()["runs"]
    assert len(runs) == 1
    assert shared_api.finished(runs[0]["id"])["state"] == "succeeded"


def test_many_wait_at_once_while_the_server_serves_others(shared_api: Api, meeting: Path) -> None:
    """More than the database has connections: who waits holds none."""
    gate = meeting / "go"
    command = f"while [ ! -e {gate} ]; do sleep 0.05; done; echo 1 > $RUNHOOK_RESULT"
    job = shared_api.apply(name="waited-by-many", command=command)
    answers: list[int] = []

    def wait() -> None:
        path = f"/api/jobs/{job}/start?wait=50"
        key = {"Idempotency-Key": "shared"}
        answers.append(shared_api.request("POST", path, headers=key).json()["run"]["result"])

    threads = [threading.Thread(target=wait) for _ in range(40)]
    for thread in threads:
        thread.start()
    limit = time.monotonic() + 60
    while not shared_api.request("GET", f"/api/jobs/{job}/runs").json()["runs"]:
        assert time.monotonic() < limit
    gate.touch()
    for thread in threads:
        thread.join(60)
    assert answers == [1] * 40


@pytest.mark.parametrize("wait", ["-1", "301", "soon", "1.5"])
def test_a_wait_that_cannot_be_is_refused_before_anything_starts(
    shared_api: Api, wait: str
) -> None:
    job = shared_api.apply(name="impatient", command="true")
    answer = shared_api.request("POST", f"/api/jobs/{job}/start", params={"wait": wait})
    assert (answer.status_code, list(answer.json()["details"])) == (422, ["wait"])
    assert shared_api.request("GET", f"/api/jobs/{job}/runs").json()["runs"] == []


@pytest.mark.parametrize("prefer", ["wait=soon", "wait", "waiting=3", "respond-async"])
def test_a_preference_that_cannot_be_read_is_passed_over(shared_api: Api, prefer: str) -> None:
    job = shared_api.apply(name="preferring", command="true")
    answer = shared_api.request("POST", f"/api/jobs/{job}/start", headers={"Prefer": prefer})
    assert answer.status_code == 200
    assert "result" not in answer.json()["run"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("null", None), ("0", 0), ('"\\ud800"', "\ud800"), ("[1e3]", [1000.0])),
        *((f"{10**40}", 10**40), ('"<script>"', "<script>"), ("\ufeff1", 1), ("", None)),
        *(("NaN", None), ("[1e999]", None), ("{", None), ("[" * 5000, None)),
    ],
)
def test_a_result_is_given_as_json_or_not_at_all(shared_api: Api, text: str, value: object) -> None:
    job = returning(shared_api, "any-result", text)
    answer = shared_api.request("POST", f"/api/jobs/{job}/start?wait=50")
    assert answer.status_code == 200
    run = answer.json()["run"]
    assert run["result"] == value
    kept = shared_api.request("GET", f"/api/runs/{run['id']}/result")
    if value is None and text != "null":
        assert kept.status_code == 404
        assert "returned nothing" in kept.json()["message"]
        assert "RUNHOOK_RESULT" in kept.json()["hint"]
    else:
        assert (kept.status_code, kept.json()) == (200, value)


NAMES = ["plain.txt", "with blank.csv", "a%20b#c?.txt", "ünï\U0001f600.json", "q'\"&.html", "x/y/z"]


def test_artifacts_are_listed_and_given_as_they_are(shared_api: Api) -> None:
    job = shared_api.apply(
        name="leaves-files",
        command='cd "$RUNHOOK_ARTIFACTS"; mkdir -p x/y empty; printf "$names" | while IFS= read -r '
        'n; do printf "of %s" "$n" > "$n"; done; printf raw > "$(printf "b\\377d.bin")"; '
        "ln -s /etc/passwd link; ln -s x linked; mkfifo pipe",
        parameters={"names": "".join(f"{name.replace('%', '%%')}\n" for name in NAMES)},
    )
    run = shared_api.finished(shared_api.start(job)["id"])
    base = f"/api/runs/{run['id']}/artifacts"
    answer = shared_api.request("GET", base).json()
    assert answer["truncated"] is False
    listed = {each["path"]: each for each in answer["artifacts"]}
    assert set(listed) == {*NAMES, "b%FFd.bin"}
    for name, each in listed.items():
        given = requests.get(
            each["url"], headers={"Authorization": f"token {shared_api.token}"}, timeout=20
        )
        assert given.status_code == 200, each
        expected = b"raw" if name == "b%FFd.bin" else f"of {name}".encode()
        assert given.content == expected
        assert each["size"] == len(expected)
        assert given.headers["X-Content-Type-Options"] == "nosniff"
        assert given.headers["Content-Disposition"].startswith("attachment")
        assert "html" not in given.headers["Content-Type"]
    archive = shared_api.request("GET", f"{base}.zip")
    assert archive.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(archive.content)) as packed:
        assert packed.testzip() is None
        inside = {name: packed.read(name) for name in packed.namelist()}
    assert inside == {
        name: b"raw" if name == "b%FFd.bin" else f"of {name}".encode() for name in listed
    }


def test_a_part_of_a_file_can_be_asked_for(shared_api: Api) -> None:
    job = shared_api.apply(name="ranged", command="seq 1 2000 > $RUNHOOK_ARTIFACTS/n.txt")
    run = shared_api.finished(shared_api.start(job)["id"])
    path = f"/api/runs/{run['id']}/artifacts/n.txt"
    whole = shared_api.request("GET", path)
    part = shared_api.request("GET", path, headers={"Range": "bytes=2-9"})
    assert (part.status_code, part.content) == (206, whole.content[2:10])
    fresh = {"Range": "bytes=0-1", "If-Range": '"other"'}
    assert shared_api.request("GET", path, headers=fresh).content == whole.content
    assert whole.headers["ETag"]
    assert shared_api.request("HEAD", path).headers["Content-Length"] == str(len(whole.content))


@pytest.mark.parametrize(
    "path",
    [
        *("..%2f..%2fspec.json", "%2e%2e/spec.json", "..%2fspec.json", "%2fetc%2fpasswd", "link"),
        *("linked/passwd", "linked%2fpasswd", "a%00b", "folder", "folder/", "pipe", "", "x//y"),
        *(".", "folder/.", "n%2f..%2fn", "x" * 5000, "%ff%fe", "nothing", "sock"),
    ],
)
def test_nothing_but_files_of_the_folder_is_given(
    shared_api: Api, attacked: str, path: str
) -> None:
    place = urlsplit(shared_api.server.url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        head = f"GET /api/runs/{attacked}/artifacts/{path} HTTP/1.1\r\nHost: {place.netloc}\r\n"
        head += f"Authorization: token {shared_api.token}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    status = answer.split(b" ", 2)[1]
    assert status == (b"400" if "%00" in path else b"404")
    assert b'"message":' in answer
    assert b"root:" not in answer
    assert b"attempt_id" not in answer


@pytest.fixture(scope="session")
def attacked(shared_api: Api) -> str:
    """A run that left links out of its folder."""
    command = (
        'cd "$RUNHOOK_ARTIFACTS"; ln -s /etc/passwd link; ln -s /etc linked; mkdir folder; '
        "mkfifo pipe; echo n > n"
    )
    job = shared_api.apply(name="attacks", command=command)
    return str(shared_api.finished(shared_api.start(job)["id"])["id"])


def test_a_folder_that_became_a_link_is_not_followed(shared_api: Api, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hidden")
    command = f'rm -r "$RUNHOOK_ARTIFACTS"; ln -s {tmp_path} "$RUNHOOK_ARTIFACTS"'
    job = shared_api.apply(name="swaps", command=command)
    run = shared_api.finished(shared_api.start(job)["id"])
    base = f"/api/runs/{run['id']}/artifacts"
    assert shared_api.request("GET", base).json()["artifacts"] == []
    assert shared_api.request("GET", f"{base}/secret").status_code == 404
    with zipfile.ZipFile(io.BytesIO(shared_api.request("GET", f"{base}.zip").content)) as packed:
        assert packed.namelist() == []


def test_each_attempt_has_its_own_files_and_a_removed_run_has_none(shared_api: Api) -> None:
    command = 'echo $RUNHOOK_ATTEMPT_ID > "$RUNHOOK_ARTIFACTS/id"; exit 1'
    job = shared_api.apply(name="tries-twice", command=command, retries=1)
    run = shared_api.finished(shared_api.start(job)["id"])
    base = f"/api/runs/{run['id']}/artifacts"
    for number, attempt in enumerate(run["attempts"], 1):  # type: ignore[arg-type,var-annotated]
        given = shared_api.request("GET", f"{base}/id?attempt={number}")
        assert given.text.strip() == attempt["id"]
    assert shared_api.request("GET", f"{base}?attempt=3").status_code == 404
    assert shared_api.request("GET", f"{base}?attempt=x").status_code == 422


def test_the_executed_notebook_is_given_while_it_runs_and_after(
    shared_api: Api, repository: Repository, meeting: Path
) -> None:
    gate = meeting / "go"
    cells = [
        "print('first')",
        f"import os, time\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.05)",
    ]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    repository.commit({"a b.ipynb": nbformat.writes(made)})
    job = shared_api.apply(
        name="native", notebook="materials/a b.ipynb", git_repositories=[{"url": repository.url}]
    )
    run = shared_api.start(job)
    path = f"/api/runs/{run['id']}/notebook"
    limit = time.monotonic() + 100
    while '"text": ' not in (answer := shared_api.request("GET", path)).text:
        assert time.monotonic() < limit, answer.text
        if answer.status_code == 200:  # it is whole at every instant
            nbformat.reads(answer.text, as_version=4)
        threading.Event().wait(0.05)
    assert nbformat.reads(answer.text, as_version=4).cells[0].outputs[0].text == "first\n"
    gate.touch()
    assert shared_api.finished(run["id"])["state"] == "succeeded"
    answer = shared_api.request("GET", path)
    assert answer.headers["Content-Type"] == "application/x-ipynb+json"
    command = shared_api.apply(name="no-notebook", command="true")
    other = shared_api.finished(shared_api.start(command)["id"])
    refused = shared_api.request("GET", f"/api/runs/{other['id']}/notebook")
    assert (refused.status_code, "it ran a command" in refused.text) == (404, True)


NOTEBOOK = r"""
import os, pathlib, time
folder = pathlib.Path(os.environ["RUNHOOK_ARTIFACTS"], "deep")
folder.mkdir()
text = '{"cells": [], "metadata": {"told": "%s"}, "nbformat": 4, "nbformat_minor": 5}'
(folder / "told.ipynb").write_text(text % os.environ["told"])
(folder / "other.txt").write_text("open")
meeting = pathlib.Path(os.environ["meeting"])
(meeting / "begun").touch()
while not (meeting / "go").exists():
    time.sleep(0.02)
"""
WRITES_NOTEBOOK = f"python - <<'END'\n{NOTEBOOK}\nEND"
HIDDEN = "hunter-and-gatherer"


def begun_with_secret(api: Api, meeting: Path, kind: str) -> str:
    """A run that has written a notebook with its secret in it and now waits for `go`."""
    parameters: dict[str, object] = {"meeting": str(meeting)}
    spec: dict[str, object] = {"parameters": parameters}
    given: dict[str, str] = {}
    if kind == "attached":
        made = {"name": f"told-{meeting.name}", "value": HIDDEN}
        assert api.request("POST", "/api/secrets", json=made).status_code == 201
        place = {"location": "told", "attachment_type": "environment_variable"}
        spec["secrets"] = [{**place, "name": made["name"]}]
    elif kind == "parameter":
        parameters["told"] = {"type": "str", "secret": True}
        given = {"told": HIDDEN}
    else:
        parameters["told"] = HIDDEN
    job = api.apply(name=f"writes-notebook-{kind}", command=WRITES_NOTEBOOK, **spec)
    run = api.start(job, json={"parameters": given})
    limit = time.monotonic() + 60
    while not (meeting / "begun").exists():
        assert time.monotonic() < limit, api.log(run["id"])
        threading.Event().wait(0.02)
    return str(run["id"])


def given_out(api: Api, run_id: str) -> tuple[set[str], set[str], requests.Response]:
    """What is listed, what is packed, and the answer to who asks for the notebook."""
    base = f"/api/runs/{run_id}/artifacts"
    listed = {each["path"] for each in api.request("GET", base).json()["artifacts"]}
    with zipfile.ZipFile(io.BytesIO(api.request("GET", f"{base}.zip").content)) as packed:
        names = set(packed.namelist())
    return listed, names, api.request("GET", f"{base}/deep/told.ipynb")


BOTH = {"deep/told.ipynb", "deep/other.txt"}


@pytest.mark.parametrize("kind", ["attached", "parameter"])
def test_a_notebook_of_work_with_secrets_is_given_once_it_is_masked(
    shared_api: Api, meeting: Path, kind: str
) -> None:
    run = begun_with_secret(shared_api, meeting, kind)
    listed, packed, answer = given_out(shared_api, run)
    assert (listed, packed, answer.status_code) == ({"deep/other.txt"}, {"deep/other.txt"}, 404)
    assert "given out when they are masked" in answer.json()["message"]
    strange = shared_api.request("GET", f"/api/runs/{run}/artifacts/deep%2Ftold%2Eipynb")
    assert strange.status_code == 404
    (meeting / "go").touch()
    assert shared_api.finished(run)["state"] == "succeeded"
    listed, packed, answer = given_out(shared_api, run)
    assert (listed, packed, answer.status_code) == (BOTH, BOTH, 200)
    assert answer.json()["metadata"] == {"told": "***"}


def test_a_notebook_of_work_without_secrets_is_given_at_once(
    shared_api: Api, meeting: Path
) -> None:
    run = begun_with_secret(shared_api, meeting, "open")
    listed, packed, answer = given_out(shared_api, run)
    (meeting / "go").touch()
    assert (listed, packed, answer.status_code) == (BOTH, BOTH, 200)
    assert shared_api.finished(run)["state"] == "succeeded"


def test_a_notebook_that_was_never_masked_is_never_given(shared_api: Api, meeting: Path) -> None:
    run = begun_with_secret(shared_api, meeting, "attached")
    place = attempt_directory(shared_api, run)
    os.kill(json.loads((place / "runner.json").read_text())["pid"], signal.SIGKILL)
    assert shared_api.finished(run)["state"] == "lost"
    listed, packed, answer = given_out(shared_api, run)
    assert (listed, packed, answer.status_code) == ({"deep/other.txt"}, {"deep/other.txt"}, 404)
    assert "ended without a result" in answer.json()["message"]
