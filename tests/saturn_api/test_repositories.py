"""Repositories and what jobs check out, as the strict client reads and writes them."""

import time
from typing import Any

import pytest

from tests.conftest import Api, Repository
from tests.saturn_api.conftest import Client, model

NOBODY = "0" * 32
REPOS, ATTACHMENTS = "ExternalReposApi", "ExternalRepoAttachmentsApi"


@pytest.fixture
def owner(client: Client) -> dict[str, Any]:
    """A group of its own for each test: the client's reference to it."""
    name = f"repos-{time.monotonic_ns()}"
    group = client.call("GroupsApi", "create", group_create=model("GroupCreate", groupname=name))
    return {"group_id": group["id"]}


def add(client: Client, owner: dict[str, Any], url: str, **more: Any) -> dict[str, Any]:
    new = model("ExternalRepoCreate", remote_url=url, owner=owner, **more)
    return dict(client.call(REPOS, "create", external_repo_create=new))


def urls(client: Client, owner: dict[str, Any], **filters: Any) -> list[str]:
    found = client.call(REPOS, "list", **owner, **filters)["external_repos"]
    return [each["remote_url"] for each in found]


def test_a_repository_that_was_added_is_attached_and_its_files_are_there(
    client: Client, shared_api: Api, repository: Repository, owner: dict[str, Any]
) -> None:
    repository.commit({"said.txt": "from the branch"})
    repository.git("branch", "other")
    repository.commit({"said.txt": "from main"})
    made = add(client, owner, repository.url)
    assert (made["name"], made["ssh_privatekey_id"]) == ("materials", None)
    nested = {"external_repo_id": made["id"], "path": "here", "ref": "other"}
    job = client.call(
        "JobsApi",
        "create",
        job_create=model(
            "JobCreate",
            name="strict-checkout",
            command="cat here/said.txt",
            owner=owner,
            external_repo_attachments=[nested],
        ),
    )
    (attached,) = client.call(ATTACHMENTS, "list", job_id=job["id"])["external_repo_attachments"]
    assert {name: attached[name] for name in ("external_repo_id", "remote_url", "path", "ref")} == {
        **{"external_repo_id": made["id"], "remote_url": repository.url},
        **{"path": "here", "ref": "other"},
    }
    run = shared_api.finished(shared_api.start(job["id"])["id"])
    assert (run["state"], shared_api.log(run["id"])) == ("succeeded", "from the branch")
    refused = client.refused(REPOS, "delete", external_repo_id=made["id"])
    assert (refused.error, "strict-checkout use it" in refused.message) == (
        "ConflictException",
        True,
    )
    client.call(ATTACHMENTS, "delete", external_repo_attachment_id=attached["id"])
    client.call(REPOS, "delete", external_repo_id=made["id"])
    assert urls(client, owner) == []
    gone = client.refused(ATTACHMENTS, "get", external_repo_attachment_id=attached["id"])
    assert gone.error == "NotFoundException"


