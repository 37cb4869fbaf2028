"""Accounts, groups, the organisation and what it used, as the strict client reads them."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import Api
from tests.saturn_api.conftest import Client, model

NOBODY = "0" * 32


@pytest.fixture(scope="module")
def org(client: Client) -> dict[str, Any]:
    """The organisation of the server."""
    (only,) = client.call("OrgsApi", "list", all_orgs=True)["orgs"]
    return dict(only)


@pytest.fixture(scope="module")
def member(shared_api: Api) -> Api:
    return shared_api.person("strict-person", {"main/strict-people": "editor"})


def test_an_account_is_made_changed_and_removed(client: Client) -> None:
    name = f"strict-{time.monotonic_ns()}"
    new = model("UserAdminCreate", username=name, email=f"{name}@example.org", full_name="S. N.")
    made = client.call("UsersApi", "create", user_admin_create=new)
    assert (made["username"], made["full_name"], made["admin"]) == (name, "S. N.", False)
    listed = client.call("UsersApi", "list", username=name, details=True)["users"]
    assert listed == [made] == [client.call("UsersApi", "get", user_id=made["id"], details=True)]
    update = model("UserUpdate", username=name, full_name="Other", locked=True)
    changed = client.call("UsersApi", "update", user_id=made["id"], user_update=update)
    assert (changed["full_name"], changed["locked"]) == ("Other", True)
    renamed = model("UserUpdate", username="strict-other")
    refused = client.refused("UsersApi", "update", user_id=made["id"], user_update=renamed)
    assert (refused.error, refused.status) == ("UnprocessableEntityException", 422)
    client.call("UsersApi", "delete", user_id=made["id"])
    assert client.refused("UsersApi", "get", user_id=made["id"]).status == 404


def test_ones_own_account_is_read_and_changed(client: Client, member: Api) -> None:
    mine = client.as_(member)
    me = mine.call("CurrentUserApi", "get")
    assert (me["username"], me["admin"], me["active"]) == ("strict-person", False, True)
    changed = mine.call("CurrentUserApi", "update", user_update=model("UserUpdate", full_name="P."))
    assert changed == {**me, "full_name": "P."}
    assert mine.refused("UsersApi", "list").error == "ForbiddenException"
    refused = mine.refused("CurrentUserApi", "delete")
    assert (refused.status, "administrator" in refused.body) == (405, True)


def test_the_owners_that_one_may_use_are_read_with_organisation_and_account(
    client: Client, member: Api, org: dict[str, Any]
) -> None:
    mine = client.as_(member)
    owners = mine.call("CurrentUserApi", "list_owners")["owners"]
    assert [each["name"] for each in owners] == ["main/strict-person", "main/strict-people"]
    me = mine.call("CurrentUserApi", "get")
    assert all(each["org"] == org and each["user"] == me for each in owners)
    assert owners == client.call("CurrentUserApi", "list_owners_0", user_id=me["id"])["owners"]
    assert mine.refused("CurrentUserApi", "list_owners_0", user_id=me["id"]).status == 403
    preferences = mine.call("CurrentUserApi", "get_preferences")
    assert preferences["default_org_id"] == org["id"]
    assert preferences["default_owner"]["name"] == "main/strict-person"
    ours, other = (
        {"user_preferences_update": model("UserPreferencesUpdate", default_org_id=each)}
        for each in (org["id"], NOBODY)
    )
    assert mine.call("CurrentUserApi", "update_preferences", **ours) == preferences
    assert mine.refused("CurrentUserApi", "update_preferences", **other).status == 422


def test_the_one_organisation_is_read_with_its_owners_and_members(
    client: Client, member: Api, org: dict[str, Any]
) -> None:
    assert (org["name"], org["is_primary"]) == ("main", True)
    assert client.call("OrgsApi", "get", org_id=org["id"]) == org
    assert client.call("OrgsApi", "list", name="no such")["orgs"] == []
    refused = client.refused("OrgsApi", "get", org_id=NOBODY)
    assert (refused.error, refused.message) == (
        "NotFoundException",
        f"there is no organisation {NOBODY} here",
    )
    mine = client.as_(member)
    seen = mine.call("OrgsApi", "list_owners", org_id=org["id"], all_users=True, details=True)
    assert [each["name"] for each in seen["owners"]] == ["main/strict-people", "main/strict-person"]
    asked = {"org_id": org["id"], "page_size": 2}
    pages = [client.call("OrgsApi", "list_owners", **asked)]
    while key := pages[-1]["next_key"]:
        pages.append(client.call("OrgsApi", "list_owners", **asked, next_key=key))
    everybody = [each["name"] for page in pages for each in page["owners"]]
    assert everybody == sorted({*everybody})
    assert {"main/admin", "main/strict-people", "main/strict-person"} <= {*everybody}
    groups = client.call("OrgsApi", "list_owners", org_id=org["id"], identity_type="group")
    assert {each["identity_type"] for each in groups["owners"]} == {"group"}
    me = mine.call("CurrentUserApi", "get")
    as_member = mine.call("OrgsApi", "get_member", org_id=org["id"], user_id=me["id"])
    assert as_member["user"] == me
    admin = client.call("CurrentUserApi", "get")["id"]
    assert mine.refused("OrgsApi", "get_member", org_id=org["id"], user_id=admin).status == 404
    limits = client.call("OrgsApi", "get_usage_limits", org_id=org["id"])
    assert {limits[name] for name in ("num_instances", "hours_per_day", "instance_sizes")} == {None}
    new = model("OrgCreate", name="other", email="o@example.org")
    refused = client.refused("OrgsApi", "create", org_create=new)
    assert (refused.status, "one organisation" in refused.body) == (405, True)


def test_a_group_is_made_filled_emptied_and_removed(client: Client, member: Api) -> None:
    name = f"strict-{time.monotonic_ns()}"
    made = client.call("GroupsApi", "create", group_create=model("GroupCreate", groupname=name))
    update = model("GroupUpdate", groupname=name, description="About it.")
    changed = client.call("GroupsApi", "update", group_id=made["id"], group_update=update)
    assert changed == {**made, "description": "About it."}
    assert changed == client.call("GroupsApi", "get", group_id=made["id"])
    assert [each["id"] for each in client.call("GroupsApi", "list", name=name)["groups"]] == [
        made["id"]
    ]
    mine = client.as_(member)
    me = mine.call("CurrentUserApi", "get")["id"]
    assert mine.refused("GroupsApi", "get", group_id=made["id"]).status == 404
    new = model("GroupMemberCreate", user_id=me)
    for _ in range(2):
        added = client.call(
            "GroupsApi", "create_member", group_id=made["id"], group_member_create=new
        )
        assert (added["user_id"], added["group_id"]) == (me, made["id"])
    members = mine.call("GroupsApi", "list_members", group_id=made["id"])["users"]
    assert [each["username"] for each in members] == ["admin", "strict-person"]
    client.call("GroupsApi", "delete_member", group_id=made["id"], user_id=me)
    assert mine.refused("GroupsApi", "list_members", group_id=made["id"]).status == 404
    client.call("GroupsApi", "delete", group_id=made["id"])


def test_hours_are_those_that_runs_took(
    client: Client, member: Api, org: dict[str, Any], shared_api: Api
) -> None:
    job = shared_api.apply(name="strict-hours", owner="main/strict-people", command="sleep 0.3")
    run = shared_api.finished(shared_api.start(job)["id"])
    times = [datetime.fromisoformat(str(run[name])) for name in ("started_at", "finished_at")]
    took = (times[1] - times[0]).total_seconds() / 3600
    mine = client.as_(member)
    group = shared_api.request("GET", "/api/groups/strict-people").json()["id"]
    (day,) = mine.call("GroupsApi", "get_daily_usage", group_id=group)["usage"]
    assert day["hours"] == pytest.approx(took, abs=2e-6) and took > 0
    assert (day["date"], day["dollars"]) == (times[0].date().isoformat(), 0)
    assert mine.call("OrgsApi", "get_daily_usage", org_id=org["id"])["usage"] == [day]
    all_in_all = mine.call("OrgsApi", "get_aggregated_usage", org_id=org["id"])
    assert all_in_all == {"hours": day["hours"], "dollars": 0}
    (owner,) = mine.call("OrgsApi", "get_owner_usage", org_id=org["id"])["usage"]
    assert (owner["hours"], owner["owner"]["group_id"]) == (day["hours"], group)
    assert mine.call("CurrentUserApi", "get_aggregated_usage")["num_instances"] is None
    me = mine.call("CurrentUserApi", "get")["id"]
    where = {"org_id": org["id"], "user_id": me}
    assert mine.call("OrgsApi", "get_daily_user_usage", **where)["usage"] == []
    before = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    answer = member.request("GET", f"/api/orgs/{org['id']}/usage/daily", params={"end": before})
    assert answer.json() == {"usage": []}
    wrong = member.request("GET", f"/api/orgs/{org['id']}/usage/daily", params={"end": "noon"})
    assert (wrong.status_code, set(wrong.json()["details"])) == (422, {"end"})
    stranger = client.as_(shared_api.person("strict-idle"))
    assert stranger.refused("GroupsApi", "get_daily_usage", group_id=group).status == 404
    assert stranger.call("OrgsApi", "get_daily_usage", org_id=org["id"])["usage"] == []


def test_tokens_are_made_listed_changed_used_and_refreshed(client: Client, member: Api) -> None:
    mine = client.as_(member)
    new = model("ApiTokenCreate", description="strict", expires_in=60, refresh_expires_in=600)
    made = mine.call("ApiTokensApi", "create", api_token_create=new)
    (listed,) = mine.call("ApiTokensApi", "list")["tokens"]
    assert (listed["id"], listed["description"]) == (made["id"], "strict")
    assert mine.call("ApiTokensApi", "get", api_token_id=made["id"]) == listed
    update = model("ApiTokenUpdate", description="other")
    changed = mine.call("ApiTokensApi", "update", api_token_id=made["id"], api_token_update=update)
    assert changed == {**listed, "description": "other"}
    with_it = client.as_(Api(member.server, made["access_token"]))
    assert with_it.call("CurrentUserApi", "get")["username"] == "strict-person"
    grant = {"grant_type": "refresh_token", "refresh_token": made["refresh_token"]}
    body = model("AuthorizationGrant", **grant)
    pair = client.call("AuthorizationApi", "create_oauth_token", authorization_grant=body)
    assert pair["token_type"] == "bearer"
    assert with_it.refused("CurrentUserApi", "get").error == "UnauthorizedException"
    mine.call("ApiTokensApi", "delete", api_token_id=made["id"])
    assert mine.call("ApiTokensApi", "list")["tokens"] == []


@pytest.mark.parametrize(
    ("api", "field", "item"),
    [
        ("LimitsApi", "usage_limits", "limits_id"),
        ("ServiceAccountsApi", "service_accounts", "service_account_id"),
        ("SharedFoldersApi", "shared_folders", "shared_folder_id"),
        ("SharedFolderAttachmentsApi", "shared_folder_attachments", "shared_folder_attachment_id"),
        ("ClustersApi", "clusters", "cluster_id"),
        ("SshPublicKeysApi", "ssh_public_keys", "ssh_publickey_id"),
        ("ImagesApi", "images", "image_id"),
        ("WorkspacesApi", "workspaces", "workspace_id"),
        ("DeploymentsApi", "deployments", "deployment_id"),
    ],
)
def test_what_is_not_offered_is_an_empty_list_and_says_what_to_do_instead(
    client: Client, api: str, field: str, item: str
) -> None:
    assert client.call(api, "list")[field] == []
    missing = client.refused(api, "get", **{item: NOBODY})
    assert (missing.error, missing.status) == ("NotFoundException", 404)
    refused = client.refused(api, "delete", **{item: NOBODY})
    assert (refused.status, "not offered here: " in refused.body) == (405, True)
