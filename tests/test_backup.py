"""Backups of real servers, tested by restoring them."""

import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runhook.archive import members as archive_members
from runhook.archive import writing
from runhook.errors import RunhookError
from runhook.keys import Keys
from runhook.restore import restore
from runhook.store.database import Database, sqlite_url
from runhook.store.schema import REVISION, exclude_others, migrate
from tests.conftest import Api, LiveServer, MakeServer, Repository
from tests.servers.git_http import serving_git
from tests.servers.postgres import Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


NewDatabase = Callable[[str], dict[str, str]]


@pytest.fixture
def settings_for(request: pytest.FixtureRequest) -> NewDatabase:
    """Settings of a server with its database in a file (sqlite), or in a new one (postgresql)."""

    def settings_of(kind: str) -> dict[str, str]:
        if kind == "sqlite":
            return {}
        server: Postgres = request.getfixturevalue("postgres")
        return {"RUNHOOK_DATABASE_URL": server.new_database()}

    return settings_of


def runhook(server: LiveServer, *words: object) -> subprocess.CompletedProcess[str]:
    """The command line with the settings of the server, for its data directory."""
    command, *more = map(str, words)
    return subprocess.run(
        [sys.executable, "-m", "runhook", command, "--data", str(server.data), *more],
        capture_output=True,
        text=True,
        env=server.environment,
        timeout=120,
    )


def done(server: LiveServer, *words: object) -> str:
    """What the command printed; it must have ended well."""
    ended = runhook(server, *words)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def refused(server: LiveServer, *words: object) -> str:
    """The one sentence of a command that must not end well."""
    ended = runhook(server, *words)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert ended.stderr.startswith("Error: cannot "), ended.stderr
    return ended.stderr


def empty_place(make_server: MakeServer, name: str, **settings: str) -> LiveServer:
    """A server whose data directory is not there yet."""
    server = make_server(name, **settings)
    shutil.rmtree(server.data)
    return server


def restored(server: LiveServer, backup: Path, cache: Path) -> Api:
    """The server made from the backup, serving; called with its own token."""
    done(server, "restore", backup)
    assert server.data.stat().st_mode & 0o77 == 0
    (server.data / "cache").symlink_to(cache)
    return Api(server.start(), server.token())


KINDS = ("sqlite", "postgresql")


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_a_restored_server_goes_on_where_the_backup_was_taken(
    make_server: MakeServer,
    settings_for: NewDatabase,
    shared_cache: Path,
    repository: Repository,
    tmp_path: Path,
    meeting: Path,
    source: str,
    target: str,
) -> None:
    repository.commit({"say.sh": "echo from git"})
    backup, executions = tmp_path / "server.backup", meeting / "executions"
    server = make_server(**settings_for(source)).start()
    api = Api(server, server.token())
    with serving_git(repository.path.parent, login=("ada", "s3cret")) as remote:
        prefix = {"name": "c", "kind": "token", "url_prefix": remote.url, "username": "ada"}
        made = api.request("POST", "/api/git/credentials", json=prefix | {"value": "s3cret"})
        assert made.status_code == 201, made.text
        repositories = [{"url": f"{remote.url}/materials"}]
        artifact = "printf 'a\\0b' > $RUNHOOK_ARTIFACTS/ü.bin"
        command = f"{artifact}; bash materials/say.sh"
        job = api.apply(name="from-git", command=command, git_repositories=repositories)
        key = {"Idempotency-Key": "once"}
        first = api.finished(api.start(job, headers=key)["id"])
        assert first["state"] == "succeeded", api.log(first["id"])
        long = api.apply(name="long", command=f"echo begun | tee -a {executions}; sleep 600")
        living = api.start(long)["id"]
        wait_for_first_line(api, living)

        audited = exported_audit(api)
        assert "run.started" in {entry["action"] for entry in audited}
        printed = done(server, "backup", backup)
        assert "2 jobs, 2 runs" in printed
        assert backup.stat().st_mode & 0o777 == 0o600

        place = empty_place(make_server, "other", **settings_for(target))
        again = restored(place, backup, shared_cache)
        assert again.token == api.token
        assert facts(again.run(first["id"])) == facts(first)
        assert again.log(first["id"]) == api.log(first["id"])
        assert kept(place) == kept(server)
        assert exported_audit(again)[: len(audited)] == audited
        lost = again.finished(living)
        assert (lost["state"], lost["number"]) == ("lost", 1)
        assert lost["reason"]
        assert again.log(living) == "begun\n"
        assert executions.read_text() == "begun\n"
        assert again.start(job, headers=key)["id"] == first["id"]
        second = again.finished(again.start(job)["id"])
        assert (second["state"], second["number"]) == ("succeeded", 2)
    assert api.run(living)["state"] == "running"


