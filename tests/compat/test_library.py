"""`SaturnConnection` as a library, in a program of somebody else."""

import json

from tests.compat.conftest import Library
from tests.conftest import Api

PROGRAM = """
import json, os
from saturn_client import SaturnConnection

tell = {}
with SaturnConnection() as client:
    recipe = {
        "type": "job",
        "spec": {"name": "by-library", "command": "echo from a program", "instance_type": "large"},
    }
    made = client.create(recipe)
    tell["made"] = made["spec"]["name"], made["state"]["status"]
    try:
        client.create(recipe)
    except Exception as error:
        tell["again"] = type(error).__name__, error.status_code, error.args[0]["message"]
    unknown = {**recipe, "spec": {**recipe["spec"], "name": "by-library-2", "no_such": 1}}
    try:
        client.create(unknown)
    except Exception as error:
        tell["unknown"] = error.status_code, error.args[0]["details"]
    left_out = client.create(unknown, enforce_unknown=False)
    tell["left_out"] = "no_such" in left_out["spec"], left_out["warnings"]
    job = client.apply({**recipe, "spec": {**recipe["spec"], "description": "changed"}})
    job_id = job["state"]["id"]
    tell["applied"] = job["state"]["action"]
    tell["listed"] = [each["spec"]["name"] for each in client.list_resources("job", "by-library")]
    tell["started"] = client.start("job", job_id)["status"]
    tell["restarted"] = client.restart("job", job_id, debug_mode=True)["status"]
    client.stop("job", job_id)
    tell["scheduled"] = client.schedule(job_id, "@daily")["scheduled"]
    tell["unscheduled"] = client.schedule(job_id, disable=True)["scheduled"]
    client.clone("job", "by-library", "job", "by-library-3", command="true")
    tell["sizes"] = [each["name"] for each in client.list_options("sizes")]
    tell["options"] = sorted(client.options)
    tell["pods"] = sorted({each["source"] for each in client.get_pods("job", "by-library")})
    tell["logs"] = client.get_logs("job", "by-library-3")
    tell["user"] = client.current_user["username"]
    third = client.get_resource("job", "by-library-3")
    tell["deleted"] = client.delete("job", third["state"]["id"])
    tell["token"] = os.environ.get("SATURN_TOKEN"), os.environ.get("SATURN_REFRESH_TOKEN")
print(json.dumps(tell))
"""


def test_it_does_what_the_command_does(library: Library) -> None:
    tell = json.loads(library.run(PROGRAM).splitlines()[-1])
    assert tell["made"] == ["by-library", "stopped"]
    again = "main/admin already has a job called by-library"
    assert tell["again"] == ["SaturnHTTPError", 409, again]
    assert tell["unknown"][0] == 422
    assert "spec.no_such" in tell["unknown"][1]
    assert tell["left_out"][0] is False
    assert "no_such is not known and was left out" in tell["left_out"][1]
    assert tell["applied"] == "updated"
    assert tell["listed"] == ["by-library", "by-library-2"]
    assert {tell["started"], tell["restarted"]} <= {"pending", "running", "stopping"}
    assert (tell["scheduled"], tell["unscheduled"]) == (True, False)
    assert tell["sizes"] == ["machine"]
    assert tell["options"] == ["auto_shutoff", "disk_space", "sizes"]
    assert set(tell["pods"]) <= {"live", "historical"}
    assert tell["logs"] == ""
    assert (tell["user"], tell["deleted"]) == ("admin", 204)


REFRESHING = """
import json, os
from saturn_client import SaturnConnection

client = SaturnConnection()
names = [each["spec"]["name"] for each in client.list_resources("job")]
print(json.dumps([names, client.settings.SATURN_TOKEN, os.environ["SATURN_REFRESH_TOKEN"]]))
"""


def test_an_expired_token_is_refreshed_and_the_call_goes_on(
    library: Library, shared_api: Api
) -> None:
    shared_api.apply(name="seen-after-refresh", command="true")
    wanted = {"description": "soon over", "expires_in": 1, "refresh_expires_in": 600}
    made = shared_api.request("POST", "/api/tokens", json=wanted).json()
    pair = {
        "SATURN_TOKEN": made["access_token"],
        "SATURN_REFRESH_TOKEN": made["refresh_token"],
    }
    until_expired(shared_api, made["access_token"])
    names, access, refresh = json.loads(library.run(REFRESHING, **pair).splitlines()[-1])
    assert "seen-after-refresh" in names
    assert access not in (made["access_token"], shared_api.token)
    assert refresh != made["refresh_token"]
    later = {"SATURN_TOKEN": access, "SATURN_REFRESH_TOKEN": refresh}
    assert "seen-after-refresh" in library.run(REFRESHING, **later)


def until_expired(api: Api, token: str) -> None:
    """Wait for the server to say so, in the word by which clients know it."""
    caller = Api(api.server, token)
    for _ in range(10_000):
        answer = caller.request("GET", "/api/user")
        if answer.status_code == 401:
            assert "expired" in answer.json()["message"]
            return
    raise AssertionError("the token does not expire")


def test_a_token_that_is_wrong_is_not_refreshed(library: Library) -> None:
    program = """
from saturn_client import SaturnConnection
from saturn_client.core import SaturnHTTPError
client = SaturnConnection()
try:
    client.list_resources("job")
except SaturnHTTPError as error:
    print(error.status_code, error.args[0]["message"])
"""
    assert library.run(program, SATURN_TOKEN="0" * 32).startswith("401 ")
