"""What `SaturnConnection` asks for beyond jobs: the organisation, accounts, usage, and what is not
offered."""

import json

from tests.compat.conftest import Library
from tests.conftest import Api

PROGRAM = """
import datetime as dt, json
from saturn_client import SaturnConnection

def refusal(call, *given, **named):
    try:
        call(*given, **named)
    except Exception as error:
        return error.status_code, error.args[0]["message"], error.args[0]["hint"]

tell = {}
with SaturnConnection() as client:
    org = client.primary_org
    tell["orgs"] = [each["name"] for each in client.list_organizations(all_orgs=True)]
    tell["org"] = client.get_organization(org["id"]) == org
    made = client.create_user("by-saturn", "by-saturn@example.org")
    tell["made"] = made["username"], made["email"]
    tell["read"] = client.get_user(made["id"])["username"]
    changed = client.update_user(made["id"], full_name="S.", username="by-saturn")
    tell["changed"] = changed["full_name"]
    everybody = client.get_all_users(details=True)
    tell["listed"] = "by-saturn" in [user["username"] for user in everybody]
    owners = client.get_owners(org["id"], all_users=True, details=True, users_only=True)
    tell["owners"] = "main/by-saturn" in [each["name"] for each in owners]
    tell["member"] = client.add_orgmember(org["id"], made["id"])["name"]
    preferred = client.set_preferred_org(client.current_user["id"], org["id"])
    tell["preferred"] = preferred["default_org_id"] == org["id"]
    now = dt.datetime.now()
    days = client.get_org_usage(org["id"], now - dt.timedelta(days=2), now + dt.timedelta(days=2))
    tell["usage"] = {day["resource_type"] for day in days} == {"job"}
    tell["none"] = client.get_user_usage(org["id"], made["id"], "2026-01-01", "2026-02-01")
    tell["deleted"] = client.delete_user(made["id"]).status_code
    tell["subscription"] = client.get_org_subscription(org["id"])
    tell["empty"] = [
        client.get_all_usage_limits(org_id=org["id"]),
        client.get_all_shared_folders(),
        client.get_all_workspaces(),
        client.list_resource_templates(name="x"),
    ]
    tell["refused"] = [
        refusal(client.create_shared_folder, "x", "org"),
        refusal(client.get_shared_folder, "x"),
        refusal(client.create_service_account, "x", "role"),
        refusal(client.create_organization, "x", "x@example.org"),
        refusal(client.delete_organization, org["id"]),
        refusal(client.invite, org["id"], "x@example.org", "X", "Y"),
        refusal(client.get_resource_template, "x"),
        refusal(client.delete_usage_limit, "x"),
        refusal(client.get_organization, "0" * 32),
    ]
print(json.dumps(tell))
"""


def test_it_reads_and_changes_people_and_hears_what_is_not_offered(
    library: Library, shared_api: Api
) -> None:
    job = shared_api.apply(name="saturn-usage", command="true")
    shared_api.finished(shared_api.start(job)["id"])
    tell = json.loads(library.run(PROGRAM).splitlines()[-1])
    assert tell["orgs"] == ["main"]
    assert tell["made"] == ["by-saturn", "by-saturn@example.org"]
    assert (tell["read"], tell["changed"]) == ("by-saturn", "S.")
    assert tell["member"] == "main/by-saturn"
    for name in ("org", "listed", "owners", "preferred", "usage"):
        assert tell[name] is True, name
    assert (tell["none"], tell["deleted"], tell["subscription"]) == ([], 204, None)
    assert tell["empty"] == [[], [], [], []]
    statuses = [status for status, _, _ in tell["refused"]]
    assert statuses == [405, 404, 405, 405, 405, 404, 404, 405, 404]
    assert all(message and hint for _, message, hint in tell["refused"])
