"""People, groups and roles over the API: a server's owner, a teammate and a stranger."""

import pytest
import requests

from tests.conftest import Api, set_password


@pytest.fixture(scope="session")
def teammate(shared_api: Api) -> Api:
    return shared_api.person("teammate", {"main/people-team": "admin"})


@pytest.fixture(scope="session")
def stranger(shared_api: Api) -> Api:
    return shared_api.person("stranger")


def test_an_account_is_created_changed_listed_and_removed(shared_api: Api) -> None:
    new = {"username": "ada", "email": "ada@example.org", "full_name": "Ada Lovelace"}
    made = shared_api.request("POST", "/api/users", json=new)
    assert made.status_code == 201
    body = made.json()
    assert {name: body[name] for name in new} == new
    assert (body["admin"], body["locked"], body["active"]) == (False, False, True)
    assert "/dash/sign-in?link=" in body["link"]
    assert made.headers["Cache-Control"] == "no-store"
    for who in (body["id"], "ada"):
        found = shared_api.request("GET", f"/api/users/{who}").json()
        assert (found["username"], "link" in found) == ("ada", False)
    listed = shared_api.request("GET", "/api/users?username=AD").json()["users"]
    assert [user["username"] for user in listed] == ["ada", "admin"]
    changed = shared_api.request("PATCH", "/api/users/ada", json={"full_name": "A. L."}).json()
    assert (changed["full_name"], changed["email"]) == ("A. L.", "ada@example.org")
    assert shared_api.request("DELETE", "/api/users/ada").status_code == 204
    assert shared_api.request("GET", "/api/users/ada").status_code == 404


@pytest.mark.parametrize("name", ["", "Ada", "a_b", "-a", "a-", "a--b", "a/b", "ä", "a" * 40])
def test_a_name_that_would_confuse_is_refused(shared_api: Api, name: str) -> None:
    for path, field in (("/api/users", "username"), ("/api/groups", "groupname")):
        answer = shared_api.request("POST", path, json={field: name})
        assert answer.status_code == 422
        assert set(answer.json()["details"]) == {field}


def test_a_name_is_one_person_or_group(shared_api: Api, teammate: Api) -> None:
    for path, field, name in (
        ("/api/users", "username", "teammate"),
        ("/api/users", "username", "people-team"),
        ("/api/groups", "groupname", "people-team"),
        ("/api/groups", "groupname", "teammate"),
    ):
        answer = shared_api.request("POST", path, json={field: name})
        assert (answer.status_code, answer.json()["details"]) == (409, {field: "is taken"})


def test_only_administrators_see_and_change_accounts_and_make_groups(stranger: Api) -> None:
    for method, path in (
        ("GET", "/api/users"),
        ("POST", "/api/users"),
        ("GET", "/api/users/teammate"),
        ("PATCH", "/api/users/stranger"),
        ("DELETE", "/api/users/teammate"),
        ("POST", "/api/users/teammate/reset-link"),
        ("POST", "/api/groups"),
    ):
        body = {"username": "x", "groupname": "x"} if method == "POST" else {}
        body = {k: v for k, v in body.items() if k.startswith(path[5:-1])}
        answer = stranger.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (method, path)


def test_a_group_is_there_for_its_members_only(
    shared_api: Api, teammate: Api, stranger: Api
) -> None:
    group = teammate.request("GET", "/api/groups/people-team").json()
    assert (group["groupname"], group["owner"]) == ("people-team", "main/people-team")
    assert [g["groupname"] for g in teammate.request("GET", "/api/groups").json()["groups"]] == [
        "people-team"
    ]
    assert stranger.request("GET", "/api/groups").json()["groups"] == []
    for path in (f"/api/groups/{group['id']}", "/api/groups/people-team/members"):
        assert teammate.request("GET", path).status_code == 200
        assert stranger.request("GET", path).status_code == 404
    owners = teammate.request("GET", "/api/user/owners").json()["owners"]
    assert [(each["name"], each["identity_type"], each["role"]) for each in owners] == [
        ("main/teammate", "user", "admin"),
        ("main/people-team", "group", "admin"),
    ]
    assert owners[1]["group_id"] == group["id"]


def test_an_admin_of_a_group_gives_and_takes_roles(teammate: Api, shared_api: Api) -> None:
    guest = shared_api.person("guest")
    there = "/api/groups/people-team/members"
    for role in ("viewer", "editor"):
        given = teammate.request("PUT", f"{there}/guest", json={"role": role})
        assert (given.status_code, given.json()["role"]) == (200, role)
        assert guest.request("GET", there).status_code == 200
        refused = guest.request("PUT", f"{there}/stranger", json={"role": "viewer"})
        assert refused.status_code == 403
    wrong = teammate.request("PUT", f"{there}/guest", json={"role": "king"})
    assert (wrong.status_code, set(wrong.json()["details"])) == (422, {"role"})
    assert teammate.request("DELETE", f"{there}/guest").status_code == 204
    assert teammate.request("DELETE", f"{there}/guest").status_code == 404
    assert guest.request("GET", there).status_code == 404


