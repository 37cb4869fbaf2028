"""Running exactly this again: real commits, locks and secrets."""

import shutil
from typing import Any

from runhook.runner.mirror import mirror_folder
from runhook.runner.spec import RepositorySpec
from tests.conftest import Api, Repository

SECRET = "n4-hunter-two"
COMMAND = 'cat code/word.txt; echo "$size $key" | sha256sum; echo $RUNHOOK_TRIGGER'


def job_of(api: Api, repository: Repository, name: str, **more: object) -> str:
    return api.apply(
        name=name,
        git_repositories=[{"url": repository.url, "path": "code"}],
        parameters={"size": 1, "key": {"type": "str", "secret": True, "default": ""}},
        **{"command": COMMAND, **more},
    )


def replay(api: Api, run_id: object) -> Any:
    return api.request("POST", f"/api/runs/{run_id}/replay")


def start(api: Api, job: str, **parameters: object) -> dict[str, Any]:
    run = api.start(job, json={"parameters": parameters})
    return api.finished(run["id"])


def test_a_replay_has_the_commit_packages_definition_and_parameters_of_the_run(
    shared_api: Api, repository: Repository
) -> None:
    first = repository.commit({"word.txt": "one\n"})
    job = job_of(shared_api, repository, "n4-replayed")
    before = start(shared_api, job, size=7, key=SECRET)
    assert before["state"] == "succeeded", before
    repository.commit({"word.txt": "two\n"})
    job_of(shared_api, repository, "n4-replayed", command="false")
    answer = replay(shared_api, before["id"])
    assert answer.status_code == 201, answer.text
    assert (answer.json()["trigger"], answer.json()["replay_of"]) == ("replay", before["id"])
    after = shared_api.finished(answer.json()["id"])
    assert after["state"] == "succeeded", after
    assert [each["commit"] for each in after["commits"]] == [first]
    for name in ("lock", "parameters", "job_version", "scheduled_for"):
        assert after[name] == before[name], name
    assert after["parameters"] == {"size": 7, "key": "•••"}
    ended = [shared_api.log(each["id"]).splitlines()[-3:] for each in (before, after)]
    assert ended[0] == [*ended[1][:2], "api"]
    assert ended[1][2] == "replay"
    again = shared_api.finished(replay(shared_api, after["id"]).json()["id"])
    assert (again["state"], again["replay_of"]) == ("succeeded", after["id"])
    for file in shared_api.server.data.glob("runhook.db*"):
        assert SECRET.encode() not in file.read_bytes(), file


def test_a_commit_that_is_gone_fails_the_checkout_and_a_run_without_one_is_no_replay(
    shared_api: Api, repository: Repository
) -> None:
    repository.commit({"word.txt": "one\n"})
    job = job_of(shared_api, repository, "n4-gone-commit")
    before = start(shared_api, job)
    repository.git("commit", "--amend", "--allow-empty", "--message", "another history")
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "--quiet", "--prune=now")
    cache = shared_api.server.data / "cache"
    shutil.rmtree(mirror_folder(str(cache), RepositorySpec(repository.url, "code")))
    run = shared_api.finished(replay(shared_api, before["id"]).json()["id"])
    assert (run["state"], run["step"]) == ("failed", "checkout")
    assert "has no commit" in str(run["reason"])
    repository.path.rename(repository.path.with_name("away"))
    failed = start(shared_api, job)
    refused = replay(shared_api, failed["id"])
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict"), refused.text
    assert "its commits are not known" in refused.text


def test_whoever_may_only_look_repeats_nothing(shared_api: Api, repository: Repository) -> None:
    viewer = shared_api.person("n4-viewer", {"main/n4-replays": "viewer"})
    repository.commit({"word.txt": "one\n"})
    job = job_of(shared_api, repository, "n4-not-yours", owner="main/n4-replays")
    run = start(shared_api, job)
    assert replay(viewer, run["id"]).status_code == 403
    stranger = shared_api.person("n4-stranger")
    assert replay(stranger, run["id"]).status_code == 404
