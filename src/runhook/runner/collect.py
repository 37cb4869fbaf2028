"""Keeping what the work made: notebooks a command wrote where it ran, the value returned. Secrets
that stand in them are masked; other artifacts are kept as they are."""

import json
import os
import shutil
from pathlib import Path

from runhook.runner.masking import Masker
from runhook.runner.report import Reporter
from runhook.runner.spec import write_whole
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


def keep_notebooks(directory: Path, before: Listing, artifacts: Path, masker: Masker) -> None:
    """Copy the notebooks that are new or changed since `before`; one the work put there itself
    stays where it is. In either, secrets are masked."""
    for name, mark in notebooks_in(directory).items():
        if before.get(name) != mark and not (artifacts / name).exists():
            if masker:
                _keep_masked(directory / name, artifacts / name, masker)
            else:
                shutil.copy2(directory / name, artifacts / name, follow_symlinks=False)


def mask_notebooks(artifacts: Path, masker: Masker) -> None:
    """Mask the notebooks that the work put among the artifacts itself, at any depth."""
    for folder, _, names in os.walk(artifacts):
        for name in names:
            path = Path(folder) / name
            if name.endswith(".ipynb") and path.is_file() and not path.is_symlink():
                _keep_masked(path, path, masker)


def _keep_masked(source: Path, target: Path, masker: Masker) -> None:
    """The notebook at `source`, masked, at `target`. No link is followed: the work may have put one
    there at this moment."""
    with open(source, "rb", opener=_no_link) as file:
        data = file.read()
    masked = masked_json(data, masker)
    if source != target or masked != data:
        write_whole(target, masked)


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def masked_json(data: bytes, masker: Masker) -> bytes:
    """`data`, masked text by text if it is JSON, so that it stays JSON; without a secret, as it
    is."""
    try:
        value = json.loads(data)
        masked = masker.mask_value(value)
        if masked != value:
            data = json.dumps(masked, indent=1, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        pass
    return masker.mask(data)


def check_value(directory: Path, reporter: Reporter, written: Path | None = None) -> None:
    """The value that the work returned must be JSON and of reasonable size, else it is dropped,
    which a notice says. Secrets in it are masked. `written` is where the work left it, if that is
    not where it is kept."""
    kept = result_value_path(directory)
    path = written or kept
    if path.is_symlink() or not path.is_file():
        return
    if path.stat().st_size > LARGEST_VALUE:
        reporter.emit("notice", message=f"the result is larger than {LARGEST_VALUE} bytes: dropped")
        path.unlink()
        return
    data = path.read_bytes()
    try:
        json.loads(data)
    except (ValueError, RecursionError) as error:
        reporter.emit("notice", message=f"the result is not JSON, so it was dropped: {error}")
        path.unlink()
        return
    masked = masked_json(data, reporter.masker)
    if path != kept or masked != data:
        write_whole(kept, masked)
