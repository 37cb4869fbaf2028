"""Instance sizes of a server: what recipes may ask for, and that they are limits."""

import json

import pytest

from runhook.model.size import sizes_of
from tests.compat.conftest import Library
from tests.conftest import Api, MakeServer

SIZES = "small=0.5:512MB, large=2:16GB"


@pytest.mark.parametrize(
    "text", ["large", "large=2", "large=0:1GB", "large=2:much", "a=1:1GB, a=2:2GB", "=1:1GB"]
)
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|size"):
        sizes_of(text)


def test_a_server_offers_its_sizes_and_holds_runs_to_them(
    make_server: MakeServer, library: Library
) -> None:
    server = make_server(RUNHOOK_RUNS_SIZES=SIZES).start()
    api = Api(server, server.token())
    program = """
import json
from saturn_client import SaturnConnection
client = SaturnConnection()
print(json.dumps([[each["name"], each["cores"]] for each in client.list_options("sizes")]))
"""
    told = library.run(program, SATURN_BASE_URL=server.url, SATURN_TOKEN=api.token)
    assert json.loads(told) == [["small", 1], ["large", 2]]
    spec = {"name": "sized", "command": ["true", "true", "true"], "scale": 2}
    made = api.request(
        "PUT", "/api/recipes", json={"type": "job", "spec": {**spec, "instance_type": "small"}}
    ).json()
    assert made["warnings"] == []
    run = api.finished(api.start(made["state"]["id"])["id"])
    attempt = run["attempts"][0]["id"]  # type: ignore[index]
    told_runner = (server.data / "attempts" / attempt[:2] / attempt / "spec.json").read_text()
    limits = json.loads(told_runner)["limits"]
    assert (limits["cpus"], limits["memory"]) == (1.0, 1_024_000_000)
    other = {**spec, "instance_type": "huge", "limits": {"cpus": 0.25}}
    told = api.request("PUT", "/api/recipes", json={"type": "job", "spec": other}).json()
    assert told["warnings"] == ["instance_type is kept, but not used here"]


def test_wrong_sizes_stop_the_start(make_server: MakeServer) -> None:
    with pytest.raises(AssertionError, match="RUNHOOK_RUNS_SIZES: 'large' is no size"):
        make_server("wrong", RUNHOOK_RUNS_SIZES="large").start()
