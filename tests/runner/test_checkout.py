"""The checkout step over file://, with real git: which commit, whose copy, what it costs."""

import fcntl
import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from runhook.runner.report import StepFailed
from runhook.runner.spec import RepositorySpec
from runhook.runner.trees import KEPT
from tests.conftest import Repository
from tests.runner.conftest import Recorded
from tests.runner.steps import Attempts, stop_once_it_hears


def wanted(repository: Repository, reference: str | None = None, **more: str) -> RepositorySpec:
    return RepositorySpec(repository.url, "materials", reference, **more)  # type: ignore[arg-type]


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def caches(attempts: Attempts) -> Path:
    """The one repository's folder in the cache."""
    (folder,) = (attempts.root / "cache" / "repositories").iterdir()
    return folder


def test_the_newest_commit_of_the_default_branch_is_checked_out_and_reported(
    attempts: Attempts, repository: Repository
) -> None:
    commit = repository.commit({"a.txt": "1", "bin/tool": "#!/bin/sh\n"})
    attempt = attempts.new(wanted(repository))
    facts = {"url": repository.url, "path": "materials", "reference": "main", "commit": commit}
    assert attempt.check_out() == [facts]
    assert attempt.reports("checked_out") == [facts]
    assert (attempt.workspace / "materials" / "a.txt").read_text() == "1"


def test_a_push_between_two_starts_is_followed(attempts: Attempts, repository: Repository) -> None:
    repository.commit({"a.txt": "1"})
    attempts.new(wanted(repository, "main")).check_out()
    newer = repository.commit({"a.txt": "2"})
    attempt = attempts.new(wanted(repository, "main"))
    assert attempt.check_out()[0]["commit"] == newer
    assert (attempt.workspace / "materials" / "a.txt").read_text() == "2"


def test_a_branch_that_was_forced_elsewhere_is_followed(
    attempts: Attempts, repository: Repository
) -> None:
    first = repository.commit({"a.txt": "1"})
    repository.commit({"a.txt": "2"})
    attempts.new(wanted(repository, "main")).check_out()
    repository.git("reset", "--hard", first)
    forced = repository.commit({"a.txt": "other"})
    assert attempts.new(wanted(repository, "main")).check_out()[0]["commit"] == forced


def test_a_branch_that_becomes_a_folder_of_branches_is_followed(
    attempts: Attempts, repository: Repository
) -> None:
    repository.commit({"a.txt": "1"})
    repository.git("branch", "topic")
    attempts.new(wanted(repository, "topic")).check_out()
    repository.git("branch", "-D", "topic")
    repository.git("checkout", "-b", "topic/one")
    commit = repository.commit({"a.txt": "2"})
    assert attempts.new(wanted(repository, "topic/one")).check_out()[0]["commit"] == commit


@pytest.mark.parametrize("annotated", [True, False])
def test_a_tag_does_not_move_with_its_branch(
    attempts: Attempts, repository: Repository, annotated: bool
) -> None:
    commit = repository.commit({"a.txt": "1"})
    repository.git("tag", *(["-a", "-m", "one"] if annotated else []), "v1")
    repository.commit({"a.txt": "2"})
    attempt = attempts.new(wanted(repository, "v1", reference_type="tag"))
    assert attempt.check_out()[0]["commit"] == commit
    assert git(attempt.workspace / "materials", "describe", "--tags") == "v1"


@pytest.mark.parametrize("digits", [7, 12, 40])
def test_a_commit_does_not_move_and_may_be_abbreviated(
    attempts: Attempts, repository: Repository, digits: int
) -> None:
    commit = repository.commit({"a.txt": "1"})
    repository.commit({"a.txt": "2"})
    attempt = attempts.new(wanted(repository, commit[:digits], reference_type="commit"))
    assert attempt.check_out()[0] == {
        "url": repository.url,
        "path": "materials",
        "reference": commit[:digits],
        "commit": commit,
    }


