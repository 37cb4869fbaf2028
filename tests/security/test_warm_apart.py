"""Warm starts on a server without special rights."""

import json
import time

import nbformat
import pytest

from runhook.runner import scratch
from tests.conftest import Api, Repository

PATIENCE = 100.0
LOOK = (
    "import json, os, glob\n"
    "own = os.path.dirname(os.environ['HOME'])\n"
    "others = [p for p in glob.glob(os.path.dirname(os.path.dirname(own)) + '/*/*') if p != own]\n"
    "pids = [p for p in os.listdir('/proc') if p.isdecimal()]\n"
    "names = [open(f'/proc/{p}/cmdline').read() for p in pids]\n"
    "open(os.environ['HOME'] + '/mine', 'w').write('x')\n"
    "print(json.dumps([sorted(os.listdir(own)), others, any('runhook' in n for n in names)]))"
)


@pytest.fixture
def repository(unprivileged_api: Api) -> Repository:
    """One that the server's user may read."""
    data = unprivileged_api.server.data
    made = Repository(data.parent / "warm-apart")
    made.path.mkdir()
    made.git("init", "--initial-branch", "main")
    cells = [nbformat.v4.new_code_cell(LOOK)]
    made.commit({"a.ipynb": str(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))})
    scratch.give(made.path, data.stat().st_uid)
    return made


def test_kernels_start_warm_without_special_rights(
    unprivileged_api: Api, repository: Repository
) -> None:
    api = unprivileged_api
    repositories = [{"url": repository.url, "path": "nb"}]
    job = api.apply(
        name="warm-apart", notebook="nb/a.ipynb", warm=True, git_repositories=repositories
    )
    limit = time.monotonic() + PATIENCE
    note = ""
    while note != "warm":
        assert time.monotonic() < limit, note
        run = api.finished(api.start(job)["id"])
        assert run["state"] == "succeeded", run["reason"]
        steps = run["waterfall"]
        assert isinstance(steps, list)
        note = next(str(each["note"]) for each in steps if each["name"] == "notebook")
    told = run["attempts"][-1]["isolation"]  # type: ignore[index]
    assert told.startswith("bubblewrap, same user: ")
    assert "in the same box" in told
    own, others, sees_server = json.loads(api.log(run["id"]).splitlines()[-1])
    assert own == ["artifacts", "home", "out", "tmp", "workspace"]
    assert others == []
    assert sees_server is False
