"""Repositories that mean harm: to check one out executes nothing of it."""

import subprocess
from pathlib import Path

import pytest

from runhook.runner.report import StepFailed
from runhook.runner.spec import RepositorySpec
from tests.conftest import Repository
from tests.runner.conftest import attempts
from tests.runner.steps import Attempts

__all__ = ["attempts"]


def wanted(repository: Repository, reference: str | None = None, **more: str) -> RepositorySpec:
    return RepositorySpec(repository.url, "materials", reference, **more)  # type: ignore[arg-type]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that leaves a mark beside itself."""
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\ntouch {tmp_path}/executed\ncat\n")
    path.chmod(0o755)
    return path


def executed(program: Path) -> bool:
    return (program.parent / "executed").exists()


def test_its_attributes_hooks_and_configuration_execute_nothing(
    attempts: Attempts, repository: Repository, program: Path
) -> None:
    repository.commit(
        {
            ".gitattributes": "* filter=evil diff=evil merge=evil ident\n",
            ".gitconfig": f"[core]\n\tfsmonitor = {program}\n",
            ".gitmodules": f'[submodule "s"]\n\tpath = s\n\turl = ext::{program}\n'
            f"\tupdate = !{program}\n",
            "a.txt": "1",
        }
    )
    for name in ("filter.evil.smudge", "filter.evil.process", "core.fsmonitor", "core.sshCommand"):
        repository.git("config", name, str(program))
    for name in ("diff.evil.textconv", "uploadpack.packObjectsHook", "core.gitProxy"):
        repository.git("config", name, str(program))
    (repository.path / ".git" / "hooks").mkdir(exist_ok=True)
    for name in ("post-checkout", "pre-receive", "reference-transaction", "post-index-change"):
        hook = repository.path / ".git" / "hooks" / name
        hook.write_text(program.read_text())
        hook.chmod(0o755)
    attempt = attempts.new(wanted(repository))
    attempt.check_out()
    assert (attempt.workspace / "materials" / "a.txt").read_text() == "1"
    assert not executed(program)


def test_a_remote_on_this_disk_names_no_program_to_fetch_with(
    attempts: Attempts, repository: Repository, program: Path
) -> None:
    repository.commit({"a.txt": "1"})
    blob = repository.git("rev-parse", "HEAD:a.txt")
    (repository.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    for name, value in (
        ("core.repositoryformatversion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.url", repository.url),
        ("remote.origin.promisor", "true"),
        ("remote.origin.uploadpack", str(program)),
    ):
        repository.git("config", name, value)
    with pytest.raises(StepFailed):
        attempts.new(wanted(repository)).check_out()
    assert not executed(program)


@pytest.mark.parametrize("url", ["ext::{0}", "--upload-pack={0}", "-u{0}", "fd::17", "{0}"])
def test_a_url_is_neither_an_option_nor_another_transport(
    attempts: Attempts, program: Path, url: str
) -> None:
    with pytest.raises(StepFailed, match="none that is offered"):
        attempts.new(RepositorySpec(url.format(program), "materials")).check_out()
    assert not executed(program)


@pytest.mark.parametrize("kind", ["branch", "tag", "commit"])
@pytest.mark.parametrize("reference", ["--upload-pack={0}", "-u{0}", "--output={0}", "@{{-1}}"])
def test_a_reference_is_no_option(
    attempts: Attempts, repository: Repository, program: Path, kind: str, reference: str
) -> None:
    repository.commit({"a.txt": "1"})
    text = program.read_text()
    attempt = attempts.new(wanted(repository, reference.format(program), reference_type=kind))
    with pytest.raises(StepFailed, match="cannot check out"):
        attempt.check_out()
    assert not executed(program)
    assert program.read_text() == text


def test_a_tree_that_reaches_into_git_is_refused(
    attempts: Attempts, repository: Repository, program: Path
) -> None:
    repository.commit({"a.txt": "1"})
    hook = repository.git("hash-object", "-w", str(program))
    inner = _tree(repository, f"100755 blob {hook}\tpost-checkout")
    hooks = _tree(repository, f"040000 tree {inner}\thooks")
    top = _tree(repository, f"040000 tree {hooks}\t.git")
    commit = repository.git("commit-tree", top, "-m", "evil")
    repository.git("update-ref", "refs/heads/evil", commit)
    attempt = attempts.new(wanted(repository, "evil"))
    with pytest.raises(StepFailed):
        attempt.check_out()
    assert not executed(program)


def _tree(repository: Repository, entry: str) -> str:
    """A tree with one entry, whatever git thinks of it."""
    mode, _, rest = entry.partition(" ")
    _, _, rest = rest.partition(" ")
    name, path = rest.split("\t")
    data = f"{mode.lstrip('0')} {path}\0".encode() + bytes.fromhex(name)
    words = ["git", "hash-object", "-t", "tree", "-w", "--stdin", "--literally"]
    done = subprocess.run(words, input=data, cwd=repository.path, check=True, capture_output=True)
    return done.stdout.decode().strip()
