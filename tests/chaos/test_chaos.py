"""Killing the server at any instant loses nothing and runs nothing twice, whatever else goes wrong.

`scripts/chaos` lives the same for as long as you like.
"""

import random
import time
from pathlib import Path

import pytest

from runhook.model.run import Trigger
from tests.chaos.chaos import Chaos, verify
from tests.conftest import MakeServer
from tests.servers.clock import Clock
from tests.servers.postgres import Postgres, running_postgres
from tests.servers.small_disk import mounted

pytestmark = pytest.mark.timeout(600)  # a slow machine takes its time
SETTINGS = {"RUNHOOK_RUNS_LIMIT": "8", "RUNHOOK_RUNS_GRACE": "1"}
DATABASES = ["sqlite", "postgresql"]


@pytest.fixture
def postgres() -> Postgres:
    with running_postgres() as running:
        yield running


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> dict[str, str]:
    """The settings of a database."""
    if request.param == "sqlite":
        return {}
    return {"RUNHOOK_DATABASE_URL": request.getfixturevalue("postgres").new_database()}


def survive(chaos: Chaos, *, runs: int, kills: int) -> None:
    """Live it, and check everything."""
    chaos.prepare()
    chaos.live(runs=runs, kills=kills, limit=240.0)
    verify(chaos)
    report = chaos.report
    print(report)
    assert report.server_kills >= kills
    assert report.runs >= runs
    assert report.runner_kills or kills < 10  # few kills may meet nobody at work
    assert report.disturbances or not chaos.disturb
    assert runs < 100 or set(report.triggers) == set(Trigger), f"some never came: {report}"
    chaos.server.stop()


def test_the_server_and_runners_are_killed_all_the_time(
    make_server: MakeServer, meeting: Path, database: dict[str, str]
) -> None:
    server = make_server(**SETTINGS, **database)
    survive(Chaos(server, meeting / "proof", seed=1), runs=300, kills=20)


def test_the_clock_jumps_forward_and_back(
    make_server: MakeServer, tmp_path: Path, meeting: Path, database: dict[str, str]
) -> None:
    clock = Clock(tmp_path / "clock")

    def jump(dice: random.Random) -> None:
        clock.set(dice.choice([-90, -20, 0, 30, 120]))

    server = make_server(**SETTINGS, **database, **clock.environment)
    survive(Chaos(server, meeting / "proof", seed=3, disturb=jump), runs=40, kills=4)


def test_postgresql_crashes_under_it(
    make_server: MakeServer, meeting: Path, postgres: Postgres
) -> None:
    def crash(dice: random.Random) -> None:
        postgres.restart()
        time.sleep(dice.uniform(0, 0.5))

    server = make_server(**SETTINGS, RUNHOOK_DATABASE_URL=postgres.new_database())
    survive(Chaos(server, meeting / "proof", seed=4, disturb=crash), runs=60, kills=4)


def test_the_disk_is_full_for_a_while(
    make_server: MakeServer, tmp_path: Path, meeting: Path, database: dict[str, str]
) -> None:
    with mounted(tmp_path / "disk", megabytes=64) as disk:

        def fill(dice: random.Random) -> None:
            disk.fill()
            time.sleep(dice.uniform(0.2, 1.5))
            disk.free()

        server = make_server(name="disk/data", **SETTINGS, **database)
        survive(Chaos(server, meeting / "proof", seed=5, disturb=fill), runs=60, kills=4)
