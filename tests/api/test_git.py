"""Git access over HTTP: the shapes of the answers, and that no answer holds a secret."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.conftest import Api

CREDENTIALS, HOSTS = "/api/git/credentials", "/api/git/hosts"
SECRET = "t0ken-of-a-test"


def host_line(host: str) -> str:
    public = Ed25519PrivateKey.generate().public_key()
    return f"{host} {public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()}"


def test_a_credential_is_added_listed_and_deleted_without_its_secret(shared_api: Api) -> None:
    new = {"name": "api-test", "kind": "token", "url_prefix": "https://git.example/acme/"}
    made = shared_api.request("POST", CREDENTIALS, json={**new, "value": SECRET})
    assert made.status_code == 201, made.text
    credential = made.json()
    assert set(credential) == {
        *("id", "owner", "name", "kind", "url_prefix", "username", "public_key", "created_at")
    }
    assert (credential["owner"], credential["public_key"]) == ("main/admin", None)
    listed = shared_api.request("GET", CREDENTIALS)
    assert credential in listed.json()["credentials"]
    again = shared_api.request("POST", CREDENTIALS, json={**new, "value": SECRET})
    assert (again.status_code, again.json()["details"]) == (409, {"name": "is taken"})
    assert SECRET not in made.text + listed.text + again.text
    path = f"{CREDENTIALS}/{credential['id']}"
    assert [shared_api.request("DELETE", path).status_code for _ in range(2)] == [204, 404]


def test_a_refused_credential_names_its_fields_and_repeats_no_secret(shared_api: Api) -> None:
    wrong = {"name": "x", "kind": "token", "url_prefix": "git@h.example:", "value": SECRET}
    answer = shared_api.request("POST", CREDENTIALS, json=wrong)
    assert answer.status_code == 422
    assert set(answer.json()["details"]) == {"url_prefix"}
    key = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n"
    damaged = shared_api.request(
        "POST", CREDENTIALS, json=wrong | {"kind": "ssh_key", "value": key}
    )
    assert damaged.status_code == 422
    assert "damaged" in damaged.json()["details"]["value"]
    assert SECRET not in answer.text + damaged.text


def test_a_host_key_is_added_confirmed_and_deleted(shared_api: Api) -> None:
    made = shared_api.request("POST", HOSTS, json={"line": host_line("api-test.example")})
    assert made.status_code == 201, made.text
    host = made.json()
    assert (host["host"], host["type"], host["changed"]) == (
        "api-test.example",
        "ssh-ed25519",
        False,
    )
    assert host["fingerprint"].startswith("SHA256:")
    assert host["confirmed_at"].endswith("+00:00")
    assert host in shared_api.request("GET", HOSTS).json()["hosts"]
    path = f"{HOSTS}/{host['id']}"
    assert shared_api.request("POST", f"{path}/confirm").json() == host
    assert [shared_api.request("DELETE", path).status_code for _ in range(2)] == [204, 404]
    assert shared_api.request("POST", f"{path}/confirm").status_code == 404


def test_a_line_that_is_none_is_refused(shared_api: Api) -> None:
    for body in (
        {},
        {"line": 7},
        {"line": "git.example"},
        {"line": host_line("a.example,b.example")},
    ):
        answer = shared_api.request("POST", HOSTS, json=body)
        assert answer.status_code == 422, body
        assert set(answer.json()["details"]) == {"line"}


def test_a_password_that_is_no_text_is_refused(shared_api: Api) -> None:
    body = '{"password": "\\ud800"}'
    answer = shared_api.request("POST", "/api/auth/login", data=body)
    assert answer.status_code == 400  # half of a surrogate pair is malformed before it is wrong