def test_a_group_keeps_an_admin(shared_api: Api) -> None:
    api = shared_api
    api.request("POST", "/api/groups", json={"groupname": "keepers"})
    there = "/api/groups/keepers/members"
    for method, body in (("PUT", {"role": "editor"}), ("DELETE", {})):
        answer = api.request(method, f"{there}/admin", json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    changed = api.request("PATCH", "/api/groups/keepers", json={"description": "of the keys"})
    assert changed.json()["description"] == "of the keys"
    assert api.request("DELETE", "/api/groups/keepers").status_code == 204


def test_what_owns_something_is_not_removed(shared_api: Api) -> None:
    shared_api.person("holder", {"main/holders": "editor"})
    job = shared_api.apply(name="held", command="true", owner="main/holders")
    refused = shared_api.request("DELETE", "/api/groups/holders")
    assert (refused.status_code, "1 job" in refused.json()["message"]) == (409, True)
    shared_api.request("DELETE", f"/api/jobs/{job}")
    assert shared_api.request("DELETE", "/api/groups/holders").status_code == 204
    assert shared_api.request("DELETE", "/api/users/holder").status_code == 204


def test_the_last_administrator_stays_one(shared_api: Api) -> None:
    for method, body in (
        ("PATCH", {"admin": False}),
        ("PATCH", {"locked": True}),
        ("PATCH", {"active": False}),
        ("DELETE", {}),
    ):
        answer = shared_api.request(method, "/api/users/admin", json=body)
        assert answer.status_code == 409, body
    assert shared_api.request("GET", "/api/users/admin").json()["admin"] is True


def test_nothing_is_made_for_an_owner_that_is_not_there(shared_api: Api, stranger: Api) -> None:
    spec = {"name": "lost", "command": "true", "owner": "main/nowhere"}
    for api in (shared_api, stranger):
        for method, path, body in (
            ("POST", "/api/jobs", spec),
            ("PUT", "/api/recipes", {"type": "job", "spec": spec}),
        ):
            answer = api.request(method, path, json=body)
            assert answer.status_code == 404, answer.text
            assert "owner main/nowhere" in answer.json()["message"]


def test_a_recipe_does_not_tell_which_jobs_others_have(shared_api: Api, stranger: Api) -> None:
    shared_api.apply(name="unseen", command="true")
    for name in ("unseen", "not-there"):
        spec = {"name": name, "command": "true", "owner": "main/admin"}
        answer = stranger.request("PUT", "/api/recipes", json={"type": "job", "spec": spec})
        assert answer.status_code == 404
        assert answer.json()["message"] == "there is no owner main/admin here"


def test_a_job_of_an_owner_that_is_not_known_is_not_ones_own(stranger: Api) -> None:
    stranger.apply(name="namesake", command="true")
    path = "/api/recipes/job/namesake"
    assert stranger.request("GET", path).status_code == 200
    for selector in ("user_id", "group_id", "owner_id", "org_id"):
        answer = stranger.request("GET", f"{path}?{selector}={'0' * 32}")
        assert answer.status_code == 404, selector
        assert answer.json()["message"] == "there is no job namesake of that owner here"


def test_an_editor_of_a_group_makes_jobs_for_it_and_its_owner_is_told_as_a_group(
    shared_api: Api,
) -> None:
    editor = shared_api.person("editor", {"main/makers": "editor"})
    job = editor.apply(name="made", command="true", owner="main/makers")
    owner = editor.request("GET", f"/api/jobs/{job}").json()["owner"]
    group = editor.request("GET", "/api/groups/makers").json()
    assert (owner["identity_type"], owner["group_id"]) == ("group", group["id"])


def test_people_share_their_own_things(shared_api: Api, stranger: Api) -> None:
    sharer = shared_api.person("sharer")
    job = sharer.apply(name="shared", command="true")
    assert stranger.request("GET", f"/api/jobs/{job}").status_code == 404
    sharer.request("PUT", "/api/user/members/stranger", json={"role": "viewer"})
    assert stranger.request("GET", f"/api/jobs/{job}").status_code == 200
    assert stranger.request("POST", f"/api/jobs/{job}/start").status_code == 403
    (member,) = sharer.request("GET", "/api/user/members").json()["members"]
    assert (member["username"], member["role"]) == ("stranger", "viewer")
    sharer.request("DELETE", "/api/user/members/stranger")
    assert stranger.request("GET", f"/api/jobs/{job}").status_code == 404
    mine = sharer.request("PUT", "/api/user/members/sharer", json={"role": "viewer"})
    assert mine.status_code == 409


def test_a_link_that_sets_a_password_works_once_and_the_newest_only(shared_api: Api) -> None:
    made = shared_api.request("POST", "/api/users", json={"username": "linked"}).json()["link"]
    path = "/api/users/linked/reset-link"
    first, second = (shared_api.request("POST", path).json()["url"] for _ in range(2))
    for _ in range(2):
        assert "Set a password" in requests.get(second, timeout=20).text
    for stale in (made, first):
        assert "used already or is too old" in requests.get(stale, timeout=20).text
    token = set_password(shared_api.server.url, second)
    assert Api(shared_api.server, token).request("GET", "/api/user").json()["username"] == "linked"
    assert requests.get(second, timeout=20).status_code == 401


def test_your_own_account_is_yours_to_describe(stranger: Api) -> None:
    body = {"full_name": "A Stranger", "email": "s@example.org"}
    changed = stranger.request("PATCH", "/api/user", json=body).json()
    assert {name: changed[name] for name in body} == body
    for wrong in ({"admin": True}, {"email": "no address"}, {"username": "x"}):
        answer = stranger.request("PATCH", "/api/user", json=wrong)
        assert (answer.status_code, set(answer.json()["details"])) == (422, set(wrong))
