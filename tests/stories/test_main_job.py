"""The main job, from git to a log, as somebody who has a token lives it."""

import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import requests

from tests.conftest import ROOT, Api, MakeServer, Repository

EXAMPLE = ROOT / "examples" / "notebook-job-api"
COMMAND = (
    "papermill materials/notebook-job-api/example.ipynb out.ipynb"
    " --stdout-file - --stderr-file - --kernel python3"
)
LINE = "INFO:root:Job is successfully running!"


@pytest.fixture
def materials(repository: Repository) -> Repository:
    shutil.copytree(EXAMPLE, repository.path / "notebook-job-api")
    repository.commit({})
    return repository


@pytest.fixture
def example_job(shared_api: Api, materials: Repository) -> str:
    return shared_api.apply(
        name=f"example-{materials.path.parent.parent.name}",
        command=COMMAND,
        extra_packages={"pip": "papermill"},
        git_repositories=[{"url": materials.url}],
    )


def test_the_published_snippet_runs_the_notebook(shared_api: Api, example_job: str) -> None:
    base, user_token = shared_api.server.url, shared_api.token
    url = f"{base}/api/jobs/{example_job}/start"
    headers = {"Authorization": f"token {user_token}"}
    r = requests.post(url, headers=headers)
    assert r.status_code == 200
    assert r.headers["Location"] == r.json()["run"]["url"]

    run = shared_api.finished(r.json()["run"]["id"])
    assert run["state"] == "succeeded", shared_api.log(run["id"])
    assert run["exit_code"] == 0
    assert LINE in shared_api.log(run["id"])


def test_curl_with_an_empty_body_and_a_json_content_type_starts_a_run(shared_api: Api) -> None:
    job = shared_api.apply(name="curl", command="echo hello")
    command = ["curl", "-sS", "-X", "POST", f"{shared_api.server.url}/api/jobs/{job}/start"]
    command += ["-H", f"Authorization: Bearer   {shared_api.token}"]
    command += ["-H", "Content-Type: application/json"]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert shared_api.finished(answer["run"]["id"])["state"] == "succeeded"
    assert shared_api.log(answer["run"]["id"]) == "hello\n"


def test_the_next_start_executes_what_was_pushed_before_it(
    shared_api: Api, repository: Repository
) -> None:
    first = repository.commit({"say.sh": "echo one"})
    repository.git("tag", "v1")
    attached = [{"url": repository.url}]
    moving = shared_api.apply(
        name="moving", command="bash materials/say.sh", git_repositories=attached
    )
    by_tag = shared_api.apply(
        name="by-tag",
        command="bash materials/say.sh",
        git_repositories=[{**attached[0], "reference": "v1", "reference_type": "tag"}],
    )
    by_commit = shared_api.apply(
        name="by-commit",
        command="bash materials/say.sh",
        git_repositories=[{**attached[0], "reference": first, "reference_type": "commit"}],
    )
    jobs = (moving, by_tag, by_commit)

    def start_all() -> list[tuple[str, str]]:
        runs = [shared_api.finished(shared_api.start(job)["id"]) for job in jobs]
        return [(shared_api.log(run["id"]), run["commits"][0]["commit"]) for run in runs]  # type: ignore[index]

    assert start_all() == [("one\n", first)] * 3
    second = repository.commit({"say.sh": "echo two"})
    assert start_all() == [("two\n", second), ("one\n", first), ("one\n", first)]


def test_the_log_is_followed_live_while_the_command_runs(shared_api: Api, meeting: Path) -> None:
    gate = meeting / "go"
    job = shared_api.apply(
        name="live",
        command=f"echo first; while [ ! -e {gate} ]; do read -t 0.05 <> <(:); done; echo last",
    )
    run = shared_api.start(job)
    seen = []
    with shared_api.request(
        "GET", f"/api/runs/{run['id']}/log", headers={"Accept": "text/event-stream"}, stream=True
    ) as stream:
        for line in stream.iter_lines(decode_unicode=True):
            if line.startswith("data: "):
                seen.append(json.loads(line.removeprefix("data: ")))
                gate.touch()
    assert seen[0] == "first\n"
    assert seen[-2:] == ["last\n", {"state": "succeeded", "exit_code": 0, "reason": None}]


def test_a_failing_command_tells_its_exit_code_and_a_reason(shared_api: Api) -> None:
    job = shared_api.apply(name="failing", command="echo before; exit 3")
    run = shared_api.finished(shared_api.start(job)["id"])
    assert (run["state"], run["exit_code"], run["step"]) == ("failed", 3, "command")
    assert "status 3" in str(run["reason"])
    assert shared_api.log(run["id"]) == "before\n"


@pytest.mark.parametrize(
    ("spec", "step", "words"),
    [
        ({"git_repositories": [{"url": "file:///nowhere/x.git"}]}, "checkout", "x.git"),
        ({"extra_packages": {"pip": "no-such-package-of-runhook==9"}}, "environment", "package"),
        ({"start_script": "echo setting up; exit 4"}, "start_script", "status 4"),
        ({"command": "no-such-command"}, "command", "127"),
        ({"command": None, "notebook": "nowhere.ipynb"}, "notebook", "nowhere.ipynb"),
        ({"working_directory": "nowhere"}, "command", "nowhere"),
        ({"python": "3.99"}, "environment", "3.99"),
    ],
)
def test_what_goes_wrong_fails_at_its_step_with_one_sentence(
    shared_api: Api, spec: dict[str, object], step: str, words: str
) -> None:
    given = {"command": "true", **spec}
    job = shared_api.apply(
        name=f"wrong-{step}", **{key: value for key, value in given.items() if value is not None}
    )
    run = shared_api.finished(shared_api.start(job)["id"])
    assert (run["state"], run["step"]) == ("failed", step), run
    assert words in str(run["reason"])
    assert "\n" not in str(run["reason"])


