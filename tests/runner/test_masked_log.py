"""The pipe between a run that has secrets and its log."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runhook.runner import masked_log
from runhook.runner.masked_log import MaskedLog
from runhook.runner.masking import Masker
from runhook.runner.process import Control, capture
from tests.runner.steps import Attempts

MASKER = Masker(["the-secret"])


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    yield descriptor
    os.close(descriptor)


def whole(file: int) -> bytes:
    return os.pread(file, 10_000_000, 0)


def never() -> None:
    raise AssertionError("nothing was lost")


def test_what_is_written_is_there_masked_once_it_has_settled(file: int) -> None:
    log = MaskedLog(file, MASKER, never)
    for _ in range(50):
        os.write(log.fd, b"a the-sec")
        log.settle()
        assert whole(file).endswith(b"a ")
        os.write(log.fd, b"ret.\n")
        log.settle()
        assert whole(file).endswith(b"a ***.\n")
    os.write(log.fd, b"the-sec")
    log.close()
    assert whole(file) == b"a ***.\n" * 50 + b"the-sec"


def test_a_full_disk_loses_output_but_holds_nobody_up() -> None:
    losses: list[int] = []
    full = os.open("/dev/full", os.O_WRONLY)
    log = MaskedLog(full, MASKER, lambda: losses.append(1))
    for _ in range(64):
        os.write(log.fd, b"x" * 1024 * 1024)
    log.close()
    os.close(full)
    assert losses == [1]


def test_what_cannot_be_ended_is_not_waited_for(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masked_log, "DRAIN_SECONDS", 0.3)
    for program in ("while True: pass", "while True: print('y', flush=True)"):
        log = MaskedLog(file, MASKER, never)
        words = [sys.executable, "-c", f"print('begun', flush=True)\n{program}"]
        process = subprocess.Popen(words, stdout=log.fd, stderr=subprocess.DEVNULL)
        limit = time.monotonic() + 30
        while b"begun" not in whole(file):
            assert time.monotonic() < limit
            log.settle()
        began = time.monotonic()
        log.close()
        assert time.monotonic() - began < 10
        process.kill()
        process.wait()
        os.truncate(file, 0)


def test_no_thread_and_no_descriptor_is_left(file: int) -> None:
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        log = MaskedLog(file, MASKER, never)
        os.write(log.fd, b"text")
        log.close()
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before


def test_what_git_complains_of_goes_through_the_mask_to_log_and_reason(
    attempts: Attempts, tmp_path: Path
) -> None:
    attempt = attempts.new()
    words = ["bash", "-c", "echo out the-secret; echo bad the-secret >&2; exit 3"]
    with attempt.running() as (reporter, control):
        assert isinstance(control, Control)
        ended, output = capture(
            words,
            cwd=tmp_path,
            env={},
            output=reporter.log_fd,
            control=control,
            mask=MASKER.mask,
        )
    assert (ended.code, ended.errors, attempt.log) == (3, "bad ***\n", "bad ***\n")
    assert output == b"out the-secret\n"
