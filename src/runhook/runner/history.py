"""Which commits lie between two of a mirror, asked of the mirror alone: the remote is not needed,
and what was never fetched is not known."""

from dataclasses import dataclass

from runhook.runner.git import GitFailed
from runhook.runner.mirror import Mirror

MOST_COMMITS = 100
LONGEST_SUBJECT = 200
FIELD, RECORD = "\x1f", "\x1e"


@dataclass(frozen=True)
class Commit:
    """A commit of the log; `at` is an instant as git writes it (ISO 8601)."""

    commit: str
    author: str
    at: str
    subject: str


def commits_between(mirror: Mirror, since: str, until: str) -> list[Commit] | None:
    """The commits that `until` has and `since` has not, newest first, at most `MOST_COMMITS`; None
    if the mirror has not both. Both are whole ids."""
    if not mirror.path.is_dir():
        return None
    words = ["log", f"--max-count={MOST_COMMITS}", "--no-show-signature", "--no-notes"]
    form = f"--format=%H{FIELD}%an{FIELD}%aI{FIELD}%s{RECORD}"
    where = ["--git-dir", str(mirror.path)]
    try:
        text = mirror.git.ask(
            *where, *words, form, f"{since}..{until}", "--", cwd=mirror.folder, protocol="none"
        )
    except GitFailed:
        return None
    readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    lines = [each.strip("\n").split(FIELD) for each in readable.split(RECORD)]
    return [
        Commit(c, a, at, s[:LONGEST_SUBJECT]) for c, a, at, s in (x for x in lines if len(x) == 4)
    ]
