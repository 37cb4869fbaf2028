"""A private repository, from the refusal to the run, over ssh and over http."""

from pathlib import Path

from tests.conftest import Api, Repository
from tests.servers.git_http import serving_git
from tests.servers.sshd import serving_ssh


def test_a_server_made_key_opens_a_repository_once_its_host_is_confirmed(
    api: Api, repository: Repository, tmp_path: Path
) -> None:
    repository.commit({"say.sh": "echo over ssh"})
    with serving_ssh(tmp_path / "sshd") as sshd:
        url = sshd.url(repository.path)
        prefix = f"ssh://{sshd.user}@127.0.0.1:{sshd.port}/"
        new = {"name": "deploy", "kind": "ssh_key", "url_prefix": prefix}
        made = api.request("POST", "/api/git/credentials", json=new)
        assert made.status_code == 201, made.text
        assert "value" not in made.json() and "secret" not in made.json()
        authorized = tmp_path / "sshd" / "authorized_keys"
        authorized.write_text(authorized.read_text() + made.json()["public_key"] + "\n")
        job = api.apply(
            name="private",
            command="bash materials/say.sh",
            git_repositories=[{"url": url}],
        )

        refused = api.finished(api.start(job)["id"])
        assert (refused["state"], refused["step"]) == ("failed", "checkout")
        assert sshd.fingerprint in str(refused["reason"])
        hosts = api.request("GET", "/api/git/hosts").json()["hosts"]
        (shown,) = [host for host in hosts if host["fingerprint"] == sshd.fingerprint]
        assert (shown["host"], shown["confirmed_at"]) == (f"[127.0.0.1]:{sshd.port}", None)

        assert api.request("POST", f"/api/git/hosts/{shown['id']}/confirm").status_code == 200
        run = api.finished(api.start(job)["id"])
        assert run["state"] == "succeeded", run
        assert api.log(run["id"]).endswith("over ssh\n")
    everything = b"".join(
        path.read_bytes() for path in api.server.data.rglob("*") if path.is_file()
    )
    assert b"OPENSSH PRIVATE KEY" not in everything


def test_a_token_opens_a_repository_over_http_and_shows_up_nowhere(
    api: Api, repository: Repository
) -> None:
    repository.commit({"say.sh": "echo over http; git -C . log --oneline | wc -l"})
    secret = "s3cret-t0ken-of-a-test"
    with serving_git(repository.path.parent, login=("ada", secret)) as remote:
        url = f"{remote.url}/{repository.path.name}"
        job = api.apply(
            name="private",
            command="bash materials/say.sh; env; git -C materials remote -v",
            git_repositories=[{"url": url}],
        )
        refused = api.finished(api.start(job)["id"])
        assert (refused["state"], refused["step"]) == ("failed", "checkout")
        assert "credential" in str(refused["reason"])
        new = {
            "name": "token",
            "kind": "token",
            "url_prefix": remote.url,
            "username": "ada",
            "value": secret,
        }
        assert api.request("POST", "/api/git/credentials", json=new).status_code == 201
        run = api.finished(api.start(job)["id"])
        assert run["state"] == "succeeded", run
        assert "over http" in api.log(run["id"])
    assert secret not in api.log(run["id"])
    assert secret not in api.request("GET", "/api/git/credentials").text
    for path in api.server.data.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
