"""Keeping what the work made: notebooks a command wrote where it ran, the value returned."""

import json
import os
import shutil
from pathlib import Path

from runhook.runner.report import Reporter
from runhook.runner.variables import result_value_path

LARGEST_VALUE = 1024 * 1024

Listing = dict[str, tuple[int, int]]


def notebooks_in(directory: Path) -> Listing:
    """The notebooks that stand in a directory: name → (time of change in ns, size)."""
    found: Listing = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".ipynb") and entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                found[entry.name] = (status.st_mtime_ns, status.st_size)
    return found


def keep_notebooks(directory: Path, before: Listing, artifacts: Path) -> None:
    """Copy the notebooks that are new or changed since `before`; one the work put there itself
    is left as it is."""
    for name, mark in notebooks_in(directory).items():
        if before.get(name) != mark and not (artifacts / name).exists():
            shutil.copy2(directory / name, artifacts / name, follow_symlinks=False)


def check_value(directory: Path, reporter: Reporter) -> None:
    """The value that the work returned must be JSON and of reasonable size, else it is dropped,
    which a notice says."""
    path = result_value_path(directory)
    if path.is_symlink() or not path.is_file():
        return
    if path.stat().st_size > LARGEST_VALUE:
        reporter.emit("notice", message=f"the result is larger than {LARGEST_VALUE} bytes: dropped")
        path.unlink()
        return
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        reporter.emit("notice", message=f"the result is not JSON, so it was dropped: {error}")
        path.unlink()
