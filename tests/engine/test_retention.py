"""Retention on real files and rows, with a clock of our own."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runhook.api import retention as api
from runhook.disk import DiskGuard, Space, tree_size
from runhook.engine.pruner import BATCH, Pruner
from runhook.engine.sweeper import Sweeper
from runhook.errors import Conflict, Forbidden, NotFound, SettingsError
from runhook.model.access import RUN_SCOPES, Caller
from runhook.model.job import Job
from runhook.model.policy import Retention
from runhook.model.run import Run, RunState
from runhook.runner import held
from runhook.runner.environment import _taken
from runhook.runner.identity import own_identity
from runhook.runner.locks import locked_if_free
from runhook.runner.mirror import mirror_folder
from runhook.runner.scratch import remove_tree
from runhook.runner.spec import RepositorySpec
from runhook.services import caches, jobs, retention
from runhook.services.retention import Bounds, Rules, falls_out, plan
from runhook.store import attempts, events
from tests.engine.conftest import NOON, Engine

pytestmark = pytest.mark.anyio
NOTHING = {
    **dict.fromkeys(("age", "size", "total_size", "history", "cache_age", "cache_size"), "0"),
    "runs": 0,
}
ROOM, FULL = Space(10**12, 10**11), Space(10**12, 10**6)


def rules(**words: object) -> Rules:
    """No bound but those given."""
    return Rules.of({**NOTHING, **words})


def pruner(engine: Engine, **words: object) -> Pruner:
    return Pruner(engine.database, engine.site, rules(**words))


async def prune(engine: Engine, **words: object) -> None:
    """Let the pruner do all it can at this instant."""
    each = pruner(engine, **words)
    while await each.tick(engine.now):
        pass


async def sweep(engine: Engine, disk: DiskGuard | None = None, **words: object) -> None:
    """A whole round of the sweeper."""
    guard = disk or DiskGuard(engine.site.attempts, look=lambda _: ROOM)
    each = Sweeper(engine.database, engine.site, rules(**words), guard)
    while await each.tick(engine.now):
        pass


async def ended(engine: Engine, job: Job, size: int = 100) -> Run:
    """A run that has ended and keeps `size` bytes, all of them in its log and an artifact."""
    run = await engine.start(job)
    await engine.settle()
    attempt_id = (await engine.view(run)).attempts[-1].id
    directory = engine.site.directory(attempt_id)
    (directory / "artifacts").mkdir()
    engine.executor.finish(attempt_id, "succeeded", engine.now.timestamp(), 0)
    engine.watcher.tell(attempt_id)
    await engine.settle()
    for path in ("spec.json", "result.json"):
        (directory / path).write_bytes(b"")
    (directory / "log").write_bytes(b"x" * (size // 2))
    (directory / "artifacts" / "file").write_bytes(b"x" * (size - size // 2))
    return await engine.run(run)


async def directory_of(engine: Engine, run: Run) -> Path:
    return engine.site.directory((await engine.view(run)).attempts[-1].id)


async def kept(engine: Engine, job: Job) -> list[int]:
    """The numbers of the job's runs whose files are there; the rows must say the same."""
    numbers = []
    for run in await engine.runs_of(job):
        there = (await directory_of(engine, run)).exists()
        assert there is (run.pruned_at is None)
        numbers += [run.number] if there else []
    return sorted(numbers)


async def pin(engine: Engine, run: Run, pinned: bool = True) -> Run:
    return await engine.database.write(
        lambda tx: retention.pin(tx, engine.caller, run.id, pinned, engine.now)
    )


async def test_the_log_and_artifacts_of_an_ended_run_are_measured_once(engine: Engine) -> None:
    job = await engine.job()
    run = await ended(engine, job, 300)
    directory = await directory_of(engine, run)
    (directory / "workspace").mkdir()
    (directory / "workspace" / "scratch").write_bytes(b"x" * 1000)
    (directory / "artifacts" / "elsewhere").symlink_to("/usr")
    await prune(engine)
    length = len(os.readlink(directory / "artifacts" / "elsewhere"))
    assert (await engine.run(run)).kept_bytes == 300 + length
    (directory / "log").write_bytes(b"")
    await prune(engine)
    assert (await engine.run(run)).kept_bytes == 300 + length