def exported_audit(api: Api) -> list[dict[str, object]]:
    lines = api.request("GET", "/api/audit/export").text.splitlines()
    return [json.loads(line) for line in lines]


def wait_for_first_line(api: Api, run_id: object) -> None:
    path = f"/api/runs/{run_id}/log?follow=1"
    with api.request("GET", path, stream=True) as stream:
        assert any(b"begun" in line for line in stream.iter_lines()), api.run(run_id)


def facts(run: dict[str, object]) -> dict[str, object]:
    """What is the same on every server, and does not change any more."""
    later = ("url", "kept_bytes")  # measured some time after the end
    return {name: value for name, value in run.items() if not name.endswith(later)}


def kept(server: LiveServer) -> dict[str, bytes]:
    """What the attempts that have ended left."""
    top = server.data / "attempts"
    ended = [path.parent for path in top.glob("*/*/result.json")]
    files = [path for folder in ended for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(top)): path.read_bytes() for path in files}


@pytest.mark.parametrize("source", KINDS)
def test_a_backup_taken_while_runs_are_started_holds_whole_runs(
    make_server: MakeServer, settings_for: NewDatabase, tmp_path: Path, source: str
) -> None:
    server = make_server(**settings_for(source)).start()
    api = Api(server, server.token())
    job = api.apply(name="busy", command="true")
    seen = []
    stop = threading.Event()

    def start_until_told() -> None:
        while not stop.is_set():
            api.start(job)

    callers = [threading.Thread(target=start_until_told) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        for number in range(2):
            done(server, "backup", tmp_path / f"{number}.backup")
    finally:
        stop.set()
        for caller in callers:
            caller.join(60)

    for number in range(2):
        place = empty_place(make_server, f"of-{number}")
        done(place, "restore", tmp_path / f"{number}.backup")
        with closing(sqlite3.connect(place.data / "runhook.db")) as rows:
            (created,) = rows.execute("SELECT runs_created FROM jobs").fetchone()
            numbers = [each for (each,) in rows.execute("SELECT number FROM runs ORDER BY number")]
            bare = rows.execute("SELECT id FROM runs WHERE id NOT IN (SELECT run_id FROM events)")
            assert numbers == list(range(1, created + 1))
            assert bare.fetchall() == []
            seen.append(created)
            assert rows.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert rows.execute("PRAGMA foreign_key_check").fetchall() == []
            ids = {each for (each,) in rows.execute("SELECT id FROM attempts")}
        assert {path.name for path in (place.data / "attempts").glob("*/*")} <= ids
    assert 0 < seen[0] < seen[1], "nothing was started meanwhile"


def test_an_attempt_that_was_just_handed_out_is_not_executed_by_the_restored_server(
    api: Api, make_server: MakeServer, shared_cache: Path, tmp_path: Path, meeting: Path
) -> None:
    executions = meeting / "executions"
    job = api.apply(name="long", command=f"echo begun | tee -a {executions}; sleep 600")
    run = api.start(job)["id"]
    wait_for_first_line(api, run)
    api.server.kill()
    with closing(sqlite3.connect(api.server.data / "runhook.db")) as rows, rows:
        rows.execute("UPDATE attempts SET handle = NULL, state = 'starting'")
    done(api.server, "backup", "--without-files", tmp_path / "b")
    again = restored(empty_place(make_server, "other"), tmp_path / "b", shared_cache)
    assert again.finished(run)["state"] == "lost"
    assert again.log(run) == ""
    assert executions.read_text() == "begun\n"


def test_a_backup_of_an_older_revision_is_migrated_and_a_newer_one_refused(
    make_server: MakeServer, tmp_path: Path
) -> None:
    server = make_server()
    url = sqlite_url(server.data / "runhook.db")
    Keys.open(server.data / "keys")
    with closing(Database(url)) as database, database.engine.connect() as connection:
        exclude_others(connection)
        migrate(connection, "0001")
        connection.commit()
    with closing(sqlite3.connect(server.data / "runhook.db")) as rows, rows:
        rows.execute("INSERT INTO known_hosts VALUES ('1', 'h', 'k', 'f', 5, NULL, NULL)")
    done(server, "backup", tmp_path / "old")
    place = empty_place(make_server, "other")
    done(place, "restore", tmp_path / "old")
    with closing(sqlite3.connect(place.data / "runhook.db")) as rows:
        assert rows.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISION,)]
        assert rows.execute("SELECT host, first_seen_at FROM known_hosts").fetchall() == [("h", 5)]
        assert rows.execute("SELECT count(*) FROM triggers").fetchone() == (0,)

    with closing(sqlite3.connect(server.data / "runhook.db")) as rows, rows:
        rows.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "newer Runhook" in refused(server, "backup", tmp_path / "newer")
    assert not (tmp_path / "newer").exists()


