"""What an attempt left is found soon, however the work nested it, and no descriptor stays open."""

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runhook import artifacts

FAR = 3000


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / artifacts.FOLDER
    made.mkdir()
    yield made
    ascend(made)


def descend(folder: Path, levels: int) -> None:
    """Folders within each other, each with a file, deeper than a path may be long."""
    here = os.open(folder, os.O_RDONLY)
    try:
        for _ in range(levels):
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
            os.mkdir("inner", dir_fd=here)
            below = os.open("inner", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
    finally:
        os.close(here)


def ascend(folder: Path) -> None:
    """Take such folders away, from above: whatever else removes them would recurse too far."""
    while (folder / "inner").exists():
        (folder / "file").unlink()
        (folder / "inner").rename(folder.with_name("lifted"))
        folder.rmdir()
        folder.with_name("lifted").rename(folder)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_folders_nested_very_deeply_are_listed_as_far_as_is_reasonable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    descend(folder, FAR)
    before, opened, really = open_descriptors(), [], os.open

    def counted(path: str, flags: int, *args: int, dir_fd: int | None = None) -> int:
        opened.append(path)
        return really(path, flags, *args, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", counted)
    found = artifacts.listing(folder.parent, 10_000)
    monkeypatch.undo()
    assert found.truncated
    assert [len(each.parts) for each in found.files] == list(range(1, artifacts.DEEPEST + 2))
    assert len(opened) <= artifacts.DEEPEST + 2  # each folder once
    data = b"".join(artifacts.zipped(folder.parent))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.namelist()) == len(found.files)
        assert archive.comment == artifacts.NOT_ALL
    assert open_descriptors() == before


def test_of_very_many_folders_some_are_looked_into(folder: Path) -> None:
    for number in range(artifacts.MOST_FOLDERS + 1):
        (folder / f"{number:05}").mkdir()
    (folder / "00000" / "first").touch()
    (folder / f"{artifacts.MOST_FOLDERS:05}" / "last").touch()
    before = open_descriptors()
    found = artifacts.listing(folder.parent, 10_000)
    assert ([each.path for each in found.files], found.truncated) == (["00000/first"], True)
    assert open_descriptors() == before


@pytest.mark.parametrize(("most", "truncated"), [(1, True), (4, True), (5, False), (6, False)])
def test_only_so_many_files_are_listed(folder: Path, most: int, truncated: bool) -> None:
    (folder / "b" / "c").mkdir(parents=True)
    paths = ["a", "z", "b/a", "b/z", "b/c/d"]
    for path in paths:
        (folder / path).touch()
    before = open_descriptors()
    found = artifacts.listing(folder.parent, most)
    assert [each.path for each in found.files] == paths[:most]
    assert found.truncated is truncated
    assert open_descriptors() == before