async def test_files_older_than_the_age_go_and_the_rest_of_the_run_stays(engine: Engine) -> None:
    job = await engine.job()
    old = await ended(engine, job)
    engine.pass_time(days=3)
    young = await ended(engine, job)
    engine.pass_time(days=3)
    await prune(engine, age="5d")
    assert await kept(engine, job) == [young.number]
    pruned = await engine.run(old)
    assert (pruned.state, pruned.number, pruned.pruned_at) == (old.state, old.number, engine.now)
    assert pruned.kept_bytes == 0
    assert (await engine.view(old)).events
    await prune(engine, age="5d")
    assert (await engine.run(old)).pruned_at == pruned.pruned_at


async def test_the_newest_runs_of_each_job_are_kept_and_skipped_ones_do_not_count(
    engine: Engine,
) -> None:
    first = await engine.job(name="first", concurrency_policy="Forbid")
    second = await engine.job(name="second")
    for _ in range(3):
        await ended(engine, first)
        engine.pass_time(minutes=1)
    await ended(engine, second)
    living = await engine.start(first)
    skipped = [await engine.start(first) for _ in range(3)]
    assert {run.state for run in skipped} == {RunState.SKIPPED}
    await prune(engine, runs=2)
    left = [run.number for run in await engine.runs_of(first) if run.pruned_at is None]
    assert sorted(left) == [2, 3, living.number, *(run.number for run in skipped)]
    assert await kept(engine, second) == [1]


async def test_a_job_says_itself_what_it_keeps_and_the_server_says_the_rest(
    engine: Engine,
) -> None:
    own = await engine.job(name="own", retention={"size": 250})
    other = await engine.job(name="other")
    for job in (own, other):
        for _ in range(4):
            await ended(engine, job)
            engine.pass_time(minutes=1)
    await prune(engine, size=350, runs=0)
    assert (await kept(engine, own), await kept(engine, other)) == ([3, 4], [2, 3, 4])
    engine.pass_time(days=2)
    await prune(engine, age="1d")
    assert (await kept(engine, own), await kept(engine, other)) == ([], [])


async def test_the_total_takes_the_oldest_of_all_jobs(engine: Engine) -> None:
    made = [await engine.job(name=name) for name in ("a", "b")]
    for _ in range(3):
        for job in made:
            await ended(engine, job)
            engine.pass_time(minutes=1)
    await prune(engine, total_size=350)
    assert [await kept(engine, job) for job in made] == [[3], [2, 3]]


async def test_a_pinned_run_stays_until_it_is_unpinned(engine: Engine) -> None:
    job = await engine.job()
    run = await ended(engine, job)
    for _ in range(2):
        assert (await pin(engine, run)).pinned
    engine.pass_time(days=1000)
    await prune(engine, age="1d", runs=1, size=1, total_size=1, history="2d")
    assert await kept(engine, job) == [run.number]
    assert not (await pin(engine, run, False)).pinned
    await prune(engine, age="1d")
    assert await kept(engine, job) == []
    notes = [event for event in (await engine.view(run)).events if "pinned" in event.kind]
    assert [event.kind for event in notes] == ["pinned", "unpinned"]
    assert {event.data["by"] for event in notes} == {engine.caller.name}
    with pytest.raises(Conflict, match="its files were removed on 20"):
        await pin(engine, run)


async def test_only_those_who_may_change_a_run_pin_it(engine: Engine) -> None:
    run = await ended(engine, await engine.job())
    stranger = Caller("1", "stranger", "main/other")
    itself = Caller("1", "itself", engine.caller.owner, scopes=RUN_SCOPES)
    for caller, error in ((stranger, NotFound), (itself, Forbidden)):
        with pytest.raises(error):
            await engine.database.write(
                lambda tx, caller=caller: retention.pin(tx, caller, run.id, True, NOON)
            )


