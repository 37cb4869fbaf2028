"""Notebooks of attempts that nobody saw the end of."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from runhook.runner import mending
from runhook.runner.mending import mend_notebook
from runhook.runner.spec import Places, RunSpec, write_whole
from tests.runner.notebooks import journal, kept, shown, statuses


@pytest.fixture
def spec(tmp_path: Path) -> RunSpec:
    made = RunSpec(
        "0" * 32, "1" * 32, "2" * 32, "a", str(tmp_path / "a"), 0.0, "api", Places("c"),
        notebook="nb/a.ipynb",
    )  # fmt: skip
    made.save()
    (tmp_path / "a" / "artifacts").mkdir()
    return made


def leave(spec: RunSpec, *states: str, status: str = "running") -> None:
    """What a runner that was killed leaves."""
    cells = [
        nbformat.v4.new_code_cell("1", metadata={"runhook": {"status": each}}) for each in states
    ]
    cells.insert(1, nbformat.v4.new_markdown_cell("words"))
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"runhook": {"status": status}})
    (Path(spec.directory) / "artifacts" / "a.ipynb").write_text(nbformat.writes(notebook))


def test_the_running_cell_is_lost_and_what_follows_never_ran(spec: RunSpec) -> None:
    leave(spec, "ok", "running", "pending")
    assert mend_notebook(Path(spec.directory), "its runner was killed")
    notebook = kept(spec)
    assert statuses(notebook) == ["ok", None, "lost", "never_ran"]
    assert "its runner was killed" in shown(notebook["cells"][2])
    assert notebook["metadata"]["runhook"] == {"status": "lost", "reason": "its runner was killed"}
    assert [(each["cell"], each["status"]) for each in journal(spec)] == [
        (3, "lost"),
        (4, "never_ran"),
    ]
    assert not mend_notebook(Path(spec.directory), "again")
    assert kept(spec) == notebook


def test_one_that_had_begun_nothing_says_so_before_its_first_cell(spec: RunSpec) -> None:
    leave(spec, "pending", "pending")
    assert mend_notebook(Path(spec.directory), "the machine was restarted")
    assert statuses(kept(spec)) == ["never_ran", None, "never_ran"]
    assert "the machine was restarted" in shown(kept(spec)["cells"][0])


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", '{"metadata": 1, "cells": []}', "[" * 9999])
def test_what_is_no_notebook_of_a_runner_is_left_as_it_is(spec: RunSpec, text: str) -> None:
    path = Path(spec.directory) / "artifacts" / "a.ipynb"
    path.write_text(text)
    assert not mend_notebook(Path(spec.directory), "lost")
    assert path.read_text() == text


@pytest.mark.parametrize("what", ["file", "folder"])
def test_no_link_that_the_work_left_is_followed(spec: RunSpec, tmp_path: Path, what: str) -> None:
    leave(spec, "running")
    artifacts, outside = Path(spec.directory) / "artifacts", tmp_path / "outside"
    moved: Any = artifacts / "a.ipynb" if what == "file" else artifacts
    moved.rename(outside)
    moved.symlink_to(outside)
    assert not mend_notebook(Path(spec.directory), "lost")
    notebook = json.loads((outside if what == "file" else outside / "a.ipynb").read_text())
    assert notebook["metadata"]["runhook"]["status"] == "running"


def test_what_was_interrupted_is_told_once_and_mended_the_next_time(
    spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(spec, "ok", "running", "pending")

    def full(*_: object) -> None:
        raise OSError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(mending, "_replace", full)
        assert not mend_notebook(Path(spec.directory), "lost")
    told = journal(spec)
    assert [each["cell"] for each in told] == [3, 4]
    assert mend_notebook(Path(spec.directory), "lost")
    assert journal(spec) == told and statuses(kept(spec))[2] == "lost"


def test_a_file_with_the_longest_name_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 249 + ".ipynb")
    write_whole(path, "a")
    write_whole(path, "b")
    assert [each.name for each in tmp_path.iterdir()] == [path.name] and path.read_text() == "b"


def test_what_the_journal_told_later_than_the_notebook_is_believed(spec: RunSpec) -> None:
    leave(spec, "running", "pending", "pending")
    lines = (
        {"at": 1.0, "kind": "started", "cell": 1},
        {"at": 2.0, "kind": "finished", "cell": 1, "seconds": 1.0, "status": "ok"},
        {"at": 2.0, "kind": "started", "cell": 3},
    )
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (Path(spec.directory) / "cells.jsonl").write_text(text)
    assert mend_notebook(Path(spec.directory), "its runner was killed")
    assert statuses(kept(spec)) == ["ok", None, "lost", "never_ran"]
    ends = [(each["cell"], each["status"]) for each in journal(spec) if each["kind"] == "finished"]
    assert ends == [(1, "ok"), (3, "lost"), (4, "never_ran")]