def test_what_jobs_name_is_a_repository_without_being_added(
    client: Client, shared_api: Api, owner: dict[str, Any]
) -> None:
    """The recipe is where it stands: both ways show and change the same."""
    group = client.call("GroupsApi", "get", group_id=owner["group_id"])["groupname"]
    recipe = {
        "name": "strict-recipe",
        "owner": f"main/{group}",
        "command": "true",
        "git_repositories": [{"url": "https://example.org/acme/tools.git"}],
    }
    job = shared_api.apply(**recipe)
    (known,) = client.call(REPOS, "list", **owner)["external_repos"]
    assert client.call(REPOS, "get", external_repo_id=known["id"]) == known
    other = add(client, owner, "https://example.org/acme/data.git")
    assert urls(client, owner) == [
        "https://example.org/acme/data.git",
        "https://example.org/acme/tools.git",
    ]
    assert urls(client, owner, remote_url="data", descending=True) == [other["remote_url"]]
    new = model(
        "ExternalRepoAttachmentCreate",
        external_repo_id=other["id"],
        resource={"job_id": job},
        path="/home/jovyan/git-repos/data",
    )
    before = shared_api.request("GET", f"/api/audit?object={job}").json()["entries"]
    made = client.call(ATTACHMENTS, "create", external_repo_attachment_create=new)
    entries = shared_api.request("GET", f"/api/audit?object={job}").json()["entries"]
    assert [each["action"] for each in entries[: -len(before)]] == ["job.changed"]
    update = model("ExternalRepoAttachmentUpdate", ref="v1", ref_type="tag", on_restart="reclone")
    changed = client.call(
        ATTACHMENTS,
        "update",
        external_repo_attachment_id=made["id"],
        external_repo_attachment_update=update,
    )
    assert changed == {**made, "ref": "v1", "ref_type": "tag", "on_restart": "reclone"}
    spec = shared_api.request("GET", f"/api/jobs/{job}").json()["git_repositories"]
    assert spec == [
        {"url": "https://example.org/acme/tools.git"},
        {
            "url": "https://example.org/acme/data.git",
            "path": "/home/jovyan/git-repos/data",
            "on_restart": "reclone",
            "reference": "v1",
            "reference_type": "tag",
        },
    ]
    everything = client.call(ATTACHMENTS, "list", page_size=1000)["external_repo_attachments"]
    assert made["id"] in [each["id"] for each in everything]
    assert client.call(ATTACHMENTS, "list", workspace_id=NOBODY)["external_repo_attachments"] == []


def test_a_repository_names_the_key_that_opens_it(client: Client, owner: dict[str, Any]) -> None:
    keys = [
        client.call(
            "SshPrivateKeysApi",
            "create",
            ssh_private_key_create=model("SSHPrivateKeyCreate", name=name, identity=owner),
        )
        for name in ("first", "second")
    ]
    url = "git@example.org:acme/tools.git"
    made = add(client, owner, url, ssh_privatekey_id=keys[0]["id"])
    assert made["ssh_privatekey"]["name"] == "first"
    job = client.call(
        "JobsApi",
        "create",
        job_create=model(
            "JobCreate",
            name="strict-key",
            command="true",
            owner=owner,
            external_repo_attachments=[{"external_repo_id": made["id"]}],
        ),
    )
    (attached,) = client.call(ATTACHMENTS, "list", job_id=job["id"])["external_repo_attachments"]
    assert (attached["has_sshkey"], attached["path"]) == (True, "tools")
    update = model("ExternalRepoUpdate", remote_url=url, ssh_privatekey_id=keys[1]["id"])
    arguments = {"external_repo_id": made["id"], "external_repo_update": update}
    assert client.call(REPOS, "update", **arguments)["ssh_privatekey"]["name"] == "second"
    client.call("SshPrivateKeysApi", "delete", ssh_privatekey_id=keys[1]["id"])
    assert client.call(REPOS, "get", external_repo_id=made["id"])["ssh_privatekey_id"] is None
    for wrong, status in (
        (model("ExternalRepoUpdate", remote_url="git@example.org:other.git"), 409),
        (model("ExternalRepoUpdate", ssh_privatekey_id=NOBODY), 404),
    ):
        arguments = {"external_repo_id": made["id"], "external_repo_update": wrong}
        assert client.refused(REPOS, "update", **arguments).status == status
    https = model(
        "ExternalRepoCreate",
        remote_url="https://example.org/a.git",
        owner=owner,
        ssh_privatekey_id=keys[0]["id"],
    )
    assert client.refused(REPOS, "create", external_repo_create=https).status == 422


def test_others_neither_see_nor_attach_a_repository(
    client: Client, shared_api: Api, owner: dict[str, Any]
) -> None:
    made = add(client, owner, "https://example.org/acme/closed.git")
    person = shared_api.person("repos-stranger")
    stranger = client.as_(person)
    assert urls(stranger, owner) == []
    assert stranger.refused(REPOS, "get", external_repo_id=made["id"]).status == 404
    job = person.apply(name="strict-strange", command="true")
    new = model(
        "ExternalRepoAttachmentCreate", external_repo_id=made["id"], resource={"job_id": job}
    )
    refused = stranger.refused(ATTACHMENTS, "create", external_repo_attachment_create=new)
    assert (refused.status, "closed" in refused.body) == (422, False)