async def test_a_living_run_and_its_earlier_attempts_are_never_touched(engine: Engine) -> None:
    job = await engine.job(retries=1)
    run = await engine.start(job)
    await engine.settle()
    first = next(iter(engine.executor.specs))
    engine.executor.finish(first, "failed", engine.now.timestamp(), 1)
    engine.watcher.tell(first)
    await engine.settle()
    engine.pass_time(days=1000)
    await prune(engine, age="1s", runs=1, size=1, total_size=1, history="1s")
    assert len((await engine.view(run)).attempts) == 2
    assert all(engine.site.directory(each).is_dir() for each in engine.executor.specs)


async def test_rows_go_after_the_history_with_files_attempts_and_events(engine: Engine) -> None:
    job = await engine.job()
    old = await ended(engine, job)
    directory = await directory_of(engine, old)
    engine.pass_time(days=20)
    new = await ended(engine, job)
    await prune(engine, history="10d")
    assert [run.id for run in await engine.runs_of(job)] == [new.id]
    assert not directory.exists()
    assert await engine.database.read(lambda tx: attempts.list_attempts(tx, old.id)) == []
    assert await engine.database.read(lambda tx: events.list_events(tx, old.id)) == []
    assert (await ended(engine, job)).number == new.number + 1


async def test_an_interrupted_prune_is_done_again(engine: Engine) -> None:
    job = await engine.job()
    run = await ended(engine, job)
    await prune(engine)
    (await directory_of(engine, run) / "log").unlink()
    engine.pass_time(days=2)
    await prune(engine, age="1d")
    assert await kept(engine, job) == []


async def test_what_the_work_locked_away_goes_and_what_it_links_to_stays(
    engine: Engine, tmp_path: Path
) -> None:
    job = await engine.job()
    run = await ended(engine, job)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    kept_files = await directory_of(engine, run) / "artifacts"
    (kept_files / "link").symlink_to(outside)
    (kept_files / "closed").mkdir()
    (kept_files / "closed" / "file").touch()
    (kept_files / "closed").chmod(0)
    engine.pass_time(days=2)
    await prune(engine, age="1d")
    assert await kept(engine, job) == []
    assert (outside / "precious").exists()


