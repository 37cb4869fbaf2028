"""Tidying up after the work, as somebody who is not root."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from runhook.runner import scratch
from runhook.runner.descent import below
from tests.conftest import ROOT

PROGRAM = """
import os, sys
from pathlib import Path
from runhook.runner import scratch
os.setuid(65534)
directory = Path(sys.argv[1]) / "attempt"
directory.mkdir()
workspace = scratch.make(directory)
(workspace / "a" / "b").mkdir(parents=True)
(workspace / "a" / "b" / "file").touch()
(workspace / "out").symlink_to(sys.argv[1])
os.chmod(workspace / "a" / "b", 0o500)
os.chmod(workspace / "a", 0)
os.chmod(workspace, 0o500)
scratch.remove(directory)
print(sorted(path.name for path in directory.iterdir()))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody who is not root")
def test_what_the_work_locked_up_is_removed_and_no_link_is_followed(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o711)
    (tmp_path / "keep").touch()
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT / "src")},
    )
    assert answer.stdout == "['artifacts']\n", answer.stderr
    assert (tmp_path / "keep").exists()


UID = 65534
AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
DEEP = 1500

SWAP = """
import os, sys
os.setuid(65534)
os.chdir(sys.argv[1])
print("ready", flush=True)
while True:
    try:
        os.rename("inner", "aside")
        os.symlink(sys.argv[2], "inner")
        os.unlink("inner")
        os.rename("aside", "inner")
    except OSError:
        pass
"""


@AS_ROOT
def test_what_is_given_is_given_whole_however_deep_and_no_link_is_followed(tmp_path: Path) -> None:
    host, folder = tmp_path / "host", tmp_path / "given"
    host.mkdir()
    folder.mkdir(mode=0o755)
    (folder / "link").symlink_to(host)
    _deepen(folder, DEEP)
    scratch.give(folder, UID)
    assert folder.stat().st_uid == UID
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "link").lstat().st_uid == UID
    assert host.stat().st_uid == 0
    assert _owners(folder) == {UID}
    assert scratch.remove_tree(folder)
    assert host.is_dir()


@AS_ROOT
def test_links_that_are_swapped_meanwhile_give_nothing_of_the_host_away(tmp_path: Path) -> None:
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o711)
    host, folder = tmp_path / "host", tmp_path / "given"
    (folder / "inner").mkdir(parents=True)
    host.mkdir()
    for number in range(50):
        (host / f"{number}").touch()
        (folder / "inner" / f"{number}").touch()
    scratch.give(folder, UID)
    swaps = [sys.executable, "-c", SWAP, str(folder), str(host)]
    with subprocess.Popen(swaps, stdout=subprocess.PIPE) as swapper:
        assert swapper.stdout
        swapper.stdout.readline()
        for _ in range(300):
            with suppress(OSError):  # that a folder was moved away is told
                scratch.give(folder, UID)
        swapper.kill()
    assert _owners(host) == {0}
    assert host.stat().st_uid == 0


def test_a_tree_deeper_than_any_path_is_removed(tmp_path: Path) -> None:
    _deepen(tmp_path / "deep", 3000)
    assert scratch.remove_tree(tmp_path / "deep")


def _deepen(folder: Path, depth: int) -> None:
    folder.mkdir(exist_ok=True)
    current = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=current)
        inner = os.open("d", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = inner
    os.close(current)


def _owners(folder: Path) -> set[int]:
    top = os.open(folder, os.O_RDONLY)
    try:
        return {
            os.stat(name, dir_fd=place, follow_symlinks=False).st_uid
            for place, name, _ in below(top)
        }
    finally:
        os.close(top)
