"""Secrets over HTTP: the shapes of the compatible contract, and that no answer holds a value."""

from tests.conftest import Api

SECRETS = "/api/secrets"
VALUE = "a-value-nobody-sees-again"


def made(api: Api, name: str, **more: object) -> dict[str, object]:
    answer = api.request("POST", SECRETS, json={"name": name, "value": VALUE, **more})
    assert answer.status_code == 201, answer.text
    assert VALUE not in answer.text
    return dict(answer.json())


def test_a_secret_is_added_read_changed_and_deleted_without_its_value(shared_api: Api) -> None:
    secret = made(shared_api, "api-one")
    assert set(secret) == {
        *("id", "name", "owner", "created_at", "updated_at", "access", "editable", "warnings")
    }
    assert (secret["access"], secret["editable"], secret["warnings"]) == ("owner", True, [])
    assert secret["owner"]["name"] == "main/admin"  # type: ignore[index]
    path = f"{SECRETS}/{secret.pop('id')}"
    changed = shared_api.request("PATCH", path, json={"access": "org", "value": "xy"})
    assert (changed.status_code, changed.json()["access"]) == (200, "org")
    assert "is not masked" in changed.json()["warnings"][0]
    read = shared_api.request("GET", path).json()
    assert read == {name: each for name, each in changed.json().items() if name != "warnings"}
    again = shared_api.request("POST", SECRETS, json={"name": "api-one", "value": VALUE})
    assert (again.status_code, again.json()["details"]) == (409, {"name": "is taken"})
    assert VALUE not in again.text
    assert [shared_api.request("DELETE", path).status_code for _ in range(2)] == [204, 404]


def test_lists_are_paged_and_narrowed_down(shared_api: Api) -> None:
    names = [f"list-{n}" for n in range(5)]
    for name in names:
        made(shared_api, name, access="org" if name.endswith("3") else "owner")
    seen, query = [], {"name": "LIST-", "page_size": "2"}
    while True:
        page = shared_api.request("GET", SECRETS, params=query).json()
        assert set(page) == {"secrets", "prev_key", "next_key"}
        seen += [each["name"] for each in page["secrets"]]
        if not page["next_key"]:
            break
        last = page
        query["next_key"] = page["next_key"]
    assert seen == names
    assert page["prev_key"]
    query = {"name": "list-", "page_size": "2", "prev_key": page["prev_key"]}
    back = shared_api.request("GET", SECRETS, params=query).json()
    assert back["secrets"] == last["secrets"]
    narrow = {"name": "list-", "access": "org", "owner_name": "main/admin"}
    found = shared_api.request("GET", SECRETS, params=narrow).json()["secrets"]
    assert [each["name"] for each in found] == ["list-3"]
    assert shared_api.request("GET", SECRETS, params={"owner_name": "x"}).json()["secrets"] == []
    assert shared_api.request("GET", SECRETS, params={"access": "all"}).status_code == 422


def test_a_wrong_body_names_its_fields_and_repeats_no_value(shared_api: Api) -> None:
    cases: list[tuple[object, str]] = [
        ({"name": "x"}, "value"),
        ({"name": "x", "value": ""}, "value"),
        ({"name": "x y", "value": VALUE}, "name"),
        ({"name": "x", "value": [VALUE]}, "value"),
        ({"name": "x", "value": VALUE, "access": VALUE}, "access"),
        ({"name": "x", "value": VALUE, VALUE[:3]: 1}, VALUE[:3]),
        ({"name": "x", "value": VALUE * 3000}, "value"),
    ]
    for body, name in cases:
        answer = shared_api.request("POST", SECRETS, json=body)
        assert (answer.status_code, set(answer.json()["details"])) == (422, {name}), answer.text
        assert VALUE not in answer.text


def test_the_secrets_of_a_job_are_one_with_its_recipe(shared_api: Api) -> None:
    secret = made(shared_api, "attach-one")
    job = shared_api.apply(name="attached", command="true")
    path = f"/api/jobs/{job}/secrets"
    first = shared_api.request(
        "POST", path, json={"location": "ONE", "secret_id": secret["id"], "description": "d"}
    )
    assert first.status_code == 201, first.text
    one = first.json()
    assert set(one) == {
        *("id", "created_at", "attachment_type", "location", "description", "secret")
    }
    assert (one["attachment_type"], one["secret"]["id"]) == ("environment_variable", secret["id"])
    inline = {"name": "attach-two", "value": VALUE}
    body = {"location": "~/.two", "attachment_type": "file", "secret": inline}
    two = shared_api.request("POST", path, json=body).json()
    recipe = shared_api.request("GET", "/api/recipes/job/attached").json()
    assert [each["name"] for each in recipe["spec"]["secrets"]] == ["attach-one", "attach-two"]
    listed = shared_api.request("GET", path).json()
    assert listed == {"secret_attachments": [one, two], "prev_key": None, "next_key": None}
    assert shared_api.request("GET", f"{path}/{two['id']}").json() == two
    moved = shared_api.request("PATCH", f"{path}/{two['id']}", json={"location": "~/.three"})
    assert moved.status_code == 200, moved.text
    assert (moved.json()["location"], moved.json()["secret"]) == ("~/.three", two["secret"])
    assert shared_api.request("GET", f"{path}/{two['id']}").status_code == 404
    taken = shared_api.request("POST", path, json={"location": "ONE", "secret_id": secret["id"]})
    assert (taken.status_code, set(taken.json()["details"])) == (422, {"secrets"})
    codes = [shared_api.request("DELETE", f"{path}/{one['id']}").status_code for _ in range(2)]
    assert codes == [204, 404]
    refused = shared_api.request("DELETE", f"{SECRETS}/{two['secret']['id']}")
    assert refused.status_code == 409
    assert "main/admin/attached" in refused.json()["message"]
    gone = shared_api.request("DELETE", f"{SECRETS}/{two['secret']['id']}?force=1")
    assert gone.status_code == 204
    (left,) = shared_api.request("GET", path).json()["secret_attachments"]
    assert left["secret"] is None


def test_attaching_needs_one_secret_that_is_there(shared_api: Api) -> None:
    path = f"/api/jobs/{shared_api.apply(name='attach-wrong', command='true')}/secrets"
    for body, status in (
        ({"location": "X"}, 422),
        ({"location": "X", "secret_id": "0" * 32}, 404),
        ({"location": "X", "secret_id": "0" * 32, "secret": {"name": "a", "value": "b"}}, 422),
        ({"location": "X", "secret": {"name": "attach-three"}}, 422),
        (
            {
                "location": "/etc/x",
                "attachment_type": "file",
                "secret": {"name": "q", "value": "b"},
            },
            422,
        ),
    ):
        assert shared_api.request("POST", path, json=body).status_code == status, body
    assert shared_api.request("GET", SECRETS, params={"name": "q"}).json()["secrets"] == []
