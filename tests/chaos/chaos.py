"""A server under fire: clients start runs in every way there is while it is killed again and again.

`Chaos` makes the disorder, seeded; `verify` says what must hold afterwards, whatever happened.
"""

import contextlib
import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import requests

from runhook.runner.identity import lives
from runhook.runner.spec import Identity
from tests.api.hook_sender import Hook
from tests.chaos.jobs import definitions, expected_log, proved_by
from tests.conftest import Api, LiveServer

Json = dict[str, Any]
ENDED = {"succeeded", "failed", "cancelled", "timed_out", "lost", "skipped"}
PATIENCE = 120.0
NO_HEADERS: Mapping[str, str] = {}


@dataclass
class Report:
    """What a chaotic life came to, for people."""

    runs: int = 0
    states: Counter[str] = field(default_factory=Counter)
    triggers: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    server_kills: int = 0
    runner_kills: int = 0
    disturbances: int = 0
    refused: int = 0

    def add(self, other: "Report") -> None:
        """The sum of both."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        triggers = ", ".join(f"{count} by {name}" for name, count in sorted(self.triggers.items()))
        return (
            f"{self.runs} runs ({triggers}) in {self.attempts} attempts: {states}; the server was "
            f"killed {self.server_kills} times, runners {self.runner_kills} times, "
            f"{self.disturbances} other disturbances, {self.refused} calls without an answer"
        )


class Chaos:
    """One life. `disturb` is called now and then, beside the kills, with the random source."""

    def __init__(
        self,
        server: LiveServer,
        proof: Path,
        seed: int,
        disturb: Callable[[random.Random], None] | None = None,
    ) -> None:
        self.server = server
        self.proof = proof
        proof.touch()
        proof.chmod(0o666)  # each job may have a system user of its own
        self.random = random.Random(seed)
        self.disturb = disturb
        self.report = Report()
        self.accepted: dict[str, str] = {}  # idempotency key → run
        self._job_of_key: dict[str, str] = {}
        self.answered: list[str] = []
        self.cancelled: set[str] = set()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._broken: list[BaseException] = []
        self._given_up_at = 0.0

    def prepare(self) -> None:
        """Start the server and define the jobs; the first run builds the environment."""
        self.server.start()
        self.api = Api(self.server, self.server.token())
        warm = self.api.apply(name="warm-up", command="true")
        assert self.api.finished(self.api.start(warm)["id"])["state"] == "succeeded"
        self.jobs = {str(each["name"]): self.api.apply(**each) for each in definitions(self.proof)}
        path = f"/api/jobs/{self.jobs['hooked']}/webhooks"
        (hook,) = self.api.request("GET", path).json()["webhooks"]
        self.hook = Hook(self.api, self.jobs["hooked"], "generic", hook["url"], hook["secret"])

    def live(self, *, runs: int, kills: int, limit: float) -> Report:
        """Disorder until so many runs were accepted and so many kills done, at most `limit`
        seconds; then order, until every run has ended. A promise that a client found broken is
        raised here."""
        clients = [
            threading.Thread(target=self._client, args=(self.random.random(),), daemon=True)
            for _ in range(4)
        ]
        end = time.monotonic() + limit
        self._given_up_at = end + PATIENCE
        for client in clients:
            client.start()
        try:
            while time.monotonic() < end and not self._broken and self._too_calm(runs, kills):
                if self.report.server_kills * runs <= len(self.answered) * kills:
                    self._disorder()  # no oftener than starts are accepted: a slow machine lives
                else:
                    time.sleep(0.02)
        finally:
            self._stop.set()
            for client in clients:
                client.join(PATIENCE)
        if self._broken:
            raise self._broken[0]
        assert not any(client.is_alive() for client in clients), "a client waits for ever"
        self._wait_for_the_end()
        return self.report

    def _too_calm(self, runs: int, kills: int) -> bool:
        return len(self.answered) < runs or self.report.server_kills < kills

    def _client(self, seed: float) -> None:
        try:
            self._starts(seed)
        except BaseException as error:
            self._broken.append(error)

    def _disorder(self) -> None:
        """Never only kills: the first of each kind comes as soon as it can."""
        time.sleep(self.random.uniform(0.05, 0.8))
        dice = self.random.random()
        if dice < 0.25 or not self.report.runner_kills:
            self._kill_a_runner()
        if self.disturb and (dice > 0.6 or not self.report.disturbances):
            self.disturb(self.random)
            self.report.disturbances += 1
        port = self.server.port
        self.server.kill()
        self.report.server_kills += 1
        time.sleep(self.random.choice([0, 0, 0.3]))
        self.server.start(port)

    def _kill_a_runner(self) -> None:
        """As the kernel does when memory is short: what it ran must go, too."""
        mine = runners_of(self.server)
        if mine:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.random.choice(mine).kill()
                self.report.runner_kills += 1

    def _starts(self, seed: float) -> None:
        """A client: it starts, cancels and repeats, and never gives up a start it has begun."""
        dice = random.Random(seed)
        names = [name for name in self.jobs if name not in ("follower", "ticking", "hooked")]
        while not self._stop.is_set():
            name = dice.choice(names)
            ways = [
                *(self._by_api, self._by_api, self._by_command_line, self._by_web, self._again),
                *(self._by_webhook, self._backfill, self._replay),
            ]
            run_id = dice.choice(ways)(self.jobs[name], dice)
            if run_id and dice.random() < 0.1:
                self._cancel(run_id)
            time.sleep(dice.uniform(0, 0.1))

    def _by_command_line(self, job_id: str, dice: random.Random) -> str | None:
        """What `runhook start` sends; it makes a key and repeats the call alike."""
        return self._by_api(job_id, dice, {"X-Runhook-Trigger": "cli"})

    def _by_api(
        self, job_id: str, dice: random.Random, headers: Mapping[str, str] = NO_HEADERS
    ) -> str | None:
        """With a key, until it is answered; sometimes twice at once, sometimes again later."""
        key = f"{dice.random()}"
        with self._lock:
            if self.accepted and dice.random() < 0.1:
                key = dice.choice(sorted(self.accepted))
                job_id = self._job_of_key[key]
            else:
                self._job_of_key[key] = job_id
        path = f"/api/jobs/{job_id}/start"
        run_id = self._insist(
            lambda: self.api.request("POST", path, headers={"Idempotency-Key": key, **headers})
        )
        with self._lock:
            known = self.accepted.setdefault(key, run_id)
            assert known == run_id, "one key gave two runs"
            self.answered.append(run_id)
        return run_id

    def _backfill(self, job_id: str, dice: random.Random) -> str | None:
        """The schedule as of some moment of the past, until it is answered: one fire, one run."""
        second = 10 * dice.randrange(3 * 10**6)
        fire = datetime.fromtimestamp(946684800 + second, UTC)
        body = {"from": fire.isoformat(), "until": (fire + timedelta(seconds=10)).isoformat()}
        path = f"/api/jobs/{self.jobs['ticking']}/backfill"
        self._insist(lambda: self.api.request("POST", path, json=body))
        return None

    def _insist(self, call: Callable[[], requests.Response]) -> str:
        while True:
            assert time.monotonic() < self._given_up_at, "a start is never answered"
            try:
                answer = call()
            except requests.RequestException:
                self.report.refused += 1
                time.sleep(0.05)
                continue
            if answer.status_code in (200, 202):
                return str(answer.json()["run"]["id"])
            if answer.status_code == 201:
                (run,) = answer.json()["runs"]
                return str(run["id"])
            assert answer.status_code == 503, answer.text
            self.report.refused += 1
            time.sleep(0.05)

    def _by_webhook(self, job_id: str, dice: random.Random) -> str | None:
        """A delivery, sent again and again until it is answered, as forges do."""
        delivery = f"{dice.random()}"
        path = self.hook.url.partition(self.server.url)[2]

        def send() -> requests.Response:
            body = b"{}"
            headers = self.hook.headers(body, key=delivery)
            return requests.post(self.server.url + path, body, headers=headers, timeout=60)

        return self._insist(send)

    def _by_web(self, job_id: str, dice: random.Random) -> str | None:
        """The button: without a key, so it is pressed once, and what is not answered may be."""
        path = f"/dash/resources/job/{job_id}/start"
        return self._once("POST", path)

    def _again(self, job_id: str, dice: random.Random) -> str | None:
        before = self._earlier(dice)
        return self._once("POST", f"/dash/runs/{before}/again") if before else None

    def _replay(self, job_id: str, dice: random.Random) -> str | None:
        """One that has not come far enough cannot be repeated exactly: a conflict."""
        before = self._earlier(dice)
        return (
            self._once("POST", f"/dash/runs/{before}/replay", refusals=(503, 409))
            if before
            else None
        )

    def _earlier(self, dice: random.Random) -> str | None:
        with self._lock:
            return dice.choice(self.answered) if self.answered else None

    def _once(self, method: str, path: str, refusals: Collection[int] = (503,)) -> str | None:
        try:
            answer = self.api.request(method, path, allow_redirects=False)
        except requests.RequestException:
            self.report.refused += 1
            return None
        if answer.status_code in refusals:
            self.report.refused += 1
            return None
        assert answer.status_code == 303, answer.text
        run_id = answer.headers["location"].rpartition("/")[2]
        with self._lock:
            self.answered.append(run_id)
        return run_id

    def _cancel(self, run_id: str) -> None:
        with contextlib.suppress(requests.RequestException):
            self.cancelled.add(run_id)
            self.api.request("POST", f"/api/runs/{run_id}/cancel")

    def _wait_for_the_end(self) -> None:
        """Pause the schedule, then wait until nothing is active."""
        self.api.request("POST", f"/api/jobs/{self.jobs['ticking']}/unschedule")
        end = time.monotonic() + PATIENCE
        while self._active():
            assert time.monotonic() < end, f"still active: {self._active()}"
            time.sleep(0.2)

    def _active(self) -> list[str]:
        answer = self.api.request("GET", "/api/runs?state=queued,starting,running&page_size=1000")
        return [run["id"] for run in answer.json()["runs"]]


def runners_of(server: LiveServer) -> list[psutil.Process]:
    """The living runners of attempts without a result."""
    found = []
    for path in (server.data / "attempts").glob("*/*/runner.json"):
        if not (path.parent / "result.json").exists():
            identity = json.loads(path.read_bytes())
            if lives(Identity(**identity)):
                found.append(psutil.Process(identity["pid"]))
    return found


def verify(chaos: Chaos) -> None:
    """What must hold whatever happened."""
    runs = _all_runs(chaos)
    by_id = {run["id"]: run for run in runs}
    report = chaos.report
    report.runs, report.states = len(runs), Counter(run["state"] for run in runs)
    report.triggers = Counter(run["trigger"] for run in runs)
    report.attempts = sum(len(run["attempts"]) for run in runs)
    missing = [run_id for run_id in chaos.answered if run_id not in by_id]
    assert not missing, f"accepted and lost: {missing}"
    assert all(run["state"] in ENDED for run in runs)
    _verify_attempts(chaos, runs)
    _verify_fires(chaos, runs)
    _verify_followers(chaos, runs)
    _verify_turns(chaos, runs)
    left = [f"{each.pid} {each.name()}" for each in chaos.server.working()]
    assert not left, f"processes were left behind: {left}"


def _all_runs(chaos: Chaos) -> list[Json]:
    found, key = [], ""
    while True:
        page = chaos.api.request("GET", f"/api/runs?page_size=1000&next_key={key}").json()
        found += page["runs"]
        key = page["next_key"]
        if not key:
            break
    names = set(chaos.jobs.values())
    return [chaos.api.run(run["id"]) for run in found if run["job_id"] in names]


def _verify_attempts(chaos: Chaos, runs: list[Json]) -> None:
    """Each work was executed exactly once per attempt, and its log is whole."""
    proved = {life.attempt_id: life for life in proved_by(chaos.proof)}
    known = {attempt["id"]: run for run in runs for attempt in run["attempts"]}
    assert proved.keys() <= known.keys(), "something was executed that no run knows"
    for run in runs:
        assert [each["number"] for each in run["attempts"]] == list(
            range(1, len(run["attempts"]) + 1)
        )
        assert run["state"] != "skipped" or not run["attempts"]
        for attempt in run["attempts"]:
            assert attempt["finished_at"], f"attempt {attempt['id']} has no end"
            if attempt["state"] == "succeeded":
                assert proved[attempt["id"]].ended, "a success that did not reach its end"
                path = f"/api/runs/{run['id']}/log?attempt={attempt['number']}"
                assert chaos.api.request("GET", path).text == expected_log(attempt["id"])
        if run["state"] in ("cancelled", "skipped"):
            continue
        assert run["state"] == "succeeded" or run["reason"], f"no reason: {run}"
        successes = [each for each in run["attempts"] if each["state"] == "succeeded"]
        assert len(successes) == (run["state"] == "succeeded"), f"{run}"


def _verify_fires(chaos: Chaos, runs: list[Json]) -> None:
    """Every fire ran once, also those that were due while no server was there."""
    fired = [run["scheduled_for"] for run in runs if run["trigger"] in ("schedule", "backfill")]
    assert len(fired) == len(set(fired)), "a fire ran twice"
    scheduled = sorted(
        (run["number"], round(datetime.fromisoformat(run["scheduled_for"]).timestamp()))
        for run in runs
        if run["trigger"] == "schedule"
    )
    instants = [instant for _, instant in scheduled]
    for before, after in pairwise(instants):  # a clock that is set back begins again further back
        missing = set(range(before + 10, after, 10)) - set(instants)
        assert not missing, f"fires are missing: {instants}"


def _verify_followers(chaos: Chaos, runs: list[Json]) -> None:
    """Each success of `plain` was followed by one run of `follower`, and nothing else was."""
    causes = [run["caused_by"] for run in runs if run["trigger"] == "job"]
    successes = {
        run["id"]
        for run in runs
        if run["job_id"] == chaos.jobs["plain"] and run["state"] == "succeeded"
    }
    assert len(causes) == len(set(causes))
    assert set(causes) == successes


def _verify_turns(chaos: Chaos, runs: list[Json]) -> None:
    """Runs of `alone` never stood side by side."""
    by_attempt = defaultdict(str) | {
        attempt["id"]: run["job_id"] for run in runs for attempt in run["attempts"]
    }
    mine = sorted(
        (life.began, life.ended)
        for life in proved_by(chaos.proof)
        if by_attempt[life.attempt_id] == chaos.jobs["alone"] and life.ended
    )
    for (_, ended), (began, _) in pairwise(mine):
        assert ended <= began, "two runs of a job that allows one at a time"
