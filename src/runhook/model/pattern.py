"""Patterns of files that a run keeps: `*.csv`, `out/**/*.png`, relative to where it works."""

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

LONGEST_PATTERN = 512
MOST_PARTS = 32
MOST_DEEP = 4
"""How often `**` may stand in a pattern."""


def checked_pattern(pattern: str) -> str:
    """The pattern as it was given. ValueError, as a sentence, if it could match outside the
    workspace, or is more than anybody means."""
    if not pattern or len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"a pattern has 1 to {LONGEST_PATTERN} characters")
    if "\x00" in pattern or "\\" in pattern:
        raise ValueError("a pattern is written with plain slashes")
    if pattern.startswith(("/", "~")):
        raise ValueError("write a pattern relative to where the run works, such as out/*.csv")
    parts = PurePosixPath(pattern).parts
    if ".." in parts or not parts:
        raise ValueError("the pattern leaves the workspace: write it without '..'")
    if len(parts) > MOST_PARTS or parts.count("**") > MOST_DEEP:
        raise ValueError(
            f"a pattern has at most {MOST_PARTS} parts, and {MOST_DEEP} of them may be **"
        )
    if any("**" in part and part != "**" for part in parts):
        raise ValueError("write ** as a part of its own: out/**/*.csv")
    return pattern


ArtifactPattern = Annotated[str, AfterValidator(checked_pattern)]
