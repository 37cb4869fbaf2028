"""Notebooks of jobs on a real server: what is told of them on every ending, and papermill's way."""

import json
import os
import signal
import time
from pathlib import Path

import nbformat

from tests.conftest import Api, LiveServer, MakeServer, Repository

LIMIT = 90


def notebook(*cells: tuple[str, list[str]]) -> str:
    made = [nbformat.v4.new_code_cell(text, metadata={"tags": tags}) for text, tags in cells]
    spec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    return nbformat.writes(nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": spec}))


def folder_of(api: Api, run: dict[str, object]) -> Path:
    name = run["attempts"][-1]["id"]  # type: ignore[index]
    return api.server.data / "attempts" / name[:2] / name


def test_a_killed_runner_leaves_a_notebook_that_says_where_it_was(
    make_server: MakeServer, repository: Repository
) -> None:
    server: LiveServer = make_server().start()
    api = Api(server, server.token())
    cells = ("print('one')", []), ("print('begun'); import time; time.sleep(600)", []), ("3", [])
    repository.commit({"n.ipynb": notebook(*cells)})
    job = api.apply(
        name="killed-notebook",
        notebook="materials/n.ipynb",
        git_repositories=[{"url": repository.url}],
    )
    run = api.start(job)
    with api.request("GET", f"/api/runs/{run['id']}/log?follow=1", stream=True) as stream:
        assert any(b"begun" in line for line in stream.iter_lines())
    place = folder_of(api, api.run(run["id"]))
    limit = time.monotonic() + LIMIT
    while b"begun" not in api.request("GET", f"/api/runs/{run['id']}/notebook").content:
        assert time.monotonic() < limit
        time.sleep(0.05)
    server.kill()  # as with the machine: nobody sees the end
    os.kill(json.loads((place / "runner.json").read_text())["pid"], signal.SIGKILL)
    server.start()
    ended = api.finished(run["id"])
    assert ended["state"] == "lost"
    kept = api.request("GET", f"/api/runs/{run['id']}/notebook").json()
    nbformat.validate(nbformat.from_dict(kept))
    states = [cell["metadata"]["runhook"]["status"] for cell in kept["cells"]]
    assert states == ["ok", "lost", "never_ran"]
    assert kept["metadata"]["runhook"]["status"] == "lost"
    assert "runner" in json.dumps(kept["cells"][1]["outputs"][-1])
    lines = [json.loads(line) for line in (place / "cells.jsonl").read_text().splitlines()]
    assert [each["status"] for each in lines if each["kind"] == "finished"] == states


def test_papermill_as_a_command_keeps_its_conventions(
    shared_api: Api, repository: Repository
) -> None:
    cells = ("who = 'nobody'", ["parameters"]), ("print('hello', who)", []), ("1 / 0", [])
    repository.commit({"n.ipynb": notebook(*cells)})
    mill = "papermill materials/n.ipynb out.ipynb --kernel python3 --log-output"
    job = shared_api.apply(
        name="papermill-conventions",
        command=f"{mill} -p who {{{{who}}}}",
        parameters={"who": "somebody"},
        git_repositories=[{"url": repository.url}],
        extra_packages={"pip": "papermill"},
    )
    run = shared_api.finished(shared_api.start(job, json={"parameters": {"who": "zoë x"}})["id"])
    assert (run["state"], run["exit_code"]) == ("failed", 1)
    assert "hello zoë x" in shared_api.log(run["id"])
    address = f"/api/runs/{run['id']}/artifacts/out.ipynb"
    kept = shared_api.request("GET", address).json()
    tags = [cell["metadata"].get("tags", []) for cell in kept["cells"]]
    assert ["injected-parameters"] in tags
    assert tags.index(["injected-parameters"]) == tags.index(["parameters"]) + 1
    assert not (folder_of(shared_api, run) / "cells.jsonl").exists()
