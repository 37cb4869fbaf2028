"""Which files patterns match, and that nothing is kept that a hostile workspace leads to."""

import json
import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from runhook.model.pattern import ArtifactPattern
from runhook.runner import patterns as module
from runhook.runner.masking import Masker
from runhook.runner.patterns import keep_matching, matched
from runhook.runner.report import Reporter
from tests.runner.steps import Attempts

FILES = ("a.csv", "out/b.csv", "out/deep/c.csv", "out/d.png", ".hidden/e.csv", "out/.f.csv", "[x]")


def matches(pattern: str, path: str) -> bool:
    wanted = frozenset({PurePosixPath(pattern).parts})
    for part in path.split("/"):
        wanted = matched(wanted, part)
    return () in wanted


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.csv", ["a.csv"]),
        ("out/*", ["out/b.csv", "out/d.png"]),
        ("**/*.csv", ["a.csv", "out/b.csv", "out/deep/c.csv"]),
        ("out/**", ["out/b.csv", "out/deep/c.csv", "out/d.png"]),
        ("**", ["a.csv", "out/b.csv", "out/deep/c.csv", "out/d.png", "[x]"]),
        ("**/deep/**/c.csv", ["out/deep/c.csv"]),
        (".hidden/*.csv", [".hidden/e.csv"]),
        ("out/.*", ["out/.f.csv"]),
        ("[[]x]", ["[x]"]),
        ("out", []),
        ("*.CSV", []),
    ],
)
def test_patterns_match_as_a_shell_has_it(pattern: str, found: list[str]) -> None:
    assert [path for path in FILES if matches(pattern, path)] == found


NAMES = st.sampled_from(["a", "b", "ab", "a.b", "x"])
PARTS = st.sampled_from(["*", "**", "a*", "?", "[ab]", "a", "b"])


@given(st.lists(NAMES, min_size=1, max_size=5), st.lists(PARTS, min_size=1, max_size=5))
def test_matching_agrees_with_python(names: list[str], parts: list[str]) -> None:
    pattern, path = "/".join(parts), "/".join(names)
    if parts.count("**") > 1 or parts[-1] == "**":
        return  # there Python of several versions has several opinions
    if "**" in parts:
        at = parts.index("**")
        rest = len(names) - len(parts) + 1
        if rest < 0:
            assert not matches(pattern, path)
            return
        parts = [*parts[:at], *["*"] * rest, *parts[at + 1 :]]
    same = len(parts) == len(names)
    whole = "/".join(parts)
    assert matches(pattern, path) == (same and PurePosixPath(f"/{path}").match(f"/{whole}"))


@pytest.mark.parametrize(
    "pattern",
    ["", "/etc/*", "../*", "a/../../b", "~/x", "a\\b", "a\x00", "a**/b", "/".join("a" * 40),
     "/".join(["**"] * 5), "x" * 600],
)  # fmt: skip
def test_a_pattern_that_leads_elsewhere_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(ArtifactPattern).validate_python(pattern)


