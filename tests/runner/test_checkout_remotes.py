"""The checkout step over http and ssh: real servers on this machine, credentials, host keys."""

import base64
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from runhook.runner.report import StepFailed
from runhook.runner.spec import GitCredential, RepositorySpec, Secrets
from tests.conftest import Repository
from tests.runner.conftest import Recorded
from tests.runner.steps import Attempts
from tests.servers.git_http import GitHttp, serving_git
from tests.servers.sshd import Sshd, make_key, serving_ssh

TOKEN = "s3cr3t-token-0123456789"


@pytest.fixture
def http(repository: Repository) -> Iterator[GitHttp]:
    """A server of the repository."""
    with serving_git(repository.path.parent) as server:
        yield server


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with serving_ssh(tmp_path_factory.mktemp("ssh") / "server") as server:
        yield server


def over_http(http: GitHttp, **more: str | None) -> RepositorySpec:
    return RepositorySpec(f"{http.url}/materials", "materials", **more)  # type: ignore[arg-type]


def with_token(value: str = TOKEN) -> Secrets:
    return Secrets({"mine": GitCredential("token", "ada", value)})


def over_ssh(sshd: Sshd, repository: Repository, **more: str) -> RepositorySpec:
    url = sshd.url(repository.path)
    return RepositorySpec(url, "materials", credential="mine", **more)  # type: ignore[arg-type]


def with_key(sshd: Sshd, key: str = "", known_hosts: str | None = None) -> Secrets:
    hosts = sshd.known_hosts if known_hosts is None else known_hosts
    return Secrets({"mine": GitCredential("ssh_key", "", key or sshd.key)}, known_hosts=hosts)


def assert_nowhere(secret: str, attempts: Attempts, *texts: str) -> None:
    """Neither in the texts nor in any file below the cache and the attempts' directories."""
    texts += tuple(
        path.read_text(errors="replace") for path in attempts.root.rglob("*") if path.is_file()
    )
    forms = [secret, base64.b64encode(f"ada:{secret}".encode()).decode()]
    assert not [text for text in texts for form in forms if form in text]


def test_http_follows_a_push_and_shares_one_question(
    attempts: Attempts, repository: Repository, http: GitHttp
) -> None:
    repository.commit({"a.txt": "1"})
    attempts.new(over_http(http)).check_out()
    newer = repository.commit({"a.txt": "2"})
    early, late = attempts.new(over_http(http)), attempts.new(over_http(http))
    assert late.check_out()[0]["commit"] == newer
    visits = http.questions
    assert early.check_out()[0]["commit"] == newer
    assert http.questions == visits


def test_a_private_repository_is_read_with_its_token_which_is_left_nowhere(
    attempts: Attempts, repository: Repository, http: GitHttp, recorded: Recorded
) -> None:
    http.login = ("ada", TOKEN)
    commit = repository.commit({"a.txt": "1"})
    attempt = attempts.new(over_http(http, credential="mine"), secrets=with_token())
    assert attempt.check_out()[0]["commit"] == commit
    assert http.authorizations
    assert_nowhere(TOKEN, attempts, *recorded.calls)


@pytest.mark.parametrize(
    ("token", "sentence"),
    [(None, "it is private: add a git credential"), ("wrong", "refused the job's git credential")],
)
def test_a_refusal_says_whether_a_credential_is_missing_or_wrong(
    attempts: Attempts, http: GitHttp, token: str | None, sentence: str
) -> None:
    http.login = ("ada", TOKEN)
    repository = over_http(http, credential="mine" if token else None)
    attempt = attempts.new(repository, secrets=with_token(token or ""))
    with pytest.raises(StepFailed, match=sentence):
        attempt.check_out()
    assert "Authentication failed" in attempt.log or "could not read Username" in attempt.log


def test_a_token_is_not_given_to_another_host_by_redirect(
    attempts: Attempts, repository: Repository, http: GitHttp
) -> None:
    http.login = ("ada", TOKEN)
    repository.commit({"a.txt": "1"})
    with serving_git(repository.path.parent) as first:
        first.redirect_to = http.url
        attempt = attempts.new(over_http(first, credential="mine"), secrets=with_token())
        with pytest.raises(StepFailed):
            attempt.check_out()
    assert http.requests
    assert http.authorizations == []


def test_another_credential_does_not_read_through_the_same_mirror(
    attempts: Attempts, repository: Repository, http: GitHttp
) -> None:
    commit = repository.commit({"a.txt": "1"})
    http.login = ("ada", TOKEN)
    attempts.new(over_http(http, credential="mine"), secrets=with_token()).check_out()
    pinned = over_http(http, reference=commit, reference_type="commit")
    with pytest.raises(StepFailed, match="it is private"):
        attempts.new(pinned).check_out()


def test_a_credential_that_is_gone_is_named(attempts: Attempts, http: GitHttp) -> None:
    with pytest.raises(StepFailed, match="git credential is not there any more"):
        attempts.new(over_http(http, credential="mine")).check_out()


def test_a_repository_that_is_not_there_may_be_private(attempts: Attempts, http: GitHttp) -> None:
    missing = RepositorySpec(f"{http.url}/nothing.git", "nothing")
    attempt = attempts.new(missing)
    with pytest.raises(StepFailed, match="no such repository, or it is private and a credential"):
        attempt.check_out()
    assert "not found" in attempt.log


