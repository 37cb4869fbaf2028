"""Ssh private keys, as the strict client keeps them."""

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Api
from tests.saturn_api.conftest import Client, model
from tests.servers import system_parts

NOBODY = "0" * 32


@pytest.fixture
def owner(client: Client, shared_api: Api) -> str:
    """A group of its own for each test."""
    name = f"keys-{time.monotonic_ns()}"
    client.call("GroupsApi", "create", group_create=model("GroupCreate", groupname=name))
    return name


def create(client: Client, owner: str, name: str, **more: Any) -> dict[str, Any]:
    group = client.call("GroupsApi", "list", name=owner)["groups"][0]["id"]
    new = model("SSHPrivateKeyCreate", name=name, identity={"group_id": group}, **more)
    return dict(client.call("SshPrivateKeysApi", "create", ssh_private_key_create=new))


def listed(client: Client, owner: str, **filters: Any) -> list[str]:
    found = client.call("SshPrivateKeysApi", "list", identity=f"main/{owner}", **filters)
    return [key["name"] for key in found["ssh_private_keys"]]


def test_a_key_is_made_renamed_made_the_default_and_forgotten(client: Client, owner: str) -> None:
    made = create(client, owner, "made", location="~/.ssh/id")
    assert made["public_key"].startswith("ssh-ed25519 ")
    assert (made["identity"]["name"], made["identity"]["identity_type"]) == (owner, "group")
    assert client.call("SshPrivateKeysApi", "get", ssh_privatekey_id=made["id"]) == made
    update = model("SSHPrivateKeyUpdate", name="renamed", is_default=True)
    changed = client.call(
        "SshPrivateKeysApi", "update", ssh_privatekey_id=made["id"], ssh_private_key_update=update
    )
    assert changed == {**made, "name": "renamed", "is_default": True}
    second = create(client, owner, "second", is_default=True)
    assert listed(client, owner) == ["renamed", "second"]
    assert listed(client, owner, descending=True, page_size=1) == ["second"]
    assert (listed(client, owner, is_default=True), listed(client, owner, is_default=False)) == (
        ["second"],
        ["renamed"],
    )
    taken = model("SSHPrivateKeyUpdate", name="renamed")
    arguments = {"ssh_privatekey_id": second["id"], "ssh_private_key_update": taken}
    assert client.refused("SshPrivateKeysApi", "update", **arguments).status == 409
    client.call("SshPrivateKeysApi", "delete", ssh_privatekey_id=made["id"])
    refused = client.refused("SshPrivateKeysApi", "get", ssh_privatekey_id=made["id"])
    assert refused.message == f"there is no ssh key {made['id']} here"


def test_a_key_of_ones_own_is_replaced_and_never_given_back(
    client: Client, owner: str, tmp_path: Path
) -> None:
    program, file = system_parts.require("ssh-keygen"), tmp_path / "key"
    command = [program, "-q", "-t", "ed25519", "-N", "", "-f", file]
    subprocess.run(command, check=True, timeout=20)
    private, public = file.read_text(), file.with_suffix(".pub").read_text().split()[1]
    made = create(client, owner, "own", value=private)
    assert made["public_key"].split()[1] == public
    assert private.splitlines()[2] not in str(made)
    wrong = model("SSHPrivateKeyCreate", name="wrong", value="ssh-ed25519 AAAA x")
    refused = client.refused("SshPrivateKeysApi", "create", ssh_private_key_create=wrong)
    assert (refused.status, "public half" in refused.body) == (422, True)


def test_the_default_key_opens_ssh_addresses_that_nothing_else_opens(
    client: Client, shared_api: Api, owner: str
) -> None:
    """Native credentials and keys of the client are one list."""
    prefixed = shared_api.request(
        "POST",
        "/api/git/credentials",
        json={
            "name": "bound",
            "kind": "ssh_key",
            "url_prefix": "git@bound.example.org:",
            "owner": f"main/{owner}",
        },
    ).json()
    create(client, owner, "default", is_default=True)
    assert listed(client, owner) == ["bound", "default"]
    native = shared_api.request("GET", "/api/git/credentials").json()["credentials"]
    mine = {each["name"]: each["url_prefix"] for each in native if each["owner"] == f"main/{owner}"}
    assert mine == {"bound": "git@bound.example.org:", "default": "ssh://*"}
    update = model("SSHPrivateKeyUpdate", is_default=True)
    arguments = {"ssh_privatekey_id": prefixed["id"], "ssh_private_key_update": update}
    refused = client.refused("SshPrivateKeysApi", "update", **arguments)
    assert (refused.error, "git@bound.example.org:" in refused.message) == (
        "ConflictException",
        True,
    )


def test_others_neither_see_nor_change_a_key(client: Client, shared_api: Api, owner: str) -> None:
    made = create(client, owner, "closed")
    viewer = shared_api.person("keys-viewer", {f"main/{owner}": "viewer"})
    stranger = client.as_(shared_api.person("keys-stranger"))
    update = model("SSHPrivateKeyUpdate", name="stolen")
    arguments = {"ssh_privatekey_id": made["id"], "ssh_private_key_update": update}
    assert client.as_(viewer).refused("SshPrivateKeysApi", "update", **arguments).status == 403
    assert stranger.refused("SshPrivateKeysApi", "update", **arguments).status == 404
    assert listed(stranger, owner) == []