def test_an_abbreviated_commit_is_not_taken_for_a_branch_of_that_name(
    attempts: Attempts, repository: Repository
) -> None:
    repository.commit({"a.txt": "1"})
    repository.git("branch", "abcdef0")
    with pytest.raises(StepFailed, match="no branch or tag of it has one commit abcdef0"):
        attempts.new(wanted(repository, "abcdef0", reference_type="commit")).check_out()


def test_a_repository_with_longer_ids_is_checked_out(attempts: Attempts, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "remotes" / "materials")
    repository.path.mkdir(parents=True)
    repository.git("init", "--initial-branch", "main", "--object-format=sha256")
    commit = repository.commit({"a.txt": "1"})
    assert len(commit) == 64
    assert attempts.new(wanted(repository)).check_out()[0]["commit"] == commit


def test_a_commit_on_no_branch_is_asked_for_by_itself(
    attempts: Attempts, repository: Repository
) -> None:
    repository.commit({"a.txt": "1"})
    lost = repository.commit({"a.txt": "2"})
    repository.git("reset", "--hard", "HEAD~1")
    repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    attempt = attempts.new(wanted(repository, lost, reference_type="commit"))
    assert attempt.check_out()[0]["commit"] == lost


def test_an_unchanged_branch_costs_one_git_process(
    attempts: Attempts, repository: Repository, recorded: Recorded
) -> None:
    repository.commit({"a.txt": "1"})
    attempts.new(wanted(repository, "main")).check_out()
    recorded.forget()
    attempts.new(wanted(repository, "main")).check_out()
    assert len(recorded.calls) == 1
    assert "ls-remote" in recorded.calls[0]


def test_a_whole_commit_that_was_checked_out_before_needs_no_git_and_no_remote(
    attempts: Attempts, repository: Repository, recorded: Recorded
) -> None:
    commit = repository.commit({"a.txt": "1"})
    attempts.new(wanted(repository, commit, reference_type="commit")).check_out()
    recorded.forget()
    shutil.rmtree(repository.path)
    attempts.new(wanted(repository, commit, reference_type="commit")).check_out()
    assert recorded.calls == []


def test_a_start_shares_the_question_of_another_that_was_asked_after_it(
    attempts: Attempts, repository: Repository, recorded: Recorded
) -> None:
    repository.commit({"a.txt": "1"})
    early, late = attempts.new(wanted(repository)), attempts.new(wanted(repository))
    late.check_out()
    recorded.forget()
    early.check_out()
    assert recorded.calls == []


def test_an_answer_from_the_future_is_not_believed(
    attempts: Attempts, repository: Repository
) -> None:
    repository.commit({"a.txt": "1"})
    attempts.new(wanted(repository)).check_out()
    saved = caches(attempts) / "refs.json"
    saved.write_text(saved.read_text().replace('"started_at": 1', '"started_at": 9'))
    newer = repository.commit({"a.txt": "2"})
    assert attempts.new(wanted(repository)).check_out()[0]["commit"] == newer


def test_starts_that_arrive_together_share_questions_and_one_tree(
    attempts: Attempts, repository: Repository, recorded: Recorded
) -> None:
    commit = repository.commit({"a.txt": "1"})
    together = [attempts.new(wanted(repository, "main")) for _ in range(8)]
    processes = [attempt.start("checkout") for attempt in together]
    assert [process.communicate()[1] for process in processes] == [b""] * 8
    assert {attempt.reports("checked_out")[0]["commit"] for attempt in together} == {commit}
    assert sum("ls-remote" in call for call in recorded.calls) == 1
    assert sum(" fetch " in call for call in recorded.calls) == 2  # the mirror, and one tree of it


def test_a_run_that_writes_into_its_files_changes_nobody_elses(
    attempts: Attempts, repository: Repository
) -> None:
    repository.commit({"a.txt": "1"})
    first, second = attempts.new(wanted(repository)), attempts.new(wanted(repository))
    first.check_out()
    with open(first.workspace / "materials" / "a.txt", "r+") as file:
        file.write("X")
    (first.workspace / "materials" / ".git" / "config").write_text("")
    second.check_out()
    assert (second.workspace / "materials" / "a.txt").read_text() == "1"
    assert git(second.workspace / "materials", "status", "--porcelain") == ""


