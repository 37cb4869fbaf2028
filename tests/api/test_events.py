"""What happened to a run and its cells, as a list and as a stream; and how far it has come."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.conftest import Api

KINDS = {"a": "code", "m": "markdown", "b": "code"}
CELLS = [
    {"index": index, "id": id, "kind": kind} for index, (id, kind) in enumerate(KINDS.items(), 1)
]
PLAN = {"kind": "plan", "of": 3, "cells": CELLS}


def folder_of(api: Api, run_id: object) -> Path:
    """The directory of a run's attempt, once it has begun to work."""
    limit = time.monotonic() + 60
    while (run := api.run(run_id))["state"] != "running":
        assert time.monotonic() < limit, run
        threading.Event().wait(0.02)
    attempt = run["attempts"][-1]["id"]  # type: ignore[index]
    return api.server.data / "attempts" / attempt[:2] / attempt


def tell(folder: Path, at: float, **line: object) -> None:
    """What the runner does: a line, appended."""
    with (folder / "cells.jsonl").open("a") as file:
        file.write(json.dumps({"at": at, **line}) + "\n")


@contextmanager
def listening(api: Api, run_id: object, last: str = "") -> Iterator[Iterator[dict[str, Any]]]:
    """The messages of a stream, and then `{"kind": "end", …}`."""
    headers = {"Authorization": f"token {api.token}", "Accept": "text/event-stream"}
    headers |= {"Last-Event-ID": last} if last else {}
    url = f"{api.server.url}/api/runs/{run_id}/events"
    with requests.get(url, headers=headers, stream=True, timeout=60) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield _messages(answer)


def _messages(answer: requests.Response) -> Iterator[dict[str, Any]]:
    ends = False
    for line in answer.iter_lines(chunk_size=1):
        ends = ends or line == b"event: end"
        if line.startswith(b"data: "):
            told = json.loads(line.removeprefix(b"data: "))
            yield {"kind": "end", **told} if ends else told


def next_of(heard: Iterator[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The first message of that kind; those before it are passed over."""
    return next(each for each in heard if each["kind"] == kind)


def test_a_stream_tells_all_once_in_order_resumes_and_ends(shared_api: Api, meeting: Path) -> None:
    gate = meeting / "go"
    job = shared_api.apply(
        name="tells-events", command=f"while [ ! -e {gate} ]; do sleep 0.05; done"
    )
    run = shared_api.start(job)
    folder, now = folder_of(shared_api, run["id"]), time.time()
    assert shared_api.run(run["id"])["progress"] is None
    with listening(shared_api, run["id"]) as heard:
        assert next(heard)["kind"] == "queued"
        tell(folder, now, **PLAN)  # the file is made while the stream waits
        assert next_of(heard, "cells_planned")["data"]["of"] == 3
        tell(folder, now, kind="started", cell=1, id="a")
        first = next_of(heard, "cell_started")
        assert (first["data"], first["attempt"]) == ({"cell": 1, "id": "a"}, 1)
    progress = shared_api.run(run["id"])["progress"]
    assert isinstance(progress, dict)
    assert (progress["cell"], progress["of"], progress["done"]) == (1, 3, 0)
    assert (progress["code_cells"], progress["sentence"]) == (2, "cell 1 of 3")
    tell(folder, now + 1, kind="finished", cell=1, seconds=1.0, status="ok")
    with (folder / "cells.jsonl").open("ab") as file:
        file.write(b'[1]\nnonsense \xff\n{"at": 1e999}\n')
    tell(folder, now + 1, kind="something else")
    tell(folder, now + 1, kind="started", cell=3, id="b")
    with listening(shared_api, run["id"], last=first["id"]) as heard:
        told = [next(heard) for _ in range(2)]
        assert [(each["kind"], each["data"]["cell"]) for each in told] == [
            ("cell_finished", 1),
            ("cell_started", 3),
        ]
        gate.touch()
        rest = list(heard)
    assert rest[-1] == {"kind": "end", "state": "succeeded", "exit_code": 0, "reason": None}
    assert "succeeded" in [each["kind"] for each in rest]
    answer = shared_api.request("GET", f"/api/runs/{run['id']}/events").json()
    ids = [each["id"] for each in answer["events"]]
    assert len(set(ids)) == len(ids)
    assert not answer["more"]
    kinds = [each["kind"] for each in answer["events"]]
    assert [each for each in kinds if each.startswith("cell")] == [
        *("cells_planned", "cell_started", "cell_finished", "cell_started"),
    ]
    assert kinds[0] == "queued"
    for position, each in enumerate(ids):
        after = {"after": each}
        later = shared_api.request("GET", f"/api/runs/{run['id']}/events", params=after).json()
        assert [each["id"] for each in later["events"]] == ids[position + 1 :]
    assert shared_api.run(run["id"])["progress"] is None
    wrong = shared_api.request("GET", f"/api/runs/{run['id']}/events?after=x")
    assert wrong.status_code == 422


def test_the_time_left_comes_from_earlier_runs_that_succeeded(
    shared_api: Api, meeting: Path
) -> None:
    gate, wait = meeting / "go", "while [ ! -e $gate ]; do sleep 0.05; done"
    job = shared_api.apply(name="estimates", command=wait, parameters={"gate": ""})
    for seconds in (10.0, 20.0):
        first = shared_api.start(job, json={"parameters": {"gate": str(gate)}})
        folder = folder_of(shared_api, first["id"])
        tell(folder, 1.0, **PLAN)
        for cell in (1, 3):
            tell(folder, 1.0, kind="finished", cell=cell, seconds=seconds, status="ok")
        gate.touch()
        assert shared_api.finished(first["id"])["state"] == "succeeded"
        gate.unlink()
    run = shared_api.start(job, json={"parameters": {"gate": str(gate)}})
    folder = folder_of(shared_api, run["id"])
    tell(folder, time.time(), **PLAN)
    progress = shared_api.run(run["id"])["progress"]
    assert isinstance(progress, dict)
    assert progress["left"] == 30.0
    assert progress["sentence"] == "starting the kernel for 3 cells"
    tell(folder, time.time(), kind="started", cell=1, id="a")
    progress = shared_api.run(run["id"])["progress"]
    assert isinstance(progress, dict)
    assert progress["sentence"].endswith("cell 1 of 3, about 30 s left")
    gate.touch()
    shared_api.finished(run["id"])
