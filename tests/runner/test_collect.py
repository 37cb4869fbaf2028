"""Taking over what the work made, while the work may still live and mean to mislead."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from runhook.runner.collect import keep_artifacts, mask_notebooks
from runhook.runner.masking import Masker
from runhook.runner.report import Reporter
from runhook.runner.tree import descendants_stopped

SECRET = "a-long-secret-value"


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    folder = tmp_path / "attempt" / "artifacts"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def reporter(artifacts: Path) -> Reporter:
    return Reporter(artifacts.parent, None, Masker([SECRET]))


def test_nobody_else_may_write_to_what_is_kept(artifacts: Path, reporter: Reporter) -> None:
    inner = artifacts / "inner"
    inner.mkdir()
    (inner / "file").write_text("kept")
    (inner / "locked").touch(mode=0o000)
    (inner / "file").chmod(0o4777)
    inner.chmod(0o777)
    if os.geteuid() == 0:
        for path in (inner, inner / "file", artifacts):
            os.chown(path, 65534, 65534)
    keep_artifacts(artifacts, reporter)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (inner, *inner.iterdir())}
    assert modes == {"inner": 0o755, "file": 0o755, "locked": 0o600}
    assert {path.stat().st_uid for path in artifacts.rglob("*")} == {os.geteuid()}


def test_a_link_that_takes_a_files_place_changes_no_rights_of_the_host(
    tmp_path: Path, artifacts: Path, reporter: Reporter
) -> None:
    host = tmp_path / "host"
    host.write_text("private")
    host.chmod(0o600)
    file = artifacts / "file"
    with _swapping(file, host):
        for _ in range(500):
            keep_artifacts(artifacts, reporter)
    assert host.stat().st_mode & 0o7777 == 0o600


def test_a_notebook_is_masked_where_it_is_and_a_link_is_not_read(
    tmp_path: Path, artifacts: Path, reporter: Reporter
) -> None:
    host, inner = tmp_path / "host.ipynb", artifacts / "inner"
    host.write_text(json.dumps({"cells": [SECRET]}))
    inner.mkdir()
    (inner / "own.ipynb").write_text(json.dumps({"cells": [SECRET, "more"]}))
    (inner / "link.ipynb").symlink_to(host)
    os.mkfifo(inner / "pipe.ipynb")
    mask_notebooks(artifacts, reporter)
    assert sorted(path.name for path in inner.iterdir()) == ["own.ipynb"]
    masked = json.loads((inner / "own.ipynb").read_text())
    assert masked["cells"][1] == "more"
    assert SECRET not in masked["cells"][0]
    assert SECRET in host.read_text()


def test_what_still_lives_stands_still_meanwhile_and_goes_on_then() -> None:
    program = "import time\nwhile True: print(flush=True); time.sleep(0.01)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        with descendants_stopped():
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WSTOPSIG(status) == signal.SIGSTOP
        _, status = os.waitpid(process.pid, os.WCONTINUED)
        assert os.WIFCONTINUED(status)
        process.kill()


@contextmanager
def _swapping(file: Path, host: Path) -> Iterator[None]:
    """Something else takes the file's place all the time: a link to `host`, and a new file."""
    over = threading.Event()

    def swap() -> None:
        link = file.with_name("link")
        while not over.is_set():
            with suppress(OSError):
                file.unlink(missing_ok=True)
                file.touch(mode=0o666)
                file.chmod(0o777)
                link.symlink_to(host)
                link.rename(file)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