@pytest.fixture(scope="module")
def sample(shared_api: Api, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small backup of a server that has run something."""
    shared_api.finished(shared_api.start(shared_api.apply(name="a-job", command="echo hi"))["id"])
    backup = tmp_path_factory.mktemp("backups") / "sample"
    done(shared_api.server, "backup", backup)
    return backup


def test_a_restore_needs_an_empty_place(
    sample: Path, make_server: MakeServer, settings_for: NewDatabase
) -> None:
    full = make_server("full")
    message = refused(full, "restore", sample)
    assert "it is not empty: there is cache in it" in message
    assert os.listdir(full.data) == ["cache"]

    url = settings_for("postgresql")
    place = empty_place(make_server, "one", **url)
    done(place, "restore", sample)
    second = empty_place(make_server, "two", **url)
    assert "the database because it holds tables already" in refused(second, "restore", sample)
    assert not second.data.exists()


KILLED_HALF_WAY = """
import os, sys
from pathlib import Path
from runhook.restore import restore
from runhook.store.portable import Loader
Loader.finish = lambda loader: os.kill(os.getpid(), 9)
restore(Path(sys.argv[1]), Path(sys.argv[2]), lambda toml: "")
"""


def test_what_a_killed_restore_left_is_no_server_and_is_named(
    sample: Path, make_server: MakeServer
) -> None:
    place = empty_place(make_server, "killed")
    words = [sys.executable, "-c", KILLED_HALF_WAY, str(sample), str(place.data)]
    assert subprocess.run(words, env=place.environment).returncode == -9
    assert os.listdir(place.data) == ["restoring"]
    message = refused(place, "restore", sample)
    assert f"If a restore was interrupted there, remove {place.data}/restoring" in message
    shutil.rmtree(place.data / "restoring")
    done(place, "restore", sample)


def test_events_are_numbered_on_behind_the_restored_ones(
    sample: Path, make_server: MakeServer, settings_for: NewDatabase
) -> None:
    url = settings_for("postgresql")
    done(empty_place(make_server, "other", **url), "restore", sample)
    with psycopg.connect(url["RUNHOOK_DATABASE_URL"]) as rows:
        following = rows.execute("SELECT nextval(pg_get_serial_sequence('events', 'id'))")
        (greatest,) = rows.execute("SELECT max(id) FROM events").fetchone() or (None,)
        assert following.fetchone() == (greatest + 1,)


def test_a_database_that_does_not_answer_is_a_sentence(
    sample: Path, make_server: MakeServer, shared_api: Api, tmp_path: Path
) -> None:
    gone = {"RUNHOOK_DATABASE_URL": f"postgresql://runhook@/none?host={tmp_path}"}
    place = empty_place(make_server, "other", **gone)
    assert "cannot write the database: " in refused(place, "restore", sample)
    assert not place.data.exists()
    shutil.copytree(shared_api.server.data / "keys", place.data / "keys")
    assert "cannot read the database: " in refused(place, "backup", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_the_settings_of_the_backup_say_where_the_rows_go(
    sample: Path, make_server: MakeServer, settings_for: NewDatabase, shared_cache: Path
) -> None:
    url = settings_for("postgresql")["RUNHOOK_DATABASE_URL"]
    server = make_server("first")
    (server.data / "runhook.toml").write_text(f'[database]\nurl = "{url}"\n')
    server.start()
    token = server.token()
    server.stop()
    done(server, "backup", sample.parent / "with-settings")
    place = empty_place(make_server, "second")
    assert "holds tables" in refused(place, "restore", sample.parent / "with-settings")
    elsewhere = empty_place(make_server, "third", **settings_for("postgresql"))
    again = restored(elsewhere, sample.parent / "with-settings", shared_cache)
    assert again.token == token
    assert (elsewhere.data / "runhook.toml").read_text() == f'[database]\nurl = "{url}"\n'
    assert not (elsewhere.data / "runhook.db").exists()


def test_without_a_server_there_is_nothing_to_back_up(
    make_server: MakeServer, tmp_path: Path
) -> None:
    server = make_server()
    assert "without keys/server.key" in refused(server, "backup", tmp_path / "b")
    Keys.open(server.data / "keys")
    assert "without runhook.db" in refused(server, "backup", tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert sorted(os.listdir(server.data)) == ["cache", "keys"]


def test_a_full_disk_leaves_the_backup_of_yesterday(
    shared_api: Api, sample: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    shutil.copy(sample, folder / "b")
    server = shared_api.server
    limited = f"ulimit -f 2; exec {sys.executable} -m runhook backup --data $0 $1"
    command = ["bash", "-c", limited, str(server.data), str(folder / "b")]
    ended = subprocess.run(command, env=server.environment, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Error: cannot write the backup {folder}/b: ")
    assert os.listdir(folder) == ["b"]
    assert (folder / "b").read_bytes() == sample.read_bytes()


def test_links_and_pipes_of_a_run_stay_out_and_a_growing_log_does_no_harm(
    api: Api, make_server: MakeServer, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("not of this run")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "secret").write_text("not of this run")
    tricks = (
        f"ln -s {tmp_path}/secret link; ln -s {tmp_path}/folder folder; mkfifo pipe; mkdir -p a/b;"
        "echo kept > a/b/$(printf 'x\\377'); cd ../..;"
        "for i in $(seq 3000); do head -c 100k /dev/zero | tr '\\0' y; done"
    )
    run = api.start(
        api.apply(name="tricks", command=f"echo begun; cd $RUNHOOK_ARTIFACTS; {tricks}")
    )
    wait_for_first_line(api, run["id"])
    (running,) = api.server.data.glob("attempts/*/*/log")
    (running.parent / "result-value.json").mkdir()  # where a file is expected
    done(api.server, "backup", tmp_path / "b")
    place = empty_place(make_server, "other")
    done(place, "restore", tmp_path / "b")
    found = [path for path in place.data.rglob("*") if "artifacts" in path.parts and path.is_file()]
    assert [os.fsencode(path.name) for path in found] == [b"x\xff"]
    assert not any(path.is_symlink() for path in place.data.rglob("*"))
    (log,) = place.data.glob("attempts/*/*/log")
    assert log.read_bytes().startswith(b"begun\nyyy")
    api.request("POST", f"/api/runs/{run['id']}/cancel")


def attempt_restore(backup: Path, data: Path) -> RunhookError | None:
    """What is wrong with the backup; None if a server was made of it, which is removed again."""
    before = everything(data.parent)
    try:
        restore(backup, data, lambda toml: "")
    except RunhookError as error:
        assert everything(data.parent) == before
        return error
    shutil.rmtree(data)
    assert everything(data.parent) == before
    return None


def everything(top: Path) -> set[str]:
    return {str(path) for path in top.rglob("*")}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(0, 255))
def test_a_backup_that_was_cut_or_altered_changes_nothing(
    sample: Path, tmp_path: Path, where: float, flip: int
) -> None:
    whole = sample.read_bytes()
    at = int(where * len(whole))
    altered = bytearray(whole)
    altered[at] ^= flip
    (tmp_path / "b").write_bytes(altered if flip else whole[:at])
    error = attempt_restore(tmp_path / "b", tmp_path / "data")
    if error:
        assert error.message.startswith(f"cannot restore {tmp_path}/b because it is no backup")
    else:
        assert flip and unpacked(altered) == unpacked(whole), "altered, and yet restored"


def unpacked(backup: bytes) -> bytes:
    return gzip.decompress(bytes(backup))


MANIFEST = {"format": 1, "runhook": "1", "revision": REVISION, "created_at": "x", "files": True}
AN_ATTEMPT = f"attempts/ab/ab{'0' * 30}"


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({}, "does not begin with a manifest.json"),
        ({"manifest.json": {"format": 2}}, "its format is 2 and this Runhook knows only 1"),
        ({"manifest.json": MANIFEST | {"revision": "9999"}}, "newer Runhook made it"),
        ({"manifest.json": MANIFEST, "keys/server.key": b""}, "no usable keys/server.key"),
        ({"../outside": b""}, "no plain file with a safe name"),
        ({"/tmp/outside": b""}, "no plain file with a safe name"),
        ({f"{AN_ATTEMPT}/artifacts/../../log": b""}, "no plain file with a safe name"),
        ({f"{AN_ATTEMPT}/workspace/x": b""}, "there should be no"),
        ({f"attempts/ba/ab{'0' * 30}/log": b""}, "there should be no"),
        ({f"{AN_ATTEMPT}/log": b"", f"{AN_ATTEMPT}/log/x": b""}, "there should be no"),
        ({"keys/other.key": b""}, "there should be no"),
        ({"keys/secrets.key": b""}, "keys/secrets.key in it holds no keys"),
        ({"keys/secrets.key": b"\xff"}, "keys/secrets.key in it holds no keys"),
        ({"keys/secrets.key": b"bm8ga2V5"}, "keys/secrets.key in it holds no keys"),
        ({"database/runs/000000.jsonl": b'{"id": 1}\n'}, "are not those of such a table"),
        ({"database/nothing/000000.jsonl": b"{}\n"}, "are not those of such a table"),
        ({"database/runs/000000.jsonl": b"no json\n"}, "cannot be used"),
        (
            {f"{AN_ATTEMPT}/artifacts/x": b"", f"{AN_ATTEMPT}/artifacts/x/y": b""},
            "cannot restore into",
        ),
    ],
)
def test_a_sealed_file_that_is_no_backup_of_ours_is_refused_and_escapes_nowhere(
    tmp_path: Path, members: dict[str, object], sentence: str
) -> None:
    begin = {"manifest.json": MANIFEST} if members else {}
    with writing(tmp_path / "b") as archive:
        for name, content in (begin | {"keys/server.key": bytes(32)} | members).items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            archive.add_bytes(name, data)
    error = attempt_restore(tmp_path / "b", tmp_path / "data")
    assert error and sentence in error.message


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE]
)
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "b", "w:gz") as tar:
        info = tarfile.TarInfo(f"{AN_ATTEMPT}/artifacts/x")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    error = attempt_restore(tmp_path / "b", tmp_path / "data")
    assert error and "no plain file with a safe name" in error.message


def test_no_file_and_no_archive_are_sentences(tmp_path: Path, make_server: MakeServer) -> None:
    place = empty_place(make_server, "other")
    assert "there is no such file" in refused(place, "restore", tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    assert "it is no backup" in refused(place, "restore", tmp_path / "text")
    assert not place.data.exists()


def test_reading_gives_exactly_what_was_announced(tmp_path: Path) -> None:
    with writing(tmp_path / "b") as archive:
        archive.add("cut", 5, BytesIO(b"abc"))
        archive.add("grown", 5, BytesIO(b"abcdefgh"))
    read = {member.name: member.read(9) for member in archive_members(tmp_path / "b")}
    assert read == {"cut": b"abc\0\0", "grown": b"abcde"}
