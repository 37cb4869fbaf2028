"""Writing jobs: recipes, job objects of the compatible contract, and what is wrong with them."""

from typing import Any

import pytest

from runhook.model.job import JobSpec
from tests.conftest import Api, MakeServer

BASE: dict[str, object] = {"command": "true"}


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        ({"name": "a b"}, "spec.name", "match"),
        ({"name": "x", "command": "   "}, "spec.definition", "command"),
        ({"name": "x", "notebook": "a.ipynb"}, "spec.definition", "either"),
        ({"name": "x", "comand": "true"}, "spec.comand", "did you mean command?"),
        ({"name": "x", "schedule": "* * *"}, "spec.definition", "five fields"),
        ({"name": "x", "schedule": "0 0 30 2 *"}, "spec.definition", "0 0 30 2 *"),
        ({"name": "x", "schedule": "@fortnightly"}, "spec.definition", "@fortnightly"),
        ({"name": "x", "schedules": [{"cron": "@daily", "zone": "Mars/Base"}]}, "spec.schedules.0.zone", "Mars"),
        ({"name": "x", "git_repositories": [{"url": "ext::sh -c id"}]}, "spec.git_repositories.0.url", "https"),
        ({"name": "x", "git_repositories": [{"url": "-uoption@h:x.git"}]}, "spec.git_repositories.0.url", "https"),
        ({"name": "x", "git_repositories": [{"url": "https://u:p@h.example/x.git"}]}, "spec.git_repositories.0.url", "credential"),
        ({"name": "x", "git_repositories": [{"url": "https://h.example/x.git", "path": "../out"}]}, "spec.git_repositories.0.path", "leaves the workspace"),
        ({"name": "x", "git_repositories": [{"url": "https://h.example/x.git", "path": "/etc"}]}, "spec.git_repositories.0.path", "relative"),
        ({"name": "x", "git_repositories": [{"url": "https://a.example/x.git"}, {"url": "https://b.example/x.git"}]}, "spec.git_repositories", "two"),
        ({"name": "x", "git_repositories": [{"url": "https://h.example/x.git", "reference": "--upload-pack=x"}]}, "spec.git_repositories.0", "branch or tag"),
        ({"name": "x", "working_directory": "../.."}, "spec.working_directory", "leaves"),
        ({"name": "x", "extra_packages": {"pip": "--index-url http://x"}}, "spec.extra_packages.pip", "--index-url"),
        ({"name": "x", "environment_variables": {"RUNHOOK_TOKEN": "x"}}, "spec.environment_variables", "server"),
        ({"name": "x", "python": "2.7"}, "spec.python", "match"),
        ({"name": "x", "retries": -1}, "spec.retries", "greater"),
        ({"name": "x", "image": 5}, "spec.image", "valid"),
        ({"name": "x", "image": True}, "spec.image", "valid"),
        ({"name": "x", "image": ["a"]}, "spec.image", "valid"),
        ({"name": "x", "limits": {"time": 0}}, "spec.limits.time", "longer"),
        ({"name": "x", "schedule": "@daily", "schedules": [{"cron": "@hourly"}]}, "spec.schedule", "differs"),
        ({"name": "x", "schedule": "@daily", "schedules": []}, "spec.schedule", "differs"),
        ({"name": "x", "retries": 3, "retry": {"count": 2}}, "spec.retries", "differs"),
        ({"name": "x", "concurrency_policy": "Forbid", "overlap": "allow"}, "spec.concurrency_policy", "skip"),
    ],
)  # fmt: skip
def test_each_wrong_field_is_named_with_what_is_wrong(
    shared_api: Api, spec: dict[str, object], field: str, words: str
) -> None:
    recipe = {"type": "job", "spec": {**BASE, **spec}}
    answer = shared_api.request("PUT", "/api/recipes", json=recipe)
    assert answer.status_code == 422, answer.text
    details = answer.json()["details"]
    matching = [name for name in details if name == field or name.startswith(field)]
    assert matching, details
    assert words in details[matching[0]], details


@pytest.mark.parametrize(
    "spec",
    [
        {"schedule": "@daily", "schedules": [{"cron": "@daily", "zone": "Europe/Berlin"}]},
        {"retries": 3, "retry": {"count": 3}},
        {"retries": 3, "retry": {"delay": "10s"}},
        {"concurrency_policy": "Forbid", "overlap": "skip"},
    ],
    ids=str,
)
def test_a_shorthand_beside_what_it_stands_for_is_fine_and_both_count(spec: dict[str, Any]) -> None:
    job = JobSpec.model_validate({"name": "x", **BASE, **spec})
    assert job.recipe_spec() == {"name": "x", **BASE, **spec}
    assert job.retrying.count == spec.get("retries", 0)
    assert [rule.cron for rule in job.rules] == ["@daily"] * ("schedule" in spec)
    assert job.on_overlap == spec.get("overlap", "allow")


