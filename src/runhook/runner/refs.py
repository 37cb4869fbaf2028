"""What a remote said about its branches and tags, and when it was asked."""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from runhook.runner.report import StepFailed
from runhook.runner.spec import RepositorySpec, write_whole

BRANCHES, TAGS = "refs/heads/", "refs/tags/"


@dataclass(frozen=True)
class Refs:
    """Commits by the name of their branch or tag. `started_at` is when the question was begun
    (seconds since 1970): the answer is no older. `failure` is the sentence if there was none."""

    url: str
    started_at: float
    head: str | None = None
    head_branch: str | None = None
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    failure: str | None = None

    @classmethod
    def parse(cls, url: str, started_at: float, listing: str) -> Self:
        """From the output of `git ls-remote --symref`. A tag object counts as what it tags."""
        head, head_branch, branches, tags = None, None, {}, {}
        for line in listing.splitlines():
            value, _, name = line.partition("\t")
            if name == "HEAD":
                if value.startswith("ref: "):
                    head_branch = value.removeprefix("ref: ").removeprefix(BRANCHES)
                else:
                    head = value
            elif name.startswith(BRANCHES):
                branches[name.removeprefix(BRANCHES)] = value
            elif name.startswith(TAGS):  # `v1^{}` comes after `v1`
                tags[name.removeprefix(TAGS).removesuffix("^{}")] = value
        return cls(url, started_at, head, head_branch, branches, tags)

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """What was last said; None if that is nothing, or cannot be read."""
        try:
            return cls(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def save(self, path: Path) -> None:
        """Write it whole."""
        write_whole(path, json.dumps(asdict(self)))

    def serves(self, requested_at: float, repository: RepositorySpec) -> bool:
        """Is it as new as the start, and about what the repository asks for? A question for named
        branches and tags is not answered with HEAD. One from the future is not believed."""
        asked = bool(self.head or self.failure or repository.reference)
        return requested_at <= self.started_at <= time.time() and asked

    def find(self, repository: RepositorySpec) -> str:
        """The commit of the repository's branch or tag, or of HEAD. StepFailed if there is none."""
        reference, kind = repository.reference, repository.reference_type
        if not reference:
            if self.head is None:
                raise StepFailed(
                    f"cannot check out {self.url} because it has no default branch with a commit"
                )
            return self.head
        mine, other = (self.tags, self.branches) if kind == "tag" else (self.branches, self.tags)
        if reference in mine:
            return mine[reference]
        raise StepFailed(
            f"cannot check out {self.url} because it has no {kind} {reference}"
            + (
                f": it is a {'branch' if kind == 'tag' else 'tag'} there"
                if reference in other
                else ""
            )
        )
