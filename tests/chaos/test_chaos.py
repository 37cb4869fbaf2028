"""Killing the server at any instant loses nothing and runs nothing twice."""

from pathlib import Path

from tests.chaos.chaos import Chaos, verify
from tests.conftest import MakeServer
from tests.servers.postgres import running_postgres

RUNS, KILLS, LIMIT = 300, 20, 100.0
SETTINGS = {"RUNHOOK_RUNS_LIMIT": "8", "RUNHOOK_RUNS_GRACE": "1"}


def live(make_server: MakeServer, folder: Path, seed: int, **settings: str) -> Chaos:
    chaos = Chaos(make_server(**SETTINGS, **settings), folder / "proof", seed)
    chaos.prepare()
    chaos.live(runs=RUNS, kills=KILLS, limit=LIMIT)
    verify(chaos)
    print(chaos.report)
    assert chaos.report.server_kills >= KILLS
    assert chaos.report.runs >= RUNS
    return chaos


def test_on_sqlite(make_server: MakeServer, tmp_path: Path) -> None:
    live(make_server, tmp_path, seed=1)


def test_on_postgresql(make_server: MakeServer, tmp_path: Path) -> None:
    with running_postgres() as postgres:
        chaos = live(make_server, tmp_path, 2, RUNHOOK_DATABASE_URL=postgres.new_database())
        chaos.server.stop()