async def test_a_deleted_job_goes_part_by_part_with_its_pinned_runs(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runhook.engine.pruner.BATCH", 2)
    job = await engine.job()
    made = [await ended(engine, job) for _ in range(5)]
    directories = [await directory_of(engine, run) for run in made]
    await pin(engine, made[0])
    await engine.database.write(lambda tx: jobs.delete(tx, engine.caller, job.id, engine.now))
    each = pruner(engine)
    assert await each.tick(engine.now)
    assert sum(directory.exists() for directory in directories) == 3
    while await each.tick(engine.now):
        pass
    assert not any(directory.exists() for directory in directories)
    with pytest.raises(NotFound):
        await engine.run(made[0])


async def test_a_plan_says_what_goes_and_why_and_changes_nothing(engine: Engine) -> None:
    job = await engine.job()
    for _ in range(4):
        await ended(engine, job)
        engine.pass_time(days=1)
    await prune(engine)
    bounds = rules(age="30h", runs=2, history="84h", total_size="150")
    found = await engine.database.read(lambda tx: plan(tx, bounds, engine.now, BATCH))
    assert [(run.number, reason) for run, reason in found.history] == [
        (1, "the history keeps them for 3.5 days")
    ]
    assert [(run.job, run.number, run.bytes, reason) for run, reason in found.files] == [
        ("main/admin/a-job", 2, 100, "the job keeps them for 1.25 days"),
        ("main/admin/a-job", 3, 100, "the job keeps them for 1.25 days"),
    ]
    assert await kept(engine, job) == [1, 2, 3, 4]


async def test_the_dry_run_and_the_prune_tell_the_same_and_only_one_wakes_the_loops(
    engine: Engine,
) -> None:
    job = await engine.job()
    run = await ended(engine, job)
    environment(engine, "a0", NOON - timedelta(days=2), 50)
    scratch = await directory_of(engine, run) / "tmp"
    scratch.mkdir()
    (scratch / "file").write_bytes(b"x" * 7)
    await prune(engine)
    engine.pass_time(days=3)
    disk = DiskGuard(engine.site.attempts, look=lambda _: ROOM)
    server = SimpleNamespace(
        rules=rules(age="1d", cache_age="1d"), disk=disk, site=engine.site, bus=engine.database.bus
    )
    call: Any = SimpleNamespace(
        server=server,
        caller=engine.caller,
        now=engine.now,
        read=engine.database.read,
        write=engine.database.write,
    )
    kept_for = "keeps them for 1 day"
    named = {"id": run.id, "job": "main/admin/a-job", "number": 1}
    left = f"attempts/{scratch.parent.name}/tmp"
    expected = {
        "runs": [{**named, "bytes": 100, "reason": f"the job {kept_for}"}],
        "caches": [{"name": "environments/a0", "bytes": 50, "reason": f"the cache {kept_for}"}],
        "leftovers": [{"name": left, "bytes": 7, "reason": "the attempt has ended"}],
        "bytes": 157,
        "free_bytes": ROOM.free,
        "disk": None,
    }
    with engine.database.bus.subscribe("prune") as hint:
        assert json.loads((await api.show(call)).body) == expected
        assert not await hint.wait(0)
        assert json.loads((await api.prune(call)).body) == expected
        assert await hint.wait(0)
    assert await kept(engine, job) == [1] and scratch.exists()
    call.caller = Caller("1", "stranger", engine.caller.owner)
    for handler in (api.show, api.prune):
        with pytest.raises(Forbidden):
            await handler(call)


things = st.tuples(st.integers(0, 1), st.integers(1, 300), st.integers(0, 100), st.booleans())


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    made=st.lists(things, max_size=8),
    minutes=st.sampled_from([0, 60]),
    count=st.sampled_from([0, 1, 3]),
    size=st.sampled_from([0, 200, 500]),
    total=st.sampled_from([0, 300, 900]),
)
async def test_afterwards_the_bounds_hold_or_nothing_is_left_that_may_go(
    engine: Engine,
    made: list[tuple[int, int, int, bool]],
    minutes: int,
    count: int,
    size: int,
    total: int,
) -> None:
    pair = [await engine.job(name=name) for name in ("a", "b")]
    ages = []
    for which, length, pause, pinned in made:
        run = await ended(engine, pair[which], length)
        if pinned:
            await pin(engine, run)
        ages.append((run, which, length, pinned, engine.now))
        engine.pass_time(minutes=pause)
    await prune(engine)
    words = {"age": f"{minutes}m" if minutes else "0", "runs": count, "size": str(size)}
    bounds = rules(**words, total_size=str(total))
    expected = await engine.database.read(lambda tx: plan(tx, bounds, engine.now, 10_000))
    await prune(engine, **words, total_size=str(total))

    left = [each for each in ages if (await directory_of(engine, each[0])).exists()]
    gone = {each[0].id for each in ages} - {each[0].id for each in left}
    assert gone == {run.id for run, _ in expected.files}
    for which in (0, 1):
        mine = [each for each in left if each[1] == which]
        loose = [each for each in mine if not each[3]]
        assert not count or len(loose) <= count
        assert not size or not loose or sum(each[2] for each in mine) <= size
        assert not minutes or all(
            engine.now - each[4] <= timedelta(minutes=minutes) for each in loose
        )
    loose = [each for each in left if not each[3]]
    assert not total or not loose or sum(each[2] for each in left) <= total

    for job in pair:
        await engine.database.write(
            lambda tx, job=job: jobs.delete(tx, engine.caller, job.id, engine.now)
        )
    await prune(engine)


async def test_scratch_goes_once_its_attempt_has_ended_for_a_while(engine: Engine) -> None:
    job = await engine.job()
    run = await ended(engine, job)
    living = await engine.start(job)
    await engine.settle()
    places = [await directory_of(engine, each) / "workspace" for each in (run, living)]
    for place in places:
        (place / "deep").mkdir(parents=True)
    await sweep(engine)
    assert all(place.exists() for place in places)
    engine.pass_time(hours=1)
    await sweep(engine)
    assert [place.exists() for place in places] == [False, True]
    assert await kept(engine, job) == [run.number, living.number]


