"""One remote repository's place in the cache: what it last said, and a bare mirror of its objects.

    repositories/<key>/
    ├── lock          held by whoever talks to the remote or changes the mirror
    ├── refs.json     what the remote last said, and when it was asked
    ├── mirror.git/   every commit fetched so far; nothing is ever dropped from it
    ├── fetching      there while a fetch lasts: if it is found, one was cut off
    └── trees/        finished checkouts (trees.py)

The key holds the credential too, so no job reads through a mirror what its own could not fetch.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runhook.runner.address import Address
from runhook.runner.git import Git, GitFailed, failure
from runhook.runner.hostkeys import check_words
from runhook.runner.locks import locked
from runhook.runner.refs import Refs
from runhook.runner.report import Reporter, StepFailed
from runhook.runner.spec import RepositorySpec, RunSpec

EVERYTHING = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
MOST_PACKS = 50
DAMAGED = "the copy of the repository in the cache is damaged; fetching it anew"
DAMAGE = re.compile(
    r"corrupt|bad object|unable to read|unable to (parse|find)|loose object|packfile|index file|"
    r"missing (blob|tree|commit)|not a git repository|bad (tree|ref|config|signature)|broken|"
    r"invalid (sha1|object)|necessary objects|reference broken"
)


def mirror_folder(cache: str, repository: RepositorySpec) -> Path:
    """Where the mirror of a repository stands, be it there or not."""
    named = f"{repository.url}\n{repository.credential or ''}"
    key = hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()[:20]
    return Path(cache) / "repositories" / key


@dataclass(frozen=True)
class Mirror:
    """The mirror of one repository of one attempt. `access` lets git into the remote."""

    spec: RunSpec
    repository: RepositorySpec
    address: Address
    git: Git
    access: Mapping[str, str]
    reporter: Reporter

    @property
    def folder(self) -> Path:
        return mirror_folder(self.spec.places.cache, self.repository)

    @property
    def path(self) -> Path:
        return self.folder / "mirror.git"

    def refs(self) -> Refs:
        """What the remote says, asked no earlier than the start was made: by this attempt, or by
        another whose question this one may share, failure included."""
        saved = self.folder / "refs.json"
        told = self._told(saved)
        if told is None:
            with locked(self.folder / "lock", self.git.control):
                told = self._told(saved)
                if told is None:
                    told = self._ask()
                    told.save(saved)
        if told.failure:
            raise StepFailed(told.failure)
        return told

    def _told(self, saved: Path) -> Refs | None:
        told = Refs.load(saved)
        return told if told and told.serves(self.spec.requested_at, self.repository) else None

    def _ask(self) -> Refs:
        """One git process. Naming a branch or tag spares the remote a list of all it has."""
        began = time.time()
        if self.repository.reference:
            arguments = ["--heads", "--tags", "--", self.address.url]
        else:
            arguments = ["--", self.address.url, "HEAD", "refs/heads/*", "refs/tags/*"]
        try:
            listing = self._remote("ls-remote", "--quiet", "--symref", *arguments)
        except GitFailed as error:
            sentence = failure(self.address, error.words, bool(self.repository.credential)).reason
            return Refs(self.address.url, began, failure=sentence)
        except StepFailed as error:
            return Refs(self.address.url, began, failure=error.reason)
        return Refs.parse(self.address.url, began, listing)

    def commit_of(self, abbreviation: str) -> str:
        """The whole id of a commit named by its first digits. StepFailed unless there is one;
        GitFailed if the remote cannot be asked."""
        with locked(self.folder / "lock", self.git.control):
            for look in (self._known, self._fetched):
                if found := look(abbreviation):
                    return found
        raise StepFailed(
            f"cannot check out {self.address.url} because no branch or tag of it has one commit "
            f"{abbreviation}"
        )

    def _known(self, commit: str) -> str | None:
        """The commit's whole id if the mirror has it."""
        if not self.path.is_dir():
            return None
        with suppress(GitFailed):
            names = ["rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}"]
            found = self._local(*names).strip()
            return found if found.startswith(commit) else None
        return None

    def _fetched(self, commit: str) -> str | None:
        self._fetch(commit, EVERYTHING)
        return self._known(commit)

    def provide(self, commit: str) -> None:
        """Have the commit in the mirror. StepFailed if the remote does not have it, GitFailed if it
        cannot be asked."""
        with locked(self.folder / "lock", self.git.control):
            if self._known(commit) or self._fetched(commit):
                return
            self.reporter.say(f"{commit} is on no branch or tag; asking for it by itself")
            with suppress(GitFailed):
                self._fetch(commit, [commit])
            if not self._known(commit):
                raise StepFailed(
                    f"cannot check out {self.address.url} because it has no commit {commit}"
                )

    def _fetch(self, commit: str, wanted: list[str]) -> None:
        """Needs the lock. A mirror that turns out to be damaged is made anew, once."""
        self._make(commit)
        marker = self.folder / "fetching"
        if marker.exists():
            self._tidy()
        marker.touch()
        options = [
            "--quiet",
            "--force",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
        ]
        if wanted is EVERYTHING:
            options.append("--prune")
        where = ["--git-dir", str(self.path)]
        arguments = [*where, "fetch", *options, "--", self.address.url, *wanted]
        try:
            self._remote(*arguments)
        except GitFailed as error:
            if not damaged(error):
                raise
            self.reporter.say(DAMAGED)
            self._throw_away()
            self._make(commit)
            self._remote(*arguments)
        self._join_packs()
        marker.unlink(missing_ok=True)

    def discard(self) -> None:
        """Forget every object. Checkouts that borrow some find them again after the next fetch."""
        with locked(self.folder / "lock", self.git.control):
            self.reporter.say(DAMAGED)
            self._throw_away()

    def _throw_away(self) -> None:
        gone = self.folder / "mirror.gone"
        shutil.rmtree(gone, ignore_errors=True)
        with suppress(FileNotFoundError):
            os.rename(self.path, gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _make(self, commit: str) -> None:
        """An empty mirror, unless there is one; it never stands there half made."""
        if self.path.is_dir():
            return
        part = self.folder / "mirror.part"
        shutil.rmtree(part, ignore_errors=True)
        form = object_format(commit)
        self._local(
            "init", "--quiet", "--bare", "--template=", f"--object-format={form}", str(part)
        )
        os.rename(part, self.path)

    def _tidy(self) -> None:
        """Remove what a git that was killed left behind. The lock says that no other runs."""
        for pattern in ("*.lock", "refs/**/*.lock", "objects/**/tmp_*", "objects/incoming-*"):
            for path in self.path.glob(pattern):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    def _join_packs(self) -> None:
        """Keep the number of packs small: each fetch adds one, and git looks through all."""
        if sum(1 for _ in self.path.glob("objects/pack/*.pack")) > MOST_PACKS:
            with suppress(GitFailed):
                self._local("repack", "--quiet", "-d", "--geometric=2")

    def _local(self, *arguments: str) -> str:
        """Git within the mirror, or beside it if there is none yet; no transport at all."""
        where = ["--git-dir", str(self.path)] if self.path.is_dir() else []
        return self.git.ask(*where, *arguments, cwd=self.folder, protocol="none")

    def _remote(self, *arguments: str) -> str:
        """Git that talks to the remote. StepFailed where it is a question of its host key."""
        protocol = {"http": "http:https"}.get(self.address.scheme, self.address.scheme)
        try:
            return self.git.ask(*arguments, cwd=self.folder, protocol=protocol, access=self.access)
        except GitFailed as error:
            if self.address.scheme == "ssh":
                check_words(self.address, error.words, self.reporter, self.git.control)
            raise


def damaged(error: GitFailed) -> bool:
    """Do git's words say that it cannot read what the cache has?"""
    return bool(DAMAGE.search(error.words))


def object_format(commit: str) -> str:
    """Git's name of the hash that made the commit's id."""
    return "sha256" if len(commit) == 64 else "sha1"
