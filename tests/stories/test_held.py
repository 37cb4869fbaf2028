"""A failed run whose kernel is held: looked into, released, gone in time, there after a restart."""

import subprocess
import sys
import time
from collections.abc import Callable

import nbformat
import psutil
import pytest

from tests.conftest import Api, Repository
from tests.security.cast import Browser

PATIENCE = 60.0
CELLS = ("answer = 6 * 7\nprint(answer)", "1 / divisor", "print('on')")


def notebook(*cells: str) -> str:
    made = [nbformat.v4.new_code_cell(source) for source in cells]
    return str(nbformat.writes(nbformat.v4.new_notebook(cells=made)))


@pytest.fixture
def job(api: Api, repository: Repository) -> Callable[..., str]:
    """Makes the job whose notebook fails in its second cell."""
    repository.commit({"a.ipynb": notebook(*CELLS)})

    def make(**more: object) -> str:
        repositories = [{"url": repository.url, "path": "nb"}]
        given = {"hold_failed_kernel": 10, "git_repositories": repositories, **more}
        given["parameters"] = {"divisor": 0}
        return api.apply(name="held", notebook="nb/a.ipynb", **given)

    return make


def failed(api: Api, job_id: str) -> dict[str, object]:
    run = api.finished(api.start(job_id)["id"])
    assert run["state"] == "failed", run
    assert "ZeroDivisionError" in str(run["reason"])
    return run


def how(run: dict[str, object]) -> str:
    """How its kernel was started."""
    steps = run["waterfall"]
    assert isinstance(steps, list)
    return next(str(each["note"]) for each in steps if each["name"] == "notebook")


def until(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.05)


def attach(api: Api, run_id: object, text: str) -> subprocess.CompletedProcess[str]:
    """The command, with this text typed."""
    words = [sys.executable, "-m", "runhook", "--url", api.server.url, "--token", api.token]
    words += ["attach", "--data", str(api.server.data), str(run_id)]
    environment = api.server.environment
    return subprocess.run(
        words, input=text, capture_output=True, text=True, env=environment, timeout=100
    )


def kernels_of(api: Api, run: dict[str, object]) -> list[psutil.Process]:
    attempt = run["attempts"][-1]["id"]  # type: ignore[index]
    return [each for each in api.server.working() if str(attempt) in each.cwd()]


@pytest.mark.parametrize("warm", [False, True])
def test_a_failed_kernel_is_held_looked_into_and_released(
    api: Api, job: Callable[..., str], warm: bool
) -> None:
    job_id = job(warm=warm)
    if warm:
        api.finished(api.start(job_id, json={"parameters": {"divisor": 1}})["id"])
    run = failed(api, job_id)
    while warm and how(run) != "warm":
        run = failed(api, job_id)
    assert run["held_until"]
    answer = attach(api, run["id"], "answer + 1\nfor i in range(2):\n    print(i)\n\n")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == ["43", "0", "1"]
    later = failed(api, job_id)
    until(lambda: api.run(run["id"])["held_until"] is None)  # of a job, only the latest is held
    assert later["held_until"]

    api.server.kill()  # the server, not what it left running
    api.server.start(api.server.port)
    assert "42" in attach(api, later["id"], "answer\n").stdout
    assert api.request("POST", f"/api/runs/{later['id']}/release").json()["state"] == "failed"
    until(lambda: api.run(later["id"])["held_until"] is None and not kernels_of(api, later))
    entries = api.request("GET", "/api/audit", params={"action": "run.released"}).json()["entries"]
    assert [each["object_id"] for each in entries] == [later["id"]]
    again = attach(api, later["id"], "1\n")
    assert again.returncode != 0
    assert "no kernel of run" in again.stderr


def test_it_goes_by_itself_with_its_time_and_with_its_job(
    api: Api, job: Callable[..., str]
) -> None:
    run = failed(api, job(hold_failed_kernel=0.02))
    until(lambda: api.run(run["id"])["held_until"] is None and not kernels_of(api, run))
    job_id = job(hold_failed_kernel=10)
    run = failed(api, job_id)
    assert kernels_of(api, run)
    assert api.request("DELETE", f"/api/jobs/{job_id}").status_code == 204
    until(lambda: not kernels_of(api, run))


def test_only_a_kernel_that_lives_is_held_and_the_page_offers_to_release_it(
    api: Api, job: Callable[..., str], repository: Repository
) -> None:
    run = failed(api, job())
    address = f"/dash/runs/{run['id']}"
    browser = Browser.of(api)
    text = browser.session.get(api.server.url + address, timeout=30).text
    assert "held as it was at the failure" in text
    assert f'action="{address}/release"' in text
    assert browser.status("POST", f"{address}/release", {}) == 303
    until(lambda: api.run(run["id"])["held_until"] is None)
    repository.commit({"a.ipynb": notebook("import os", "os._exit(1)")})
    dead = api.finished(api.start(job())["id"])
    assert dead["state"] == "failed"
    assert dead["held_until"] is None
