"""Finished checkouts, one for each commit lately used, of which every attempt gets a private copy.

trees/<commit>        clean files, and a `.git` that borrows the mirror's objects
trees/<commit>.lock   shared while it is copied, held alone while it is made or removed;
                      its time is the last use
trees/<commit>.part   while it is made; .gone while it is removed
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runhook.runner.copytree import copy_tree
from runhook.runner.git import Git
from runhook.runner.locks import locked, locked_if_free
from runhook.runner.mirror import object_format
from runhook.runner.process import Control

KEPT = 5


@dataclass(frozen=True)
class Trees:
    """The trees of one mirror. `folder` need not be there yet."""

    folder: Path
    control: Control

    def has(self, commit: str) -> bool:
        """Would a copy need neither the remote nor git?"""
        return (self.folder / commit).is_dir()

    def copy(self, commit: str, target: Path, make: Callable[[Path], None]) -> None:
        """Copy the commit's tree to `target`; if there is none, `make` it first, in a new folder.

        Attempts that want the same missing tree wait for the one that makes it. If that one is
        killed, the next begins anew.
        """
        tree, lock = self.folder / commit, self.folder / f"{commit}.lock"
        while True:
            with locked(lock, self.control, shared=True):
                if tree.is_dir():
                    os.utime(lock)
                    return copy_tree(tree, target, self.control)
            with locked(lock, self.control):
                if not tree.is_dir():
                    part = self.folder / f"{commit}.part"
                    shutil.rmtree(part, ignore_errors=True)
                    make(part)
                    os.rename(part, tree)
            self._remove_all_but(KEPT)

    def _remove_all_but(self, count: int) -> None:
        """Remove the trees that were not used for longest, unless they are in use just now."""
        locks = {path: path.stat().st_mtime_ns for path in self.folder.glob("*.lock")}
        for lock in sorted(locks, key=lambda path: locks[path], reverse=True)[count:]:
            with locked_if_free(lock) as free:
                if free:
                    self._remove(lock.stem)
                    lock.unlink()

    def _remove(self, commit: str) -> None:
        gone = self.folder / f"{commit}.gone"
        shutil.rmtree(gone, ignore_errors=True)
        if self.has(commit):
            os.rename(self.folder / commit, gone)
        for rest in (gone, self.folder / f"{commit}.part"):
            shutil.rmtree(rest, ignore_errors=True)


def make_tree(git: Git, mirror: Path, url: str, commit: str, target: Path) -> None:
    """Check the commit out of the mirror. HEAD is the commit itself, on no branch; the remote's
    branches and tags are there, `origin` is the plain URL. GitFailed if the mirror lacks something.
    """
    form = object_format(commit)
    own = ["--git-dir", str(target / ".git"), "--work-tree", str(target)]
    where = mirror.parent
    git.ask(
        "init",
        "--quiet",
        "--template=",
        f"--object-format={form}",
        str(target),
        cwd=where,
        protocol="none",
    )
    (target / ".git" / "objects" / "info").mkdir(exist_ok=True)
    (target / ".git" / "objects" / "info" / "alternates").write_text(f"{mirror / 'objects'}\n")
    with open(
        target / ".git" / "config", "a", encoding="utf-8", errors="surrogateescape"
    ) as config:
        config.write(f'[remote "origin"]\n\turl = {_quoted(url)}\n\tfetch = +{BRANCHES}\n')
    arguments = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--"]
    refs = [f"+{BRANCHES}", "+refs/tags/*:refs/tags/*"]
    git.ask(*own, *arguments, str(mirror), *refs, cwd=where, protocol="file")
    git.ask(
        *own, "checkout", "--quiet", "--force", "--detach", commit, "--", cwd=where, protocol="none"
    )


BRANCHES = "refs/heads/*:refs/remotes/origin/*"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
