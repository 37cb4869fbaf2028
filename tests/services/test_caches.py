"""Freeing mirrors that the checkout step has made, with real git."""

import os
from pathlib import Path

from runhook.runner.spec import Places, RepositorySpec
from runhook.services import caches
from runhook.services.caches import Cache
from tests.conftest import Repository
from tests.runner.steps import Attempts


def only_cache(attempts: Attempts) -> Cache:
    (found,) = caches.list_caches(attempts.root / "cache")
    return found


def test_a_mirror_that_was_freed_is_made_anew_by_the_next_checkout(
    tmp_path: Path, repository: Repository
) -> None:
    attempts = Attempts(tmp_path, Places(str(tmp_path / "cache"), allow_file_urls=True))
    commit = repository.commit({"a.txt": "1"})
    wanted = RepositorySpec(repository.url, "materials")
    attempts.new(wanted).check_out()
    found = only_cache(attempts)
    assert found.bytes > 0
    assert caches.remove(found)
    assert not found.path.exists()
    again = attempts.new(wanted)
    assert again.check_out()[0]["commit"] == commit
    assert (again.workspace / "materials" / "a.txt").read_text() == "1"


def test_each_checkout_is_a_use_of_the_mirror(tmp_path: Path, repository: Repository) -> None:
    attempts = Attempts(tmp_path, Places(str(tmp_path / "cache"), allow_file_urls=True))
    commit = repository.commit({"a.txt": "1"})
    wanted = RepositorySpec(repository.url, "materials", commit, "commit")
    attempts.new(wanted).check_out()
    for mark in only_cache(attempts).path.glob("trees/*.lock"):
        os.utime(mark, (0, 0))
    before = only_cache(attempts)
    attempts.new(wanted).check_out()
    assert only_cache(attempts).at > before.at
    assert not caches.remove(before)
