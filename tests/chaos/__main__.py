"""`scripts/chaos`: one life after the other until the time is over, each with another seed."""

import argparse
import random
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.chaos.chaos import Chaos, Report, verify
from tests.conftest import LiveServer, clean_environment
from tests.servers.postgres import running_postgres

SETTINGS = {
    "RUNHOOK_RUNS_LIMIT": "8",
    "RUNHOOK_RUNS_GRACE": "1",
    "RUNHOOK_GIT_ALLOW_FILE_URLS": "1",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/chaos")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    wanted = parser.parse_args()
    end = time.monotonic() + wanted.minutes * 60
    total = Report()
    seed = wanted.seed
    while time.monotonic() < end:
        report = live(wanted.database, seed, min(600.0, end - time.monotonic()))
        print(f"seed {seed}: {report}", flush=True)
        total.add(report)
        seed += 1
    print(f"In all: {total}", flush=True)


def live(database: str, seed: int, seconds: float) -> Report:
    """One life of so many seconds. Its folder stays if a promise does not hold."""
    folder = Path(tempfile.mkdtemp(prefix="runhook-chaos-"))
    data = folder / "data"
    data.mkdir()
    with ExitStack() as stack:
        opened = folder / "opened"
        opened.mkdir()
        settings = {**SETTINGS, "RUNHOOK_RUNS_FOLDERS": f"{opened}:rw"}
        disturb = None
        if database == "postgresql":
            postgres = stack.enter_context(running_postgres())
            settings["RUNHOOK_DATABASE_URL"] = postgres.new_database()

            def disturb(dice: random.Random) -> None:
                if dice.random() < 0.2:
                    postgres.restart()

        server = LiveServer(data, clean_environment(folder, **settings))
        stack.callback(server.end_everything)
        stack.callback(server.stop)
        chaos = Chaos(server, opened / "proof", seed, disturb)
        chaos.prepare()
        try:
            chaos.live(runs=sys.maxsize, kills=sys.maxsize, limit=seconds)
            verify(chaos)
        except AssertionError:
            print(f"seed {seed} broke a promise; everything is in {folder}", file=sys.stderr)
            raise
    shutil.rmtree(folder)
    return chaos.report


if __name__ == "__main__":
    main()