def test_a_failure_is_shared_by_starts_that_came_before_the_question(
    attempts: Attempts, http: GitHttp
) -> None:
    missing = RepositorySpec(f"{http.url}/nothing.git", "nothing")
    early, late = attempts.new(missing), attempts.new(missing)
    for attempt in (late, early):
        with pytest.raises(StepFailed, match="no such repository"):
            attempt.check_out()
    assert http.questions == 1


@pytest.mark.parametrize("scheme", ["http", "ssh"])
def test_a_host_that_does_not_answer_fails_with_a_sentence(attempts: Attempts, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    attempt = attempts.new(
        RepositorySpec(f"{scheme}://127.0.0.1:{port}/materials.git", "materials")
    )
    with pytest.raises(StepFailed, match="its host cannot be reached"):
        attempt.check_out()


def test_a_host_that_hangs_is_given_up(attempts: Attempts) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/materials.git"
        with pytest.raises(StepFailed, match="git took longer than 0.3 seconds"):
            attempts.new(RepositorySpec(url, "materials"), git_timeout=0.3).check_out()


def test_ssh_follows_a_push_with_a_key_that_is_left_nowhere(
    attempts: Attempts, repository: Repository, sshd: Sshd, recorded: Recorded
) -> None:
    repository.commit({"a.txt": "1"})
    attempts.new(over_ssh(sshd, repository), secrets=with_key(sshd)).check_out()
    newer = repository.commit({"a.txt": "2"})
    attempt = attempts.new(over_ssh(sshd, repository), secrets=with_key(sshd))
    assert attempt.check_out()[0]["commit"] == newer
    assert attempt.log == ""
    assert_nowhere(sshd.key.splitlines()[2], attempts, *recorded.calls)


def test_a_key_with_line_ends_of_another_system_works(
    attempts: Attempts, repository: Repository, sshd: Sshd
) -> None:
    commit = repository.commit({"a.txt": "1"})
    key = sshd.key.strip().replace("\n", "\r\n")
    attempt = attempts.new(over_ssh(sshd, repository), secrets=with_key(sshd, key))
    assert attempt.check_out()[0]["commit"] == commit


def test_a_key_that_may_not_read_is_refused_with_a_sentence(
    attempts: Attempts, repository: Repository, sshd: Sshd, tmp_path: Path
) -> None:
    other = make_key(tmp_path / "other").read_text()
    attempt = attempts.new(over_ssh(sshd, repository), secrets=with_key(sshd, other))
    with pytest.raises(StepFailed, match="refused the job's git credential"):
        attempt.check_out()
    assert "Permission denied" in attempt.log


def test_the_servers_own_keys_are_not_used(
    attempts: Attempts, repository: Repository, sshd: Sshd, recorded: Recorded
) -> None:
    repository.commit({"a.txt": "1"})
    public = RepositorySpec(sshd.url(repository.path), "materials")
    with pytest.raises(StepFailed, match="it is private: add a git credential"):
        attempts.new(public, secrets=Secrets(known_hosts=sshd.known_hosts)).check_out()
    (call,) = [call for call in recorded.calls if call.startswith("ssh ")]
    assert "IdentityFile=none" in call
    assert "IdentityAgent=none" in call


def test_an_unknown_host_is_shown_by_its_fingerprint_and_works_once_confirmed(
    attempts: Attempts, repository: Repository, sshd: Sshd
) -> None:
    commit = repository.commit({"a.txt": "1"})
    attempt = attempts.new(over_ssh(sshd, repository), secrets=with_key(sshd, known_hosts=""))
    with pytest.raises(StepFailed, match="is not known here") as failed:
        attempt.check_out()
    assert sshd.fingerprint in failed.value.reason
    (report,) = attempt.reports("host_key_unknown")
    assert report["host"] == f"[127.0.0.1]:{sshd.port}"
    (key,) = report["keys"]
    assert (key["type"], key["fingerprint"]) == ("ssh-ed25519", sshd.fingerprint)
    confirmed = f"{report['host']} {key['type']} {key['key']}\n"
    again = attempts.new(over_ssh(sshd, repository), secrets=with_key(sshd, known_hosts=confirmed))
    assert again.check_out()[0]["commit"] == commit


def test_a_changed_host_key_is_a_loud_failure_of_its_own(
    attempts: Attempts, repository: Repository, sshd: Sshd, tmp_path: Path
) -> None:
    kind, key, *_ = (make_key(tmp_path / "other").with_suffix(".pub")).read_text().split()
    changed = with_key(sshd, known_hosts=f"[127.0.0.1]:{sshd.port} {kind} {key}\n")
    attempt = attempts.new(over_ssh(sshd, repository), secrets=changed)
    with pytest.raises(StepFailed, match="DANGER: the key of .* is not the one that was confirmed"):
        attempt.check_out()
    (report,) = attempt.reports("host_key_unknown")
    assert [key["fingerprint"] for key in report["keys"]] == [sshd.fingerprint]


def test_a_host_name_that_means_nothing_fails_with_a_sentence(attempts: Attempts) -> None:
    attempt = attempts.new(RepositorySpec("git@localhost.invalid:a/materials.git", "m"))
    with pytest.raises(StepFailed, match="its host name cannot be resolved"):
        attempt.check_out()
