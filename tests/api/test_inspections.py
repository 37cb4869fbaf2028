"""Looking into real repositories over the API, before there is a job that uses them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Api, Repository
from tests.servers.git_http import serving_git
from tests.servers.sshd import serving_ssh

PATH = "/api/repositories/inspect"


def notebook(*cells: str, language: str = "python") -> str:
    """A notebook whose first cell is tagged `parameters`."""
    made = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {"tags": ["parameters"]} if number == 0 else {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(cells)
    ]
    kernel = {"name": "some-kernel", "language": language}
    return json.dumps(
        {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    )


def ask(api: Api, repository: Repository, **more: object) -> Any:
    return api.request("POST", PATH, json={"url": repository.url, **more})


def test_a_repository_tells_its_references_files_and_the_contract_of_a_notebook(
    shared_api: Api, repository: Repository
) -> None:
    source = "region = 'north'  # where\nyear: int = 2026\n"
    first = repository.commit({
        "reports/weekly.ipynb": notebook(source, "%time\nimport pandas, os\nfrom a.b import c"),
        "run.py": "import numpy\n", "requirements.txt": "pandas\n", "readme.md": "-",
        "deep/.ipynb_checkpoints/x.ipynb": "{}",
    })  # fmt: skip
    repository.git("tag", "v1")
    repository.git("branch", "dev/x")
    answer = ask(shared_api, repository, path="reports/weekly.ipynb")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["reference"], found["reference_type"], found["commit"]) == (
        *("main", "branch"),
        first,
    )
    assert (found["default_branch"], found["tags"]) == ("main", ["v1"])
    assert found["branches"] == ["dev/x", "main"]
    assert [(each["path"], each["kind"]) for each in found["files"]] == [
        ("reports/weekly.ipynb", "notebook"),
        ("requirements.txt", "packages"),
        ("run.py", "script"),
    ]
    file = found["file"]
    assert (file["language"], file["kernel"]) == ("python", "some-kernel")
    assert file["imports"] == ["a", "pandas"]
    assert [(each["name"], each["type"], each["default"]) for each in file["parameters"]] == [
        ("region", "str", "north"),
        ("year", "int", 2026),
    ]
    assert file["contract"]["properties"]["region"]["description"] == "where"
    assert json.loads(file["text"])["nbformat"] == 4
    entry = shared_api.request("GET", "/api/audit?page_size=1").json()["entries"][0]
    assert (entry["action"], entry["object_name"]) == ("repository.inspected", repository.url)
    assert entry["after"]["path"] == "reports/weekly.ipynb"


def test_a_reference_is_a_branch_a_tag_or_a_commit(shared_api: Api, repository: Repository) -> None:
    first = repository.commit({"a.py": "1"})
    repository.git("tag", "v1")
    second = repository.commit({"b.py": "2"})
    for reference, kind, commit in (
        ("main", "branch", second),
        ("v1", "tag", first),
        (first[:9], "commit", first),
        (first, "commit", first),
    ):
        found = ask(shared_api, repository, reference=reference).json()
        assert (found["reference_type"], found["commit"]) == (kind, commit), found
        names = [each["path"] for each in found["files"]]
        assert names == (["a.py", "b.py"] if commit == second else ["a.py"])


@pytest.mark.parametrize(
    ("more", "field", "words"),
    [
        ({"reference": "no-such"}, "reference", "no branch, tag or commit no-such"),
        ({"reference": "v9", "reference_type": "tag"}, "reference", "no tag v9"),
        ({"reference": "--upload-pack=x"}, "", "cannot be the name of a branch"),
        ({"path": "none.ipynb"}, "path", "there is no file none.ipynb"),
        ({"path": "folder"}, "path", "there is no file folder"),
        ({"path": "../x.ipynb"}, "path", "leaves the workspace"),
        ({"path": "/etc/passwd"}, "path", "relative to the workspace"),
        ({"path": "outside.ipynb"}, "path", "leads out of the repository"),
        ({"path": "absolute.ipynb"}, "path", "leads out of the repository"),
        ({"path": "loop.ipynb"}, "path", "a link to a link"),
        ({"path": "binary.py"}, "path", "is no text"),
        ({"url": "file:///none/such.git"}, "url", "there is no such repository"),
        ({"url": "ext::sh -c x"}, "url", "write https://"),
        ({"url": "https://u:p@h.example/x.git"}, "url", "leave the user and token out"),
    ],
)
def test_what_cannot_be_read_is_said_beside_the_field(
    shared_api: Api, repository: Repository, more: dict[str, str], field: str, words: str
) -> None:
    for name, target in (
        ("outside.ipynb", "../../secret.ipynb"),
        ("absolute.ipynb", "/etc/passwd"),
        ("loop.ipynb", "loop.ipynb"),
    ):
        os.symlink(target, repository.path / name)
    (repository.path / "binary.py").write_bytes(b"\x00\xff")
    repository.commit({"folder/a.py": "1"})
    answer = ask(shared_api, repository, **more)
    assert answer.status_code == 422, answer.text
    assert words in answer.text
    assert not field or field in answer.json()["details"], answer.text


def test_a_link_within_the_repository_is_followed_and_no_filter_runs(
    shared_api: Api, repository: Repository
) -> None:
    os.symlink("real/a.py", repository.path / "link.py")
    repository.git("config", "filter.evil.smudge", "touch /tmp/never-n4; cat")
    repository.commit({"real/a.py": "import yaml\n", ".gitattributes": "*.py filter=evil\n"})
    file = ask(shared_api, repository, path="link.py").json()["file"]
    assert (file["text"], file["imports"]) == ("import yaml\n", ["yaml"])
    assert not os.path.exists("/tmp/never-n4")


@pytest.mark.parametrize(
    "text",
    ["not json", "[]", '{"cells": 3}', '{"cells": [{"cell_type": "code", "source": [1]}]}', "{}"],
)
def test_a_notebook_that_is_none_is_read_as_text(
    shared_api: Api, repository: Repository, text: str
) -> None:
    repository.commit({"x.ipynb": text})
    answer = ask(shared_api, repository, path="x.ipynb")
    assert answer.status_code == 200, answer.text
    file = answer.json()["file"]
    assert (file["text"], file["parameters"]) == (text, [])
    assert text == "{}" or "this is no notebook" in file["problem"]


def test_whoever_may_not_write_jobs_of_an_owner_reads_nothing_with_the_owners_credentials(
    shared_api: Api, repository: Repository
) -> None:
    repository.commit({"a.py": "1"})
    viewer = shared_api.person("n4-looker", {"main/n4-group": "viewer"})
    assert ask(viewer, repository, owner="main/n4-group").status_code == 403
    assert ask(viewer, repository, owner="main/n4-nobody").status_code == 404
    assert ask(viewer, repository).status_code == 200


def test_a_private_repository_is_read_with_the_owners_credential_and_by_nobody_else(
    shared_api: Api, repository: Repository
) -> None:
    repository.commit({"private.py": "import pandas\n"})
    group, secret = "main/n4-private", "n4-t0ken-of-a-test"
    editor = shared_api.person("n4-editor", {group: "editor"})
    viewer = shared_api.person("n4-private-viewer", {group: "viewer"})
    with serving_git(repository.path.parent, login=("ada", secret)) as remote:
        question = {"url": f"{remote.url}/{repository.path.name}", "path": "private.py"}
        credential = {"name": "n4", "kind": "token", "url_prefix": remote.url, "owner": group}
        body = {**credential, "username": "ada", "value": secret}
        assert editor.request("POST", "/api/git/credentials", json=body).status_code == 201
        seen = editor.request("POST", PATH, json={**question, "owner": group})
        assert seen.json()["file"]["imports"] == ["pandas"], seen.text
        refused = viewer.request("POST", PATH, json={**question, "owner": group})
        assert refused.status_code == 403
        own = editor.request("POST", PATH, json=question)
        assert own.status_code == 422
        assert "it is private" in own.json()["details"]["url"]
    assert secret not in seen.text + own.text
    assert secret not in shared_api.request("GET", "/api/audit?page_size=50").text


def test_an_ssh_host_that_nobody_confirmed_is_asked_for_nothing_and_noted(
    shared_api: Api, repository: Repository, tmp_path: Path
) -> None:
    repository.commit({"a.py": "1"})
    with serving_ssh(tmp_path / "sshd") as sshd:
        answer = shared_api.request("POST", PATH, json={"url": sshd.url(repository.path)})
        assert answer.status_code == 422, answer.text
        assert sshd.fingerprint in answer.json()["details"]["url"]
        hosts = shared_api.request("GET", "/api/git/hosts").json()["hosts"]
    noted = [each for each in hosts if each["fingerprint"] == sshd.fingerprint]
    assert [each["confirmed_at"] for each in noted] == [None]
