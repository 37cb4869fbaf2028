"""Tidying up after the work, as somebody who is not root."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
