"""What differs between two runs of a job, by their facts alone. `this` and `other` are the runs,
always in this order; diffs are from `other` to `this`, so what `this` has more is marked `+`.
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LONGEST_TEXT = 20_000
"""Characters of a text that are compared; what is longer is cut, which the diff says."""
MOST_LINES = 1000
PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?\s*(?:==|@)\s*(\S+)")
LINK = {
    "github.com": "{url}/compare/{other}...{this}",
    "codeberg.org": "{url}/compare/{other}...{this}",
    "gitlab.com": "{url}/-/compare/{other}...{this}",
}


@dataclass(frozen=True)
class Pair:
    """One fact of both runs; `same` is None where that cannot be told. Of commits that differ,
    `url` is the repository's, `link` where its forge shows the difference, and `log`, where that is
    known, the commits that this run had and the other had not: {commit, author, at, subject}."""

    name: str
    this: Any
    other: Any
    same: bool | None
    url: str | None = None
    link: str | None = None
    log: Sequence[Mapping[str, str]] | None = None


@dataclass(frozen=True)
class Packages:
    """How the resolved packages differ: name → version, or both versions (this, other)."""

    added: dict[str, str]
    removed: dict[str, str]
    changed: dict[str, tuple[str, str]]
    same: int


def pairs(
    this: Mapping[str, Any], other: Mapping[str, Any], untold: Sequence[str] = ()
) -> list[Pair]:
    """Facts by name, in the order of `this`. Whether those `untold` differ is not said."""
    names = list(dict.fromkeys([*this, *other]))
    return [
        Pair(n, this.get(n), other.get(n), None if n in untold else _same(this, other, n))
        for n in names
    ]


def _same(this: Mapping[str, Any], other: Mapping[str, Any], name: str) -> bool:
    one, two = this.get(name), other.get(name)
    return (name in this) == (name in other) and type(one) is type(two) and one == two


def commits(this: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> list[Pair]:
    """The commits by the folder of their repository, with where a forge shows the difference."""
    ours, theirs = ({str(c.get("path")): c for c in each} for each in (this, other))
    found = []
    for name in dict.fromkeys([*ours, *theirs]):
        one, two = ours.get(name, {}), theirs.get(name, {})
        a, b = one.get("commit"), two.get("commit")
        of_one = one.get("url") == two.get("url")
        url = str(one["url"]) if a and b and a != b and of_one and one.get("url") else None
        link = _link(one, two) if url else None
        found.append(Pair(name, a, b, a == b and of_one, url, link))
    return found


def _link(this: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    url = str(this.get("url", ""))
    match = re.fullmatch(r"(https://([^/@:\s]+)/[^\s?#]+?)(?:\.git)?/?", url)
    if not match or match[2] not in LINK or other.get("url") != url:
        return None
    return LINK[match[2]].format(url=match[1], this=this["commit"], other=other["commit"])


def packages(this: str, other: str) -> Packages:
    """From two resolved lists (requirements files); what is not pinned in one line is left out."""
    ours, theirs = _pinned(this), _pinned(other)
    both = ours.keys() & theirs.keys()
    changed = {name: (ours[name], theirs[name]) for name in both if ours[name] != theirs[name]}
    return Packages(
        {name: version for name, version in ours.items() if name not in both},
        {name: version for name, version in theirs.items() if name not in both},
        dict(sorted(changed.items())),
        len(both) - len(changed),
    )


def _pinned(text: str) -> dict[str, str]:
    matches = (PINNED.match(line.strip()) for line in text.splitlines())
    found = {re.sub(r"[-_.]+", "-", m[1]).lower(): m[2] for m in matches if m}
    return dict(sorted(found.items()))


def as_text(value: Any) -> str:
    """JSON over several lines. RecursionError if it is nested too deeply."""
    return encodable(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True))


def encodable(text: str) -> str:
    """The text in which half surrogate pairs, which no page and no file can have, are written out:
    two that differ still do."""
    return text.encode("utf-8", "backslashreplace").decode()


def diff(this: str, other: str) -> str:
    """How to come from `other` to `this`, line by line; empty if they are the same. Texts are cut
    before they are compared, so that it is never long; the end says so."""
    if this == other:
        return ""
    ours, theirs = _lines(this), _lines(other)
    lines = list(difflib.unified_diff(theirs, ours, "other", "this", lineterm="", n=2))[2:]
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], CUT]
    return "\n".join(lines) or CUT


def diff_of_values(this: Any, other: Any) -> str:
    """The same for JSON; what is nested too deeply to be laid out is not compared."""
    try:
        return diff(as_text(this), as_text(other))
    except RecursionError:
        return CUT


CUT = "… what follows is not compared"


def _lines(text: str) -> list[str]:
    return text[:LONGEST_TEXT].splitlines()[:MOST_LINES]