def test_a_recipe_comes_back_in_the_form_it_was_given(shared_api: Api) -> None:
    spec = {
        "name": "form",
        "command": "true",
        "image": "community/saturncloud/saturn-python:2023.09.01",
        "instance_type": "large",
        "working_directory": "/home/jovyan/workspace",
        "extra_packages": {"pip": {"install": "six  iniconfig"}, "apt": {"install": "curl"}},
        "git_repositories": [
            {"url": "git@git.example.org:acme/materials.git", "reference": "main"}
        ],
        "schedule": "@hourly",
        "concurrency_policy": "Forbid",
        "scale": 2,
    }
    first = shared_api.request("PUT", "/api/recipes", json={"type": "job", "spec": spec}).json()
    assert first["spec"] == {**spec, "owner": "main/admin"}
    assert first["state"]["action"] == "created"
    warnings = " ".join(first["warnings"])
    assert "apt packages are not offered on this executor" in warnings
    assert "image is kept, but not used here" in warnings
    assert "scale" not in warnings
    got = shared_api.request("GET", "/api/recipes/job/form").json()
    again = shared_api.request("PUT", "/api/recipes", json=got).json()
    assert again["state"]["action"] == "unchanged"
    template = shared_api.request("GET", "/api/recipes/job/form?as_template=True").json()
    assert "owner" not in template["spec"] and "state" not in template


@pytest.mark.parametrize(
    ("image", "told"),
    [("a.example/b:1", "a.example/b:1"), ({"uri": "b:2"}, "b:2"), ({"tag_id": 5}, ""), (None, "")],
)
def test_an_image_in_any_form_is_told_as_one(shared_api: Api, image: object, told: str) -> None:
    job = shared_api.apply(name="pictured", command="true", image=image)
    answer = shared_api.request("GET", f"/api/jobs/{job}")
    assert answer.json()["image_tag"]["image_uri"] == told


def test_the_names_of_the_compatible_job_object_are_understood(shared_api: Api) -> None:
    body = {
        "name": "object",
        "command": "true",
        "instance_size": "large",
        "working_dir": "/home/jovyan/workspace",
        "is_spot": True,
        "extra_packages": {"pip": "six==1.17.0\niniconfig", "as_requirements_txt": True},
        "cron_schedule_options": {"schedule": "@daily", "concurrency_policy": "Replace"},
    }
    made = shared_api.request("POST", "/api/jobs", json=body)
    assert made.status_code == 201, made.text
    job = made.json()
    for name in ("instance_size", "working_dir", "is_spot", "cron_schedule_options"):
        assert job[name] == body[name]
    assert job["extra_packages"]["pip"] == body["extra_packages"]["pip"]  # type: ignore[index]
    assert job["status"] == "stopped"
    assert job["scheduled"] is True
    assert job["last_deploy"] == job["created_at"]
    spec = shared_api.request("GET", "/api/recipes/job/object").json()["spec"]
    assert (spec["instance_type"], spec["use_spot_instance"]) == ("large", True)


@pytest.mark.parametrize("as_file", [True, False])
def test_conda_packages_keep_that_mamba_is_to_install_them(shared_api: Api, as_file: bool) -> None:
    packages = {"conda": "numpy", "as_environment_yml": as_file, "use_mamba": True}
    body = {"name": f"mamba-{as_file}", "command": "true", "extra_packages": packages}
    made = shared_api.request("POST", "/api/jobs", json=body)
    assert made.status_code == 201, made.text
    told = made.json()["extra_packages"]
    assert {name: told[name] for name in packages} == packages


def test_every_change_makes_a_version_and_a_run_names_its_own(shared_api: Api) -> None:
    job = shared_api.apply(name="versions", command="echo one")
    first = shared_api.start(job)
    changed = shared_api.request("PATCH", f"/api/jobs/{job}", json={"command": "echo two"})
    assert (changed.json()["version"], changed.json()["command"]) == (2, "echo two")
    unchanged = shared_api.request("PATCH", f"/api/jobs/{job}", json={"command": "echo two"})
    assert unchanged.json()["version"] == 2
    second = shared_api.start(job)
    assert (first["job_version"], second["job_version"]) == (1, 2)
    listed = shared_api.request("GET", f"/api/jobs/{job}/versions").json()["versions"]
    assert [(each["number"], each["spec"]["command"]) for each in listed] == [
        (2, "echo two"),
        (1, "echo one"),
    ]
    shared_api.finished(second["id"])