def test_a_missing_branch_is_named(shared_api: Api, repository: Repository) -> None:
    repository.commit({"a": "b"})
    job = shared_api.apply(
        name="branchless",
        command="true",
        git_repositories=[{"url": repository.url, "reference": "no-such-branch"}],
    )
    run = shared_api.finished(shared_api.start(job)["id"])
    assert (run["state"], run["step"]) == ("failed", "checkout")
    assert "no-such-branch" in str(run["reason"])


def test_cancelling_ends_a_run_and_leaves_a_finished_one_alone(shared_api: Api) -> None:
    job = shared_api.apply(name="long", command="echo up; sleep 600")
    run = shared_api.start(job)
    with shared_api.request("GET", f"/api/runs/{run['id']}/log?follow=1", stream=True) as stream:
        for line in stream.iter_lines():
            if b"up" in line:
                assert (
                    shared_api.request("POST", f"/api/runs/{run['id']}/cancel").status_code == 200
                )
            if line == b"event: end":
                break
    ended = shared_api.finished(run["id"])
    assert ended["state"] == "cancelled"
    assert ended["reason"] == "cancelled by admin"
    assert shared_api.request("POST", f"/api/runs/{run['id']}/cancel").json() == ended


def test_a_run_sees_what_it_is_promised(shared_api: Api) -> None:
    job = shared_api.apply(
        name="seeing",
        command="env | grep ^RUNHOOK_ | cut -d= -f1 | sort; "
        'curl -sS -H "Authorization: token $RUNHOOK_TOKEN" '
        "$RUNHOOK_URL/api/runs/$RUNHOOK_RUN_ID",
    )
    run = shared_api.start(job)
    shared_api.finished(run["id"])
    *names, answer = shared_api.log(run["id"]).splitlines()
    promised = ("RUN_ID JOB_ID JOB_NAME TRIGGER SCHEDULED_FOR RESULT ARTIFACTS URL TOKEN").split()
    assert {f"RUNHOOK_{name}" for name in promised} <= set(names)
    assert json.loads(answer)["state"] == "running"


def test_a_run_token_can_define_nothing_and_ends_with_its_run(
    shared_api: Api, meeting: Path
) -> None:
    command = f"echo $RUNHOOK_TOKEN > {meeting}/token; echo told; sleep 600"
    job = shared_api.apply(name="token", command=command)
    run = shared_api.start(job)
    with shared_api.request("GET", f"/api/runs/{run['id']}/log?follow=1", stream=True) as stream:
        assert any(b"told" in line for line in stream.iter_lines())
    as_run = Api(shared_api.server, (meeting / "token").read_text().strip())
    assert as_run.request("GET", f"/api/jobs/{job}").status_code == 200
    assert as_run.request("PATCH", f"/api/jobs/{job}", json={"command": "x"}).status_code == 403
    assert as_run.request("GET", "/api/user/token").status_code == 403
    shared_api.request("POST", f"/api/runs/{run['id']}/cancel")
    shared_api.finished(run["id"])
    assert as_run.request("GET", f"/api/jobs/{job}").status_code == 401


def test_starts_above_the_limit_wait_in_the_queue_with_their_position(
    make_server: MakeServer, meeting: Path
) -> None:
    server = make_server("limited", RUNHOOK_RUNS_LIMIT="2").start()
    api = Api(server, server.token())
    job = api.apply(name="queued", command=f"while [ ! -e {meeting}/go ]; do sleep 0.05; done")
    runs = [api.start(job) for _ in range(5)]
    while any(api.run(run["id"])["state"] == "queued" for run in runs[:2]):
        pass
    assert [api.run(run["id"])["position"] for run in runs[2:]] == [0, 1, 2]
    (meeting / "go").touch()
    assert {api.finished(run["id"])["state"] for run in runs} == {"succeeded"}


def test_starts_that_arrive_together_are_all_kept(shared_api: Api) -> None:
    job = shared_api.apply(name="together", command="echo $RUNHOOK_RUN_ID")
    started: list[object] = []
    threads = [
        threading.Thread(target=lambda: started.append(shared_api.start(job)["id"]))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(started)) == 20
    for run_id in started:
        shared_api.finished(run_id)
        assert shared_api.log(run_id) == f"{run_id}\n"


def test_a_due_schedule_starts_a_run_by_itself(shared_api: Api) -> None:
    job = shared_api.apply(
        name="ticking", command="echo $RUNHOOK_SCHEDULED_FOR", schedule="@every 10s"
    )
    assert shared_api.request("GET", f"/api/jobs/{job}").json()["next_fire_at"]
    found: list[dict[str, object]] = []
    while not found:
        found = shared_api.request("GET", f"/api/jobs/{job}/runs?trigger=schedule").json()["runs"]
    run = shared_api.finished(found[-1]["id"])
    assert shared_api.log(run["id"]).strip() == run["scheduled_for"]
    assert shared_api.request("POST", f"/api/jobs/{job}/unschedule").json()["next_fire_at"] is None