async def test_only_old_directories_that_look_like_attempts_and_that_no_row_knows_go(
    engine: Engine, tmp_path: Path
) -> None:
    job = await engine.job()
    known = await directory_of(engine, await ended(engine, job))
    root = engine.site.attempts
    outside = tmp_path / "outside"
    unknown, link = root / "ab" / ("ab" + "0" * 30), root / "ab" / ("ab" + "1" * 30)
    others = [root / "ab" / "notes", root / "zz" / ("ab" + "0" * 30), root / "cd" / ("ab" * 16)]
    for folder in (unknown, outside / ("ef" * 16), *others):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    link.symlink_to(outside)
    (root / "ef").symlink_to(outside)
    born = datetime.fromtimestamp(unknown.stat().st_mtime, NOON.tzinfo)
    engine.now = born + timedelta(hours=23)
    await sweep(engine)
    assert unknown.exists()
    engine.now = born + timedelta(hours=25)
    await sweep(engine)
    assert not unknown.exists()
    assert known.exists() and link.is_symlink() and (root / "ef").is_symlink()
    assert all((folder / "file").exists() for folder in (outside / ("ef" * 16), *others))


def aged(path: Path, at: datetime) -> None:
    os.utime(path, (at.timestamp(), at.timestamp()))


def environment(engine: Engine, key: str, at: datetime, size: int = 100) -> Path:
    folder = Path(engine.site.places.cache) / "environments" / key
    (folder / "venv").mkdir(parents=True)
    (folder / "venv" / "file").write_bytes(b"x" * size)
    (folder / "complete").touch()
    aged(folder / "complete", at)
    return folder


def mirror(engine: Engine, url: str, at: datetime) -> Path:
    folder = mirror_folder(engine.site.places.cache, RepositorySpec(url, "folder"))
    (folder / "mirror.git" / "objects").mkdir(parents=True)
    (folder / "trees" / "c0ffee").mkdir(parents=True)
    for name in ("lock", "refs.json", "trees/c0ffee.lock", "trees/c0ffee/file"):
        (folder / name).touch()
        aged(folder / name, at)
    return folder


async def test_environments_and_mirrors_go_when_nobody_has_used_them_for_long(
    engine: Engine,
) -> None:
    long_ago, lately = NOON - timedelta(days=40), NOON - timedelta(days=20)
    old = environment(engine, "a0", long_ago), mirror(engine, "https://x.example/old", long_ago)
    new = environment(engine, "a1", lately), mirror(engine, "https://x.example/new", lately)
    await sweep(engine, cache_age="30d")
    assert [path.exists() for path in (*old, *new)] == [False, False, True, True]
    await sweep(engine, cache_age="10d")
    cache = Path(engine.site.places.cache)
    assert [sorted((cache / kind).iterdir()) for kind in ("environments", "repositories")] == [
        [],
        [],
    ]


async def test_above_the_size_the_caches_unused_for_longest_go(engine: Engine) -> None:
    folders = [environment(engine, f"a{n}", NOON - timedelta(days=9 - n)) for n in range(3)]
    await sweep(engine, cache_size=250)
    assert [folder.exists() for folder in folders] == [False, True, True]


async def test_what_living_runs_use_stays_however_old_it_is(engine: Engine) -> None:
    url, long_ago = "https://x.example/a.git", NOON - timedelta(days=400)
    job = await engine.job(git_repositories=[{"url": url}])
    await engine.start(job)
    await engine.settle()
    attempt_id = next(iter(engine.executor.specs))
    engine.executor.report(attempt_id, "environment", NOON.timestamp(), key="a0", cached=True)
    engine.watcher.tell(attempt_id)
    await engine.settle()
    used = environment(engine, "a0", long_ago), mirror(engine, url, long_ago)
    unused = environment(engine, "a1", long_ago)
    disk = DiskGuard(engine.site.attempts, look=lambda _: FULL)
    await sweep(engine, disk, cache_age="1d", cache_size=1)
    assert all(path.exists() for path in used) and not unused.exists()
    engine.executor.finish(attempt_id, "succeeded", engine.now.timestamp(), 0)
    engine.watcher.tell(attempt_id)
    await engine.settle()
    await sweep(engine, cache_age="1d")
    assert not any(path.exists() for path in used)