def test_git_works_in_the_checkout_and_origin_is_the_plain_address(
    attempts: Attempts, repository: Repository
) -> None:
    repository.commit({"a.txt": "1"})
    repository.git("tag", "-a", "-m", "one", "v1")
    repository.commit({"a.txt": "2"})
    repository.git("branch", "other")
    attempt = attempts.new(wanted(repository))
    attempt.check_out()
    folder = attempt.workspace / "materials"
    assert git(folder, "describe").startswith("v1-1-g")
    assert git(folder, "log", "--format=%s") == "change\nchange"
    assert git(folder, "remote", "get-url", "origin") == repository.url
    assert git(folder, "branch", "--remotes").split() == ["origin/main", "origin/other"]
    assert git(folder, "rev-parse", "--abbrev-ref", "HEAD") == "HEAD"


def test_modes_and_links_are_kept_and_links_are_not_followed(
    attempts: Attempts, repository: Repository
) -> None:
    (repository.path / "outside").symlink_to("/etc/hostname")
    (repository.path / "folder").symlink_to("/etc")
    repository.commit({"run.sh": "#!/bin/sh\n"})
    (repository.path / "run.sh").chmod(0o755)
    repository.commit({})
    attempt = attempts.new(wanted(repository))
    attempt.check_out()
    folder = attempt.workspace / "materials"
    assert os.access(folder / "run.sh", os.X_OK)
    assert os.readlink(folder / "outside") == "/etc/hostname"
    assert os.readlink(folder / "folder") == "/etc"


def test_a_repository_is_not_checked_out_through_a_link_that_another_has_brought(
    attempts: Attempts, repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "victim").mkdir()
    (repository.path / "link").symlink_to(tmp_path / "victim")
    repository.commit({"a.txt": "1"})
    inner = RepositorySpec(repository.url, "materials/link/inner")
    with pytest.raises(StepFailed, match="link there is no folder"):
        attempts.new(inner, wanted(repository)).check_out()
    assert list((tmp_path / "victim").iterdir()) == []


def test_several_repositories_stand_side_by_side_or_inside_each_other(
    attempts: Attempts, repository: Repository
) -> None:
    commit = repository.commit({"a.txt": "1"})
    folders = ["materials/inner", "materials", "other"]
    attempt = attempts.new(*(RepositorySpec(repository.url, folder) for folder in folders))
    assert [facts["path"] for facts in attempt.check_out()] == folders
    assert {facts["commit"] for facts in attempt.reports("checked_out")} == {commit}
    assert all((attempt.workspace / folder / "a.txt").exists() for folder in folders)


def test_two_repositories_cannot_have_one_folder(
    attempts: Attempts, repository: Repository
) -> None:
    repository.commit({"a.txt": "1"})
    with pytest.raises(StepFailed, match="cannot check out into materials because there are files"):
        attempts.new(wanted(repository), wanted(repository)).check_out()


@pytest.mark.parametrize("folder", ["..", "../x", "/tmp/x", "a/../../x", "", "."])
def test_a_folder_outside_the_workspace_is_refused(
    attempts: Attempts, repository: Repository, folder: str
) -> None:
    repository.commit({"a.txt": "1"})
    with pytest.raises(StepFailed, match="no folder of the workspace"):
        attempts.new(RepositorySpec(repository.url, folder)).check_out()


