"""What a token may be used for, as text: words with blanks between them.

A word is an action of `model.access`, such as `runs:read`, or one of `JOB_ACTIONS` bound to one
job: `jobs:start:<job id>`. A scope that is None limits nothing. A scope never gives a right: the
account behind the token must have it, too.
"""

import re
from collections.abc import Iterable

from runhook.model.access import ACTIONS, JOB_ACTIONS

LONGEST_SCOPE = 8192
JOB_ID = re.compile(r"[0-9a-f]{32}")
START_ONE = ("jobs:start", "jobs:read", "runs:read", "runs:cancel")
"""What it takes to start one job, to see how that went, and to end it."""


def words_of(text: str) -> list[str]:
    """The words, each once, in the order given."""
    return list(dict.fromkeys(text.split()))


def action_of(word: str) -> str:
    """`jobs:start:5f…` → `jobs:start`."""
    return ":".join(word.split(":")[:2])


def bound(actions: Iterable[str], job_id: str) -> str:
    """The scope of these actions on one job."""
    return " ".join(f"{action}:{job_id}" for action in actions)


def why_wrong(word: str) -> str | None:
    """What is wrong with a word, as a sentence; None if nothing is. Whether its job exists is not
    asked: a token may outlive a job, and tells nobody whether there is one."""
    action = action_of(word)
    if action not in ACTIONS:
        return f"{word[:80]!r} is not known"
    if word == action:
        return None
    if action not in JOB_ACTIONS:
        known = ", ".join(sorted(JOB_ACTIONS))
        return f"{action} cannot be bound to one job; {known} can"
    if not JOB_ID.fullmatch(word[len(action) + 1 :]):
        return f"{word[:80]!r} names no job: write {action}:<id of the job>"
    return None


def covers(scope: frozenset[str] | None, word: str) -> bool:
    """May a token of `scope` be used for all that `word` allows?"""
    return scope is None or word in scope or action_of(word) in scope


def common(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """What both allow: `jobs:start` and `jobs:start:5f…` have the latter in common."""
    return frozenset(
        {word for word in one if covers(other, word)}
        | {word for word in other if covers(one, word)}
    )