async def hold(engine: Engine, run: Run, runner: int) -> Path:
    """Say that the kernel of an ended run is held by that process."""
    directory = await directory_of(engine, run)
    about = {"until": 0.0, "runner": asdict(own_identity()) | {"pid": runner}, "connection": {}}
    (directory / held.FILE).write_text(json.dumps(about))
    engine.site = replace(engine.site, hint_socket=str(engine.site.attempts.parent / "hints"))
    pointer = held.pointer_of(engine.site.hint_socket, run.job_id)
    assert pointer
    pointer.write_text(str(directory))
    return directory


async def test_what_a_held_kernel_stands_in_and_uses_stays_until_it_is_gone(engine: Engine) -> None:
    url, long_ago = "https://x.example/a.git", NOON - timedelta(days=400)
    job = await engine.job(git_repositories=[{"url": url}])
    run = await engine.start(job)
    await engine.settle()
    directory = await directory_of(engine, run)
    engine.executor.report(directory.name, "environment", NOON.timestamp(), key="a0", cached=True)
    engine.executor.finish(directory.name, "failed", engine.now.timestamp(), 1)
    engine.watcher.tell(directory.name)
    await engine.settle()
    used = environment(engine, "a0", long_ago), mirror(engine, url, long_ago)
    places = (directory / "workspace", *used)
    places[0].mkdir()
    await hold(engine, run, os.getpid())
    engine.pass_time(hours=1)
    await sweep(engine, cache_age="1d")
    assert all(path.exists() for path in places)
    await hold(engine, run, 2**22)  # its runner is gone
    await sweep(engine, cache_age="1d")
    assert not any(path.exists() for path in places)


