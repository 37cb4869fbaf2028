"""The checkout step: each repository at an exact commit, in a tree of the attempt's own.

What an unchanged branch costs: one git process (`ls-remote`), or none where another attempt has
asked since the start was made, and a copy of the finished tree. A whole commit id that was checked
out before costs the copy alone.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from runhook.runner.access import granted
from runhook.runner.address import parse
from runhook.runner.git import Git, GitFailed, failure
from runhook.runner.mirror import Mirror, damaged
from runhook.runner.process import Control
from runhook.runner.report import Reporter, StepFailed
from runhook.runner.spec import RepositorySpec, RunSpec, Secrets
from runhook.runner.trees import Trees, make_tree

COMMIT = re.compile(r"[0-9a-f]{7,64}")
WHOLE = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def check_out(
    spec: RunSpec, secrets: Secrets, reporter: Reporter, control: Control, workspace: Path
) -> list[dict[str, Any]]:
    """Check out every repository below `workspace` and report each as `checked_out`.

    The answer has {url, path, reference, commit} for each, in the order of the spec; `reference` is
    the name of the default branch where the spec names none. StepFailed says in one sentence what
    cannot be done; git's own words are in the log. Killed at any moment, it leaves a cache that the
    next attempt puts right. An outer folder is filled before one inside it, whatever their order.
    """
    facts = {}
    numbered = list(enumerate(spec.repositories))
    for number, repository in sorted(numbered, key=lambda item: item[1].folder.count("/")):
        control.check()
        facts[number] = _check_out(repository, spec, secrets, reporter, control, workspace)
        reporter.emit("checked_out", **facts[number])
    return [facts[number] for number, _ in numbered]


def _check_out(
    repository: RepositorySpec,
    spec: RunSpec,
    secrets: Secrets,
    reporter: Reporter,
    control: Control,
    workspace: Path,
) -> dict[str, Any]:
    address = parse(repository.url, spec.places)
    target = _place(workspace, repository.folder)
    git = Git(reporter.log_fd, control, spec.places.git_timeout, reporter.masker.mask)
    with granted(address, _credential(repository, secrets), secrets) as access:
        mirror = Mirror(spec, repository, address, git, access, reporter)
        trees = Trees(mirror.folder / "trees", control)
        try:
            reference, commit = _resolve(mirror)
            trees.copy(commit, target, lambda part: _make(mirror, commit, part))
        except GitFailed as error:
            raise failure(address, error.words, bool(repository.credential)) from None
    _tell_what_is_left_out(target, repository.folder, reporter)
    path = str(PurePosixPath(repository.folder))
    return {"url": repository.url, "path": path, "reference": reference, "commit": commit}


def _credential(repository: RepositorySpec, secrets: Secrets) -> Any:
    if repository.credential is None:
        return None
    try:
        return secrets.credentials[repository.credential]
    except KeyError:
        raise StepFailed(
            f"cannot fetch {repository.url} because its git credential is not there any more"
        ) from None


def _resolve(mirror: Mirror) -> tuple[str | None, str]:
    """The reference, and the commit it stands for now."""
    repository = mirror.repository
    if repository.reference and repository.reference_type == "commit":
        commit = repository.reference
        if not COMMIT.fullmatch(commit):
            raise StepFailed(
                f"cannot check out {repository.url} because {commit!r} is no commit: write 7 "
                "or more hexadecimal digits, in lower case"
            )
        return commit, commit if WHOLE.fullmatch(commit) else mirror.commit_of(commit)
    refs = mirror.refs()
    return repository.reference or refs.head_branch, refs.find(repository)


def _make(mirror: Mirror, commit: str, part: Path) -> None:
    """Make the commit's tree in `part`; a mirror that turns out to be damaged is made anew."""
    mirror.provide(commit)
    arguments = (mirror.git, mirror.path, mirror.address.url, commit, part)
    try:
        make_tree(*arguments)
    except GitFailed as error:
        if not damaged(error):
            raise
        mirror.discard()
        mirror.provide(commit)
        make_tree(*arguments)


def _place(workspace: Path, folder: str) -> Path:
    """The folder for a repository, its parents made. StepFailed if it lies outside the workspace,
    also by way of a link that another repository has brought, or has files in it."""
    parts = PurePosixPath(folder).parts
    if not parts or ".." in parts or PurePosixPath(folder).is_absolute() or "\x00" in folder:
        raise StepFailed(
            f"cannot check out into {folder!r} because that is no folder of the workspace"
        )
    place = workspace
    for part in parts:
        place = place / part
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise StepFailed(f"cannot check out into {folder} because {part} there is no folder")
        place.mkdir(exist_ok=True)
    if os.listdir(place):
        raise StepFailed(
            f"cannot check out into {folder} because there are files already: give each repository "
            "a folder of its own"
        )
    return place


def _tell_what_is_left_out(target: Path, folder: str, reporter: Reporter) -> None:
    """Submodules and Git LFS files are not fetched; say so where there are any."""
    if os.path.lexists(target / ".gitmodules"):
        reporter.say(
            f"{folder} has submodules, which are not fetched: add them as repositories of the job"
        )
    attributes = target / ".gitattributes"
    readable = attributes.is_file() and not attributes.is_symlink()
    if readable and b"filter=lfs" in attributes.read_bytes():
        reporter.say(f"{folder} keeps files in Git LFS; only their pointers are checked out")