@pytest.mark.parametrize(
    ("reference", "kind", "sentence"),
    [
        ("nowhere", "branch", "has no branch nowhere$"),
        ("v1", "branch", "has no branch v1: it is a tag there"),
        ("main", "tag", "has no tag main: it is a branch there"),
        ("0123456", "commit", "has one commit 0123456$"),
        ("0" * 39 + "1", "commit", "has no commit 0{39}1$"),
        ("HEAD", "commit", "'HEAD' is no commit"),
        ("--upload-pack=touch /tmp/owned", "branch", "has no branch --upload-pack"),
        ("--upload-pack=touch /tmp/owned", "commit", "is no commit"),
    ],
)
def test_a_missing_reference_fails_by_its_name(
    attempts: Attempts, repository: Repository, reference: str, kind: str, sentence: str
) -> None:
    repository.commit({"a.txt": "1"})
    repository.git("tag", "v1")
    with pytest.raises(StepFailed, match=sentence):
        attempts.new(wanted(repository, reference, reference_type=kind)).check_out()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ext::sh -c touch% /tmp/owned", "it is none that is offered"),
        ("--upload-pack=touch /tmp/owned", "it is none that is offered"),
        ("/etc", "it is none that is offered"),
        ("../materials", "it is none that is offered"),
        ("fd::7", "it is none that is offered"),
        ("https://user:secret@host/x.git", "it holds a user or token"),
        ("ssh://-oProxyCommand=touch/x.git", "it names no host"),
        ("ssh://-x@host/x.git", "its user name is no user name"),
        ("https:///x.git", "it names no host"),
        ("https://host:port/x.git", "it is no address"),
        ("file://host/x.git", "it names a host"),
    ],
)
def test_an_address_that_git_must_not_be_given_is_refused_before_git_runs(
    attempts: Attempts, recorded: Recorded, url: str, sentence: str
) -> None:
    with pytest.raises(StepFailed, match=sentence) as failed:
        attempts.new(RepositorySpec(url, "materials")).check_out()
    assert "secret" not in failed.value.reason
    assert recorded.calls == []


def test_file_addresses_need_an_administrators_permission(
    attempts: Attempts, repository: Repository
) -> None:
    with pytest.raises(StepFailed, match="RUNHOOK_GIT_ALLOW_FILE_URLS=1"):
        attempts.new(wanted(repository), allow_file_urls=False).check_out()


def test_an_absent_repository_fails_with_a_sentence_and_gits_words_in_the_log(
    attempts: Attempts, tmp_path: Path
) -> None:
    attempt = attempts.new(RepositorySpec(f"file://{tmp_path}/nothing.git", "materials"))
    with pytest.raises(StepFailed, match="there is no such repository"):
        attempt.check_out()
    assert "fatal: " in attempt.log


def test_an_empty_repository_fails_with_a_sentence(
    attempts: Attempts, repository: Repository
) -> None:
    with pytest.raises(StepFailed, match="no default branch with a commit"):
        attempts.new(wanted(repository)).check_out()


def test_a_repository_of_another_user_can_be_read_and_its_hooks_do_not_run(
    attempts: Attempts, repository: Repository, tmp_path: Path
) -> None:
    commit = repository.commit({"a.txt": "1"})
    hook = repository.path / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/owned\n")
    hook.chmod(0o755)
    if os.geteuid() == 0:
        for path in [repository.path, *repository.path.rglob("*")]:
            os.chown(path, 12345, 12345, follow_symlinks=False)
    assert attempts.new(wanted(repository)).check_out()[0]["commit"] == commit
    assert not (tmp_path / "owned").exists()


