"""Measures a server with a long history, a long queue and many schedules.

    .venv/bin/python benchmarks/history.py [--runs 1000000] [--schedules 10000]

The history is written straight into the database of a server that does not run: a thousand jobs,
each run with its attempt and events. The server is then asked over HTTP, at a steady pace, while
every loop of it works.
"""

import argparse
import json
import random
import shutil
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from spine import Client, Row, Server, ms, quantile

JOBS = 1000
CALLS, PACE = 400, 0.02
STATES = ["succeeded"] * 17 + ["failed"] * 2 + ["cancelled"]
TRIGGERS = ["schedule"] * 12 + ["api"] * 6 + ["web"] * 2


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--schedules", type=int, default=10_000)
    wanted = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="runhook-history-"))
    try:
        for what, figure, how in measure(scratch, wanted.runs, wanted.schedules):
            print(f"| {what} | {figure} | {how} |", flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def measure(scratch: Path, runs: int, schedules: int) -> Iterator[Row]:
    server = Server(scratch / "data")
    jobs = make_jobs(Client(server))
    server.process.terminate()
    server.process.wait()
    began = time.perf_counter()
    write_history(scratch / "data" / "runhook.db", jobs, runs)
    print(f"{runs} runs written in {time.perf_counter() - began:.0f} s", flush=True)
    server._start()
    try:
        yield "start to ready", f"{server.start_seconds:.2f} s", f"{runs} finished runs"
        yield from calls(server, jobs)
        yield from firing(server, schedules)
    finally:
        server.stop()


def make_jobs(client: Client) -> list[str]:
    """A thousand jobs; the first holds the queue back while starts are measured."""
    hold = client.apply(name="holding", command="sleep 3600", pool=None)
    made = [client.apply(name=f"job-{n:04}", command="true") for n in range(JOBS)]
    return [hold, *made]


def write_history(database: Path, jobs: list[str], count: int) -> None:
    """Ended runs over the last two years, spread over the jobs."""
    rng = random.Random(1)
    now = int(time.time() * 1e6)
    step = 2 * 365 * 86_400_000_000 // count
    with closing(sqlite3.connect(database)) as rows, rows:
        rows.execute("PRAGMA synchronous=OFF")
        numbers = dict.fromkeys(jobs, 0)
        for first in range(0, count, 50_000):
            batch = [
                made(rng, numbers, rng.choice(jobs[1:]), now - (count - n) * step)
                for n in range(first, min(count, first + 50_000))
            ]
            insert(rows, batch)
        rows.executemany(
            "UPDATE jobs SET runs_created = ? WHERE id = ?",
            [(number, job) for job, number in numbers.items()],
        )
        rows.execute("ANALYZE")


def made(
    rng: random.Random, numbers: dict[str, int], job: str, at: int
) -> tuple[str, str, str, int, str, str, int]:
    numbers[job] += 1
    attempt = uuid.UUID(int=rng.getrandbits(128)).hex
    run = uuid.UUID(int=rng.getrandbits(128)).hex
    return run, attempt, job, numbers[job], rng.choice(STATES), rng.choice(TRIGGERS), at


def insert(rows: sqlite3.Connection, batch: list[tuple[str, str, str, int, str, str, int]]) -> None:
    rows.executemany(
        "INSERT INTO runs (id, job_id, job_version, number, state, trigger, parameters, created_at,"
        " started_at, finished_at, commits, kept_bytes) VALUES (?,?,1,?,?,?,'{}',?,?,?,'[]',4096)",
        [(r, j, n, s, t, at, at + 1000, at + 60_000_000) for r, _, j, n, s, t, at in batch],
    )
    rows.executemany(
        "INSERT INTO attempts (id, run_id, number, executor, state, created_at, started_at,"
        " finished_at, events_read) VALUES (?,?,1,'local',?,?,?,?,100)",
        [(a, r, s, at, at + 1000, at + 60_000_000) for r, a, _, _, s, _, at in batch],
    )
    rows.executemany(
        "INSERT INTO events (run_id, attempt_id, at, kind, data) VALUES (?,?,?,?,'{}')",
        [
            (r, a, at + k, kind)
            for r, a, _, _, s, _, at in batch
            for k, kind in enumerate(("queued", "starting", s))
        ],
    )


def calls(server: Server, jobs: list[str]) -> Iterator[Row]:
    """One call after the other, fifty a second, on random jobs."""
    client, rng = Client(server), random.Random(2)
    for _ in range(64):  # the places are taken, so that what is started waits
        client.ask("POST", f"/api/jobs/{jobs[0]}/start")
    some_run = str(client.ask("GET", "/api/runs?page_size=1")["runs"][0]["id"])  # type: ignore[index]
    for what, path in (
        ("start call", lambda: f"/api/jobs/{rng.choice(jobs[1:])}/start"),
        ("page: jobs", lambda: "/dash"),
        ("page: jobs, searched", lambda: f"/dash?name=job-0{rng.randrange(10)}"),
        ("page: one job", lambda: f"/dash/resources/job/{rng.choice(jobs[1:])}"),
        ("page: one run", lambda: f"/dash/runs/{some_run}"),
        ("API: newest runs of all jobs", lambda: "/api/runs?page_size=50"),
        ("API: newest failures of all jobs", lambda: "/api/runs?state=failed&page_size=50"),
        ("API: runs of one job", lambda: f"/api/jobs/{rng.choice(jobs[1:])}/runs?page_size=50"),
        ("API: jobs", lambda: "/api/jobs?page_size=50"),
    ):
        times = paced(client, "POST" if what == "start call" else "GET", path)
        figure = f"{ms(quantile(times, 0.5))} / {ms(quantile(times, 0.99))}"
        yield f"{what}, p50 / p99", figure, f"{CALLS} calls"


def paced(client: Client, method: str, path: Callable[[], str]) -> list[float]:
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        client.fetch(method, path())
        times.append(time.perf_counter() - began)
        time.sleep(max(0.0, PACE - times[-1]))
    return times


def firing(server: Server, count: int) -> Iterator[Row]:
    """How late the runs of fires are made: with so many schedules of which a few are due, and with
    all of them due at the same instant. The queue is held back."""
    client = Client(server)
    spread = [
        client.apply(name=f"t-{n:05}", command="true", schedules=[rule(n)]) for n in range(count)
    ]
    end = time.time() + 30
    while time.time() < end:
        time.sleep(1)
    late = lateness(server, spread)
    yield (
        "schedules: fire → run made, p50 / p99 / max",
        f"{ms(quantile(late, 0.5))} / {ms(quantile(late, 0.99))} / {ms(max(late))}",
        f"{count} schedules, {len(late)} fires spread over half a minute",
    )
    at = datetime.now(UTC) + timedelta(seconds=60 + count / 150)
    together = f"{at.minute} {at.hour} {at.day} {at.month} *"
    for job in spread:
        client.ask("PATCH", f"/api/jobs/{job}", {"schedules": [{"cron": together}]})
    due = at.replace(second=0, microsecond=0).timestamp()
    while time.time() < due + 60:
        time.sleep(1)
    late = lateness(server, spread, since=due)
    yield (
        "all at the same instant: fire → run made, p50 / max",
        f"{quantile(late, 0.5):.2f} / {max(late):.2f} s",
        f"{len(late)} fires",
    )


def rule(number: int) -> dict[str, object]:
    """Fires every five to fifteen minutes, at instants of its own."""
    return {"cron": f"@every {300 + number % 600}s"}


def lateness(server: Server, jobs: list[str], since: float = 0.0) -> list[float]:
    with closing(
        sqlite3.connect(f"file:{quote(str(server.data))}/runhook.db?mode=ro", uri=True)
    ) as rows:
        found = rows.execute(
            "SELECT created_at - scheduled_for FROM runs WHERE trigger = 'schedule' AND"
            " schedule_id IS NOT NULL AND scheduled_for >= ?",
            (int(since * 1e6),),
        )
        return [micros / 1e6 for (micros,) in found] or [json.loads("NaN")]


if __name__ == "__main__":
    main()
