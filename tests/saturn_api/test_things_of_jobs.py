"""What belongs to a job: recipes, runs as pods, logs, secrets and tokens, for the strict client."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Api
from tests.saturn_api.conftest import Client, model

NOBODY = "0" * 32
SECRET = "a value that nobody is given"


@dataclass
class Ended:
    """A job with a run that has ended, and one that lives."""

    job: dict[str, Any]
    ended: str
    living: str
    sign: Path


@pytest.fixture(scope="module")
def lived(client: Client, shared_api: Api, opened: Path) -> Iterator[Ended]:
    sign = opened / f"strict-{time.monotonic_ns()}"
    command = f"echo begun; test -e {sign} && exit 0; touch {sign}; sleep 600"
    wanted = model("JobCreate", name="strict-lived", command="echo one; echo two")
    job = client.call("JobsApi", "create", job_create=wanted)
    ended = str(shared_api.start(job["id"])["id"])
    assert shared_api.finished(ended)["state"] == "succeeded"
    update = model("JobUpdate", command=command)
    client.call("JobsApi", "update", job_id=job["id"], job_update=update)
    client.call("JobsApi", "start", job_id=job["id"])
    living = shared_api.request("GET", f"/api/jobs/{job['id']}/runs").json()["runs"][0]["id"]
    limit = time.monotonic() + 60
    while not sign.exists():
        assert time.monotonic() < limit, shared_api.run(living)
    yield Ended(job, ended, str(living), sign)
    client.call("JobsApi", "delete", job_id=job["id"], allow_active=True)


def test_runs_are_pods_with_a_history_and_logs(client: Client, lived: Ended) -> None:
    job_id = lived.job["id"]
    history = client.call("JobsApi", "get_pod_history", job_id=job_id)["pods"]
    assert [pod["status"] for pod in history] == ["running", "completed"]
    (active,) = client.call("ActiveApi", "list_pods", workload_type="job", workload_id=job_id)[
        "pod_summaries"
    ]
    assert active["name"] == history[0]["pod_name"]
    ended = client.call("ActiveApi", "get_pod", name=history[1]["pod_name"])
    (container,) = ended["container_summaries"]
    assert (ended["status"], container["exit_code"]) == ("completed", 0)
    text = client.call("ActiveApi", "get_pod_logs", name=ended["name"], container_name="main")
    assert text["logs"].splitlines() == ["one", "two"]
    pod = {"job_id": job_id, "pod_name": ended["name"]}
    page = client.call("JobsApi", "get_logs", **pod, page_size=1)
    assert [line["content"] for line in page["logs"]] == ["one"]
    rest = client.call("JobsApi", "get_logs", **pod, page_size=1, next_key=page["next_key"])
    assert [line["content"] for line in rest["logs"]] == ["two"]
    missing = client.refused("ActiveApi", "get_pod", name="none-such")
    assert missing.error == "NotFoundException"


def test_what_lives_is_summed_up_and_one_run_is_stopped(
    client: Client, lived: Ended, shared_api: Api
) -> None:
    job_id = lived.job["id"]
    (summary,) = client.call("JobsApi", "list_runtime_summaries", job_id=job_id)["job_summaries"]
    assert (summary["status"], summary["running_count"], summary["uid"]) == (
        "running",
        1,
        lived.living,
    )
    resources = client.call("ActiveApi", "list_resources", resource_type="job")["resources"]
    assert job_id in [each["id"] for each in resources]
    stopped = client.call("JobsApi", "stop_run", job_id=job_id, run_name=summary["name"])
    assert stopped["id"] == job_id
    assert shared_api.finished(lived.living)["state"] == "cancelled"
    assert client.call("JobsApi", "list_runtime_summaries", job_id=job_id)["job_summaries"] == []
    wrong = client.refused("JobsApi", "stop_run", job_id=job_id, run_name="none-such")
    assert wrong.status == 404
    again = client.call("JobsApi", "restart", job_id=job_id)
    assert again["status"] in ("pending", "running", "completed")


def test_what_is_not_measured_or_offered_is_said_of_a_job_too(client: Client, lived: Ended) -> None:
    job_id = lived.job["id"]
    assert client.call("JobsApi", "get_cluster_history", job_id=job_id) == {"clusters": []}
    assert set(map(str, client.call("JobsApi", "get_metrics", job_id=job_id).values())) == {"[]"}
    for call in ("get_resource_template", "get_service_account_attachment"):
        assert client.refused("JobsApi", call, job_id=job_id).error == "NotFoundException"
    refused = client.refused("JobsApi", "delete_service_account_attachment", job_id=job_id)
    assert (refused.status, "use secrets" in refused.body) == (405, True)


def test_the_server_says_what_it_is_and_which_sizes_it_has(client: Client) -> None:
    status = client.call("ApiStatusApi", "get")
    info = client.call("InfoApi", "get")
    assert (info["version"], info["customer_name"]) == (status["version"], "main")
    sizes = client.call("InfoApi", "get_server_options")["sizes"]
    of_jobs = client.call("JobsApi", "get_server_options")
    assert of_jobs["server_options"]["size"] == list(sizes.values())
    assert of_jobs["default_sizes"]["CPU"] == next(iter(sizes.values()))


def test_a_job_is_a_recipe_that_makes_the_same_job(client: Client, shared_api: Api) -> None:
    spec = {
        "name": "strict-recipe-made",
        "owner": {"name": "main/admin"},
        "image": "community/image:2025.01",
        "instance_type": "large",
        "command": "true",
        "environment_variables": {"A": "b"},
        "extra_packages": {"pip": {"install": "numpy"}},
        "config_files": {".toolrc": {"content": "x", "mode": "0600"}},
        "git_repositories": [{"url": "https://example.org/acme/tools.git", "reference": "main"}],
        "schedule": "0 4 * * *",
        "concurrency_policy": "Forbid",
        "retries": 1,
    }
    recipe = model("Recipe", type="job", spec=spec)
    made = client.call("RecipesApi", "apply", recipe=recipe)
    job_id = made["state"]["id"]
    assert (made["spec"]["name"], made["state"]["action"]) == ("strict-recipe-made", "created")
    where = {"recipe_type": "job", "name": "strict-recipe-made"}
    read = client.call("RecipesApi", "get", **where)
    assert read["spec"] == made["spec"]
    assert client.call("JobsApi", "get_recipe", job_id=job_id) == read
    listed = client.call("RecipesApi", "list", type="job", name="strict-recipe-made")["recipes"]
    assert listed == [read]
    owner = client.call("JobsApi", "get", job_id=job_id)["owner"]
    by_owner = client.call("RecipesApi", "get", **where, owner_id=owner["id"])
    assert by_owner == read
    template = client.call("RecipesApi", "get", **where, as_template=True)
    assert template["spec"].get("owner") is None and template["state"] is None
    again = client.call("RecipesApi", "apply", recipe=recipe)
    assert again["state"]["action"] == "unchanged"
    assert client.refused("RecipesApi", "create", recipe=recipe).error == "ConflictException"
    other = client.refused("RecipesApi", "get", recipe_type="workspace", name="x")
    assert other.error == "NotFoundException"
    job = client.call("JobsApi", "get", job_id=job_id)
    assert job["config_files"] == spec["config_files"]
    client.call("JobsApi", "delete", job_id=job_id)


def test_secrets_are_kept_attached_and_never_given_back(client: Client, lived: Ended) -> None:
    job_id = lived.job["id"]
    owner = {"user_id": client.call("CurrentUserApi", "get")["id"]}
    new = model("SecretCreate", name="strict-secret", value=SECRET, owner=owner, access="org")
    made = client.call("SecretsApi", "create", secret_create=new)
    assert client.call("SecretsApi", "get", secret_id=made["id"]) == made
    for filters in (owner, {"owner_id": made["owner"]["id"]}, {"access": "org"}):
        asked = {**filters, "name": "strict-secret", "descending": True}
        assert client.call("SecretsApi", "list", **asked)["secrets"] == [made]
    assert client.call("SecretsApi", "list", owner_id=NOBODY)["secrets"] == []
    attachment = model(
        "SecretAttachmentCreate",
        attachment_type="environment_variable",
        location="STRICT",
        secret_id=made["id"],
    )
    attached = client.call(
        "JobsApi", "create_secret_attachment", job_id=job_id, secret_attachment_create=attachment
    )
    assert attached["secret"] == made
    inline = model(
        "SecretAttachmentCreate",
        attachment_type="file",
        location="~/.strict",
        secret=model("SecretCreate", name="strict-inline", value=SECRET, owner=owner)["values"],
    )
    second = client.call(
        "JobsApi", "create_secret_attachment", job_id=job_id, secret_attachment_create=inline
    )
    both = {"job_id": job_id}
    found = client.call("JobsApi", "list_secret_attachments", **both)["secret_attachments"]
    assert found == [attached, second]
    files = client.call("JobsApi", "list_secret_attachments", **both, attachment_type="file")
    assert files["secret_attachments"] == [second]
    one = {"job_id": job_id, "secret_attachment_id": attached["id"]}
    assert client.call("JobsApi", "get_secret_attachment", **one) == attached
    update = model("SecretAttachmentUpdate", description="why")
    changed = client.call(
        "JobsApi", "update_secret_attachment", **one, secret_attachment_update=update
    )
    assert changed == {**attached, "description": "why"}
    used = client.refused("SecretsApi", "delete", secret_id=made["id"])
    assert (used.error, SECRET in used.body) == ("ConflictException", False)
    for each in (attached, second):
        which = {"job_id": job_id, "secret_attachment_id": each["id"]}
        client.call("JobsApi", "delete_secret_attachment", **which)
        client.call("SecretsApi", "delete", secret_id=each["secret"]["id"])
    gone = client.refused("SecretsApi", "get", secret_id=made["id"])
    assert gone.error == "NotFoundException"
    assert SECRET not in str([made, attached, second, changed, found])


def test_the_tokens_of_runs_have_a_scope_that_can_be_changed(client: Client, lived: Ended) -> None:
    job_id = lived.job["id"]
    before = client.call("JobsApi", "get_token_info", job_id=job_id)
    assert before["scope"] is None
    update = model("ResourceTokenUpdate", scope="runs:read")
    changed = client.call("JobsApi", "update_token", job_id=job_id, resource_token_update=update)
    assert changed["scope"] == "runs:read"
    assert client.call("JobsApi", "rotate_token", job_id=job_id)["scope"] == "runs:read"