def test_two_jobs_of_one_owner_cannot_share_a_name(shared_api: Api) -> None:
    shared_api.apply(name="taken", command="true")
    answer = shared_api.request("POST", "/api/jobs", json={"name": "taken", "command": "true"})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_a_deleted_job_is_gone_and_its_name_is_free(shared_api: Api) -> None:
    job = shared_api.apply(name="short-lived", command="true", schedule="@hourly")
    run = shared_api.finished(shared_api.start(job)["id"])
    assert shared_api.request("DELETE", f"/api/jobs/{job}").status_code == 204
    assert shared_api.request("GET", f"/api/jobs/{job}").status_code == 404
    assert shared_api.request("GET", f"/api/runs/{run['id']}").status_code == 404
    assert shared_api.apply(name="short-lived", command="true") != job


def test_a_job_that_runs_is_deleted_only_when_that_is_said(shared_api: Api) -> None:
    job = shared_api.apply(name="busy", command="sleep 600")
    shared_api.start(job)
    assert shared_api.request("DELETE", f"/api/jobs/{job}").status_code == 409
    assert shared_api.request("DELETE", f"/api/jobs/{job}?allow_active=true").status_code == 204


def test_lists_are_paged_forward_and_back(shared_api: Api) -> None:
    for index in range(5):
        shared_api.apply(name=f"paged-{index}", command="true")
    first = shared_api.request("GET", "/api/jobs?name=paged-&page_size=2").json()
    assert [job["name"] for job in first["jobs"]] == ["paged-0", "paged-1"]
    assert first["prev_key"] is None
    query = f"/api/jobs?name=paged-&page_size=2&next_key={first['next_key']}"
    second = shared_api.request("GET", query).json()
    assert [job["name"] for job in second["jobs"]] == ["paged-2", "paged-3"]
    query = f"/api/jobs?name=paged-&page_size=2&prev_key={second['prev_key']}"
    assert shared_api.request("GET", query).json()["jobs"] == first["jobs"]
    query = f"/api/jobs?name=paged-&page_size=2&next_key={second['next_key']}"
    assert shared_api.request("GET", query).json()["next_key"] is None
    assert shared_api.request("GET", "/api/jobs?next_key=nonsense").status_code == 422


def test_the_user_token_stays_until_it_is_rotated(api: Api) -> None:
    token = api.request("GET", "/api/user/token").json()["token"]
    assert token == api.token and len(token) == 32
    rotated = api.request("POST", "/api/user/token").json()["token"]
    assert rotated != token
    assert api.request("GET", "/api/user").status_code == 401
    api.token = rotated
    assert api.request("GET", "/api/user/token").json()["token"] == rotated
    assert api.server.token() == rotated


def test_a_file_url_is_refused_unless_an_administrator_permits_it(make_server: MakeServer) -> None:
    server = make_server("strict", RUNHOOK_GIT_ALLOW_FILE_URLS="0").start()
    strict = Api(server, server.token())
    spec = {"name": "x", "command": "true", "git_repositories": [{"url": "file:///etc/x.git"}]}
    answer = strict.request("PUT", "/api/recipes", json={"type": "job", "spec": spec})
    assert answer.status_code == 422
    assert "RUNHOOK_GIT_ALLOW_FILE_URLS" in str(answer.json()["details"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/jobs?name=%00", None),
        ("GET", "/api/jobs/%00", None),
        ("GET", "/api/runs?next_key=%FF", None),
        ("GET", "/api/runs?next_key=WzEsIngiXQ==&page_size=-1", None),
        ("GET", "/api/jobs?page_size=9999999999999999999999", None),
        ("POST", "/api/jobs", '{"name": "x", "command": "a\\u0000b"}'),
        ("POST", "/api/jobs", '{"name": "x", "command": "true", "tags": {"a": "\\ud800"}}'),
        ("POST", "/api/jobs", '{"name": "x", "command": "true", "python": 3.12}'),
        ("POST", "/api/jobs", b"\xff\xfe{"),
        ("PUT", "/api/recipes", '{"type": "job", "spec": []}'),
        ("POST", "/api/user/sign-in-link", '{"next": "https://evil.example"}'),
        ("POST", "/api/git/credentials", '{"name": "x", "kind": "token", "url_prefix": "x"}'),
        ("POST", "/api/git/hosts", '{"line": "x"}'),
    ],
)
def test_bad_input_is_a_sentence_never_a_failure(
    shared_api: Api, method: str, path: str, body: str | bytes | None
) -> None:
    answer = shared_api.request(method, path, data=body)
    assert answer.status_code in (400, 404, 422), answer.text
    assert answer.json()["message"]
    assert answer.json()["code"] != "internal"