@pytest.fixture
def places(attempts: Attempts) -> tuple[Path, Path, Path]:
    """The directory of an attempt, its workspace and its artifacts."""
    directory = attempts.new().directory
    for name in ("workspace", "artifacts"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    return directory, directory / "workspace", directory / "artifacts"


def keep(
    places: tuple[Path, Path, Path], *patterns: str, masker: Masker | None = None,
    room: int | None = None, folder: str = ".",
) -> list[str]:  # fmt: skip
    """Keep what matches; the notices."""
    directory, workspace, artifacts = places
    reporter = Reporter(directory, None, masker)
    keep_matching(workspace, workspace / folder, patterns, artifacts, reporter, room)
    events = directory / "events.jsonl"
    lines = events.read_text().splitlines() if events.exists() else []
    return [json.loads(line)["data"]["message"] for line in lines]


def kept(artifacts: Path) -> list[str]:
    found = [each for each in artifacts.rglob("*") if each.is_file() and not each.is_symlink()]
    return sorted(str(each.relative_to(artifacts)) for each in found)


def test_files_are_kept_at_their_paths_below_the_working_directory(
    places: tuple[Path, Path, Path],
) -> None:
    _, workspace, artifacts = places
    for name in FILES:
        path = workspace / "job" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (workspace / "a.csv").write_text("outside the working directory")
    assert keep(places, "*.csv", "out/**/*.csv", folder="job") == []
    assert kept(artifacts) == ["a.csv", "out/b.csv", "out/deep/c.csv"]
    assert (artifacts / "a.csv").read_text() == "a.csv"


def test_links_pipes_and_folders_that_lead_elsewhere_give_nothing(
    places: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, workspace, artifacts = places
    secret = tmp_path / "server" / "secret.csv"
    secret.parent.mkdir()
    secret.write_text("secret")
    (workspace / "link.csv").symlink_to(secret)
    (workspace / "folder").symlink_to(secret.parent)
    (workspace / "hard.csv").write_text("fine")
    os.mkfifo(workspace / "pipe.csv")
    told = keep(places, "**/*.csv", "folder/*")
    assert kept(artifacts) == ["hard.csv"]
    assert len(told) == 1 and "no links, pipes" in told[0]


def test_what_the_work_put_among_the_artifacts_leads_no_copy_elsewhere(
    places: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, workspace, artifacts = places
    away = tmp_path / "away"
    away.mkdir()
    for name in ("sub/a.csv", "own.csv", "file/b.csv", "aim.csv"):
        (workspace / name).parent.mkdir(exist_ok=True)
        (workspace / name).write_text("new")
    (artifacts / "sub").symlink_to(away)
    (artifacts / "own.csv").write_text("own")
    (artifacts / "file").write_text("a file where a folder should be")
    (artifacts / "aim.csv").symlink_to(away / "aim.csv")
    keep(places, "**/*.csv")
    assert list(away.iterdir()) == []
    assert (artifacts / "own.csv").read_text() == "own"


def test_a_working_directory_that_is_a_link_out_of_the_workspace_gives_nothing(
    places: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, workspace, artifacts = places
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "a.csv").write_text("x")
    (workspace / "job").symlink_to(tmp_path / "else")
    keep(places, "*.csv", folder="job")
    assert kept(artifacts) == []


def test_what_does_not_fit_is_not_kept_and_said(places: tuple[Path, Path, Path]) -> None:
    _, workspace, artifacts = places
    (workspace / "a.csv").write_bytes(b"x" * 60)
    (workspace / "b.csv").write_bytes(b"x" * 60)
    with (workspace / "huge.csv").open("wb") as file:
        file.truncate(2**43)  # sparse: its copy would fill the disk
    told = keep(places, "*.csv", room=100)
    assert kept(artifacts) == ["a.csv"]
    assert told == ["2 of what the artifact patterns match does not fit any more"]


def test_there_is_an_end_to_how_many_are_looked_at_and_kept(
    places: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, workspace, artifacts = places
    for number in range(20):
        (workspace / f"{number:02}.csv").write_text("x")
    monkeypatch.setattr(module, "MOST_KEPT", 3)
    assert "only 3 files" in keep(places, "*.csv")[0]
    assert len(kept(artifacts)) == 3
    monkeypatch.setattr(module, "MOST_LOOKED_AT", 10)
    assert "among 10 files" in keep(places, "*.csv")[-1]


def test_notebooks_are_masked_and_other_files_are_as_they_were(
    places: tuple[Path, Path, Path],
) -> None:
    _, workspace, artifacts = places
    for name in ("n.ipynb", "n.txt"):
        (workspace / name).write_text('{"cells": ["hunter-two"]}')
    keep(places, "n.*", masker=Masker(["hunter-two"]))
    assert "hunter-two" not in (artifacts / "n.ipynb").read_text()
    assert "hunter-two" in (artifacts / "n.txt").read_text()