async def test_a_held_kernel_is_released_before_its_files_are_pruned(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await engine.job()
    directory = await hold(engine, await ended(engine, job), os.getpid())
    released = []

    def remove(path: Path) -> bool:
        released.append((path / held.RELEASE).exists())
        return remove_tree(path)

    monkeypatch.setattr("runhook.engine.pruner.remove_tree", remove)
    engine.pass_time(days=3)
    await prune(engine, age="1d")
    assert released == [True] and not directory.exists()


async def test_a_cache_whose_lock_somebody_holds_stays(engine: Engine) -> None:
    long_ago = NOON - timedelta(days=400)
    folder, repository = environment(engine, "a0", long_ago), mirror(engine, "u", long_ago)
    locks = [folder.with_suffix(".lock"), repository / "trees" / "c0ffee.lock"]
    with locked_if_free(locks[0]) as first, locked_if_free(locks[1]) as second:
        assert first and second
        await sweep(engine, cache_age="1d")
    assert (folder / "complete").exists() and (repository / "mirror.git").exists()
    await sweep(engine, cache_age="1d")
    assert not folder.exists() and not repository.exists()


async def test_an_environment_that_is_taken_while_it_is_to_go_stays(engine: Engine) -> None:
    folder = environment(engine, "a0", NOON - timedelta(days=400))
    (found,) = caches.list_caches(Path(engine.site.places.cache))
    assert _taken(folder)
    assert not caches.remove(found)
    assert _taken(folder) and (folder / "venv" / "file").exists()
    (again,) = caches.list_caches(Path(engine.site.places.cache))
    assert caches.remove(again)
    assert not _taken(folder) and not folder.exists()


async def test_a_mirror_that_is_used_while_it_is_to_go_stays(engine: Engine) -> None:
    folder = mirror(engine, "u", NOON - timedelta(days=400))
    (found,) = caches.list_caches(Path(engine.site.places.cache))
    os.utime(folder / "trees" / "c0ffee.lock")
    assert not caches.remove(found)
    assert (folder / "trees" / "c0ffee").exists() and (folder / "mirror.git").exists()


async def test_a_disk_that_is_nearly_full_frees_caches_until_there_is_room(engine: Engine) -> None:
    folders = [environment(engine, f"a{n}", NOON - timedelta(hours=9 - n)) for n in range(3)]
    fresh = environment(engine, "a9", NOON - timedelta(minutes=30))
    disk = DiskGuard(
        engine.site.attempts,
        look=lambda _: ROOM if sum(each.exists() for each in folders) < 2 else FULL,
        clock=iter(range(100)).__next__,
    )
    await sweep(engine, disk)
    assert [each.exists() for each in folders] == [False, False, True]
    assert fresh.exists()


def test_the_guard_says_what_to_do_and_looks_at_most_once_a_second(tmp_path: Path) -> None:
    state = SimpleNamespace(space=Space(10**11, 312 * 10**6), now=0.0, looks=0)

    def look(_: Path) -> Space:
        state.looks += 1
        return state.space

    guard = DiskGuard(tmp_path, look=look, clock=lambda: state.now)
    sentence = (
        f"the disk of {tmp_path} has 312.0 MB left, less than the reserve of 1.0 GB: remove files, "
        "or lower RUNHOOK_SERVER_DISK_RESERVE"
    )
    assert [guard.reason() for _ in range(3)] == [sentence] * 3
    assert state.looks == 1
    state.space = Space(10**11, 2 * 10**9)
    assert guard.reason() == sentence
    state.now = 1.0
    assert guard.reason() is None


@pytest.mark.parametrize(
    ("reserve", "total", "free", "low"),
    [
        ("", 10**9, 19 * 10**6, True),  # 2 % of a small disk
        ("", 10**9, 21 * 10**6, False),
        ("", 10**12, 999 * 10**6, True),  # 1 GB of a large one
        ("", 10**12, 1001 * 10**6, False),
        ("50GB", 10**12, 49 * 10**9, True),  # what was asked for, whatever the disk
        ("0", 10**12, 0, False),
    ],
)
def test_the_reserve(tmp_path: Path, reserve: str, total: int, free: int, low: bool) -> None:
    guard = DiskGuard.of(tmp_path, reserve)
    guard._look = lambda _: Space(total, free)
    assert (guard.reason() is not None) is low


def test_a_disk_that_cannot_be_looked_at_counts_as_full(tmp_path: Path) -> None:
    assert "cannot be looked at" in (DiskGuard(tmp_path / "nowhere").reason() or "")
    assert DiskGuard(tmp_path, 1).reason() is None
    assert DiskGuard(tmp_path, 1).free() > 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rules(age="soon"), "RUNHOOK_RETENTION_AGE is 'soon': write seconds"),
        (lambda: rules(cache_size="lots"), "RUNHOOK_RETENTION_CACHE_SIZE is 'lots': write bytes"),
        (lambda: rules(runs=-1), "RUNHOOK_RETENTION_RUNS is -1"),
        (lambda: DiskGuard.of(Path(), "some"), "RUNHOOK_SERVER_DISK_RESERVE is 'some'"),
    ],
)
def test_a_wrong_setting_is_named(make: Callable[[], object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        make()


def test_the_size_of_a_tree_counts_each_file_once_and_follows_no_link(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / "below").mkdir(parents=True)
    outside.write_bytes(b"x" * 1000)
    (tree / "file").write_bytes(b"x" * 10)
    os.link(tree / "file", tree / "below" / "same")
    os.link(outside, tree / "below" / "other")
    assert tree_size(tree) == 1010
    assert tree_size(tree, ("below",)) == 10
    assert tree_size(tmp_path / "nowhere") == 0


def test_bounds_of_a_job_replace_those_of_the_server_one_by_one() -> None:
    server = Bounds("the job", timedelta(days=90), None, 10**9)
    own = server.for_job(Retention(age="1d", runs=5))
    assert own == Bounds("the job", timedelta(days=1), 5, 10**9)
    assert list(falls_out([], own, 0, 0, NOON)) == []