def test_the_configuration_of_the_user_is_not_read(
    attempts: Attempts, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.commit({"a.txt": "1"})
    (tmp_path / ".gitconfig").write_text('[url "file:///elsewhere"]\n\tinsteadOf = file://\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    assert attempts.new(wanted(repository)).check_out()[0]["commit"] == commit


def test_submodules_and_large_files_are_left_out_and_the_log_says_so(
    attempts: Attempts, repository: Repository
) -> None:
    repository.commit({".gitmodules": "", ".gitattributes": "*.bin filter=lfs\n"})
    attempt = attempts.new(wanted(repository))
    attempt.check_out()
    assert "has submodules, which are not fetched" in attempt.log
    assert "only their pointers" in attempt.log


def test_an_ordinary_checkout_leaves_the_log_empty(
    attempts: Attempts, repository: Repository
) -> None:
    repository.commit({"a.txt": "1"})
    attempt = attempts.new(wanted(repository))
    attempt.check_out()
    assert attempt.log == ""


def test_only_the_newest_trees_are_kept(attempts: Attempts, repository: Repository) -> None:
    for number in range(KEPT + 3):
        repository.commit({"a.txt": str(number)})
        attempts.new(wanted(repository)).check_out()
    names = sorted(path.name for path in (caches(attempts) / "trees").iterdir())
    assert len(names) == 2 * KEPT
    assert git(repository.path, "rev-parse", "HEAD") in names


def test_the_packs_of_many_fetches_are_joined(
    attempts: Attempts, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runhook.runner.mirror.MOST_PACKS", 3)
    for number in range(6):
        commit = repository.commit({"a.txt": str(number)})
        assert attempts.new(wanted(repository)).check_out()[0]["commit"] == commit
    assert len(list((caches(attempts) / "mirror.git/objects/pack").glob("*.pack"))) <= 4


def damage_packs(folder: Path) -> None:
    for pack in (folder / "mirror.git" / "objects" / "pack").iterdir():
        pack.chmod(0o600)
        pack.write_bytes(b"\0" * 40)


def damage_config(folder: Path) -> None:
    (folder / "mirror.git" / "config").write_text("[core")


def lose_head(folder: Path) -> None:
    (folder / "mirror.git" / "HEAD").unlink()


def cut_off_a_fetch(folder: Path) -> None:
    (folder / "fetching").touch()
    (folder / "mirror.git" / "packed-refs.lock").touch()
    (folder / "mirror.git" / "refs" / "heads" / "main.lock").touch()
    (folder / "mirror.git" / "objects" / "pack" / "tmp_pack_abc").write_bytes(b"half")


def cut_off_an_answer(folder: Path) -> None:
    (folder / "refs.json").write_text('{"url"')


def cut_off_a_tree(folder: Path) -> None:
    for tree in (folder / "trees").glob("*.lock"):
        shutil.rmtree(tree.with_suffix(""))
        (tree.with_suffix(".part") / ".git").mkdir(parents=True)


@pytest.mark.parametrize(
    "damage",
    [damage_packs, damage_config, lose_head, cut_off_a_fetch, cut_off_an_answer, cut_off_a_tree],
)
@pytest.mark.parametrize("pushed", [True, False])
def test_a_damaged_cache_is_put_right_by_the_next_attempt(
    attempts: Attempts, repository: Repository, damage: object, pushed: bool
) -> None:
    commit = repository.commit({"a.txt": "1"})
    attempts.new(wanted(repository)).check_out()
    damage(caches(attempts))  # type: ignore[operator]
    if pushed:
        commit = repository.commit({"a.txt": "2"})
    attempt = attempts.new(wanted(repository))
    assert attempt.check_out()[0]["commit"] == commit
    assert (attempt.workspace / "materials" / "a.txt").read_text() == ("2" if pushed else "1")


def test_an_attempt_that_is_killed_at_any_moment_leaves_a_cache_that_works(
    attempts: Attempts, repository: Repository
) -> None:
    repository.commit({f"folder{each % 30}/{each}.txt": str(each) for each in range(1500)})
    began = time.monotonic()
    whole = attempts.new(wanted(repository)).start("checkout")
    assert whole.communicate()[1] == b""
    lasts = time.monotonic() - began
    for part in range(5):
        shutil.rmtree(attempts.root / "cache")
        process = attempts.new(wanted(repository)).start("checkout")
        with suppress(subprocess.TimeoutExpired):
            process.wait(lasts * (part + 1) / 7)
        process.kill()
        process.communicate()
        attempt = attempts.new(wanted(repository))
        attempt.check_out()
        assert git(attempt.workspace / "materials", "status", "--porcelain") == ""


def test_a_stop_ends_an_attempt_that_waits_for_another(
    attempts: Attempts, repository: Repository
) -> None:
    repository.commit({"a.txt": "1"})
    attempts.new(wanted(repository)).check_out()
    with open(caches(attempts) / "lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = attempts.new(wanted(repository)).start("checkout")
        assert b"Stopped" in stop_once_it_hears(process)
