"""Jobs, as the strict client reads them: its models refuse an answer with a field missing or of
another type."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Api
from tests.saturn_api.conftest import Client, model

NOBODY = "0" * 32


@pytest.fixture
def job(client: Client) -> Iterator[dict[str, Any]]:
    """A job that the client has made, of no more than what it must say."""
    name = f"strict-{time.monotonic_ns()}"
    wanted = model("JobCreate", name=name, command="true")
    made = client.call("JobsApi", "create", job_create=wanted)
    yield made
    client.call("JobsApi", "delete", job_id=made["id"], allow_active=True)


def test_a_job_of_every_field_is_read_as_it_was_written(client: Client, shared_api: Api) -> None:
    values: dict[str, Any] = {
        "name": "strict-full",
        "command": "echo full",
        "owner": {"name": "main/admin"},
        "description": "All of it.",
        "tags": {"saturn.io/kind": "full", "b": "c:d"},
        "instance_size": "large",
        "image_uri": "example.org/image:2026.01",
        "environment_variables": {"A": "b"},
        "extra_packages": {"pip": "numpy==2", "as_requirements_txt": True, "conda": "x"},
        "start_script": "true",
        "working_dir": "/home/jovyan/workspace/sub",
        "is_spot": True,
        "start_dind": True,
        "scale": 2,
        "retries": 1,
        "cron_schedule_options": {"schedule": "0 4 * * *", "concurrency_policy": "Forbid"},
    }
    made = client.call("JobsApi", "create", job_create=model("JobCreate", **values))
    read = client.call("JobsApi", "get", job_id=made["id"])
    assert read == made
    same = {*values} - {"owner", "image_uri", "extra_packages"}
    assert {name: read[name] for name in same} == {name: values[name] for name in same}
    assert read["owner"]["name"] == "main/admin"
    assert read["image_tag"]["image_uri"] == "example.org/image:2026.01"
    packages = {name: value for name, value in read["extra_packages"].items() if value}
    assert packages == {"pip": "numpy==2", "as_requirements_txt": True, "conda": "x"}
    assert (read["status"], read["scheduled"], read["last_deploy"]) == (
        "stopped",
        True,
        read["created_at"],
    )
    client.call("JobsApi", "delete", job_id=made["id"])
    gone = client.refused("JobsApi", "get", job_id=made["id"])
    assert (gone.error, gone.status) == ("NotFoundException", 404)
    assert gone.message == f"there is no job {made['id']} here"


def test_what_is_not_named_stays_as_it_is(client: Client, job: dict[str, Any]) -> None:
    update = model("JobUpdate", description="other", environment_variables={"X": "y"}, retries=2)
    changed = client.call("JobsApi", "update", job_id=job["id"], job_update=update)
    differing = {name for name in changed if changed[name] != job[name]}
    assert differing <= {"description", "environment_variables", "retries", "updated_at"}
    assert (changed["description"], changed["retries"]) == ("other", 2)
    options = model("JobUpdate", cron_schedule_options={"schedule": "0 5 * * *"})
    scheduled = client.call("JobsApi", "update", job_id=job["id"], job_update=options)
    assert scheduled["cron_schedule_options"] == {
        "schedule": "0 5 * * *",
        "concurrency_policy": "Allow",
    }
    assert client.call("JobsApi", "unschedule", job_id=job["id"])["scheduled"] is False
    assert client.call("JobsApi", "schedule", job_id=job["id"])["scheduled"] is True


def test_it_is_started_with_an_empty_body_and_stopped(
    client: Client, job: dict[str, Any], shared_api: Api
) -> None:
    update = model("JobUpdate", command="sleep 600")
    client.call("JobsApi", "update", job_id=job["id"], job_update=update)
    started = client.call("JobsApi", "start", job_id=job["id"])
    assert started["status"] in ("pending", "running")
    refused = client.refused("JobsApi", "delete", job_id=job["id"])
    assert (refused.error, refused.status) == ("ConflictException", 409)
    assert client.call("JobsApi", "stop", job_id=job["id"])["id"] == job["id"]
    (run,) = shared_api.request("GET", f"/api/jobs/{job['id']}/runs").json()["runs"]
    assert shared_api.finished(run["id"])["state"] == "cancelled"
    again = client.call(
        "JobsApi", "start", job_id=job["id"], job_start=model("JobStart", debug_mode=True)
    )
    assert again["last_deploy"] >= started["last_deploy"]


@pytest.fixture(scope="module")
def family(client: Client, shared_api: Api) -> Iterator[list[dict[str, Any]]]:
    """Five jobs of a group, with tags."""
    shared_api.person("strict-member", {"main/strict-family": "editor"})
    made = [
        client.call(
            "JobsApi",
            "create",
            job_create=model(
                "JobCreate",
                name=f"strict-kin-{number}",
                command="true",
                owner={"name": "main/strict-family"},
                tags={"saturn.io/parity:": "x", "parity": ["even", "odd: yes"][number % 2]},
            ),
        )
        for number in range(5)
    ]
    yield made
    for each in made:
        client.call("JobsApi", "delete", job_id=each["id"])


def names(client: Client, **filters: Any) -> list[str]:
    return [job["name"] for job in client.call("JobsApi", "list", **filters)["jobs"]]


def test_every_filter_of_a_list_narrows_it_down(
    client: Client, family: list[dict[str, Any]], shared_api: Api
) -> None:
    everybody = [job["name"] for job in family]
    owner = family[0]["owner"]
    org = owner["org_id"]
    mine = {"name": "strict-kin"}
    for filters in (
        mine,
        {"owner_name": "main/strict-family"},
        {"owner": "main/strict-family"},
        {"owner": "strict-family"},
        {"owner_id": owner["id"]},
        {"group_id": owner["group_id"]},
        {**mine, "org_id": org},
        {"owner_id": owner["id"], "group_id": owner["group_id"], "org_id": org},
    ):
        assert names(client, **filters) == everybody, filters
    me = client.call("CurrentUserApi", "get")["id"]
    for filters in (
        {"owner_name": "main/nobody"},
        {"owner_id": NOBODY},
        {"group_id": NOBODY},
        {"org_id": NOBODY},
        {**mine, "user_id": me},
        {"owner_id": owner["id"], "user_id": me},
        {**mine, "tags": "parity:neither"},
        {**mine, "tags": "no'such}{,:x"},
    ):
        assert names(client, **filters) == [], filters
    assert names(client, tags="parity:odd: yes") == [everybody[1], everybody[3]]
    refused = client.refused("JobsApi", "list", tags="without a colon")
    assert refused.status == 422


def test_a_list_is_read_page_by_page_in_either_direction(
    client: Client, family: list[dict[str, Any]]
) -> None:
    everybody = [job["name"] for job in family]
    for descending in (False, True):
        wanted = everybody[::-1] if descending else everybody
        asked = {"name": "strict-kin", "page_size": 2, "descending": descending}
        pages = [client.call("JobsApi", "list", **asked)]
        while key := pages[-1]["next_key"]:
            pages.append(client.call("JobsApi", "list", **asked, next_key=key))
        assert [job["name"] for page in pages for job in page["jobs"]] == wanted
        assert [len(page["jobs"]) for page in pages] == [2, 2, 1]
        back = client.call("JobsApi", "list", **asked, prev_key=pages[-1]["prev_key"])
        assert [job["name"] for job in back["jobs"]] == wanted[2:4]
        assert pages[0]["prev_key"] is None


def test_what_belongs_to_others_is_not_found_by_any_filter(
    client: Client, family: list[dict[str, Any]], shared_api: Api
) -> None:
    stranger = client.as_(shared_api.person("strict-stranger"))
    owner = family[0]["owner"]
    for filters in (
        {"owner_id": owner["id"]},
        {"group_id": owner["group_id"]},
        {"owner_name": owner["name"]},
        {"org_id": owner["org_id"]},
    ):
        assert names(stranger, **filters) == []
    for way in ("id", "group_id", "name"):
        reference = {way: owner[way]}
        wanted = model("JobCreate", name="strict-theft", command="true", owner=reference)
        assert stranger.refused("JobsApi", "create", job_create=wanted).status == 404


@pytest.mark.parametrize("way", ["id", "group_id", "name"])
def test_an_owner_is_referred_to_in_any_way(
    client: Client, family: list[dict[str, Any]], way: str
) -> None:
    owner = family[0]["owner"]
    wanted = model("JobCreate", name=f"strict-{way}", command="true", owner={way: owner[way]})
    made = client.call("JobsApi", "create", job_create=wanted)
    assert made["owner"]["name"] == "main/strict-family"
    client.call("JobsApi", "delete", job_id=made["id"])
