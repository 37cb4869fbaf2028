"""Random lives, checked against simple models: a job's runs, and its schedules."""

import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from pathlib import Path
from zoneinfo import available_timezones

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from runhook.engine.dispatcher import expire
from runhook.engine.scheduler import fire
from runhook.engine.settle import settle
from runhook.engine.sighting import Sighting
from runhook.model.access import Caller
from runhook.model.job import Job, JobSpec
from runhook.model.run import TERMINAL, TRANSITIONS, RunState, Trigger
from runhook.model.schedule import Schedule
from runhook.runner.spec import Report, Result
from runhook.services import jobs as job_service
from runhook.services import runs as run_service
from runhook.store import attempts, events, jobs, queue, runs
from runhook.store.database import Database, Transaction, sqlite_url
from runhook.store.schema import prepare
from tests.engine.conftest import NOON

CALLER = Caller("", "nobody", "main/admin", admin=True)
ACTIVE = ("queued", "starting", "running")
OUTCOMES = ("succeeded", "failed", "cancelled", "timed_out", "lost")
QUICK = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


class _Machine(RuleBasedStateMachine):
    """A database of its own, used without an event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.database = Database(sqlite_url(Path(self.folder.name) / "test.db"))
        prepare(self.database.engine)
        self.now = NOON

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    def write(self, work):  # type: ignore[no-untyped-def]
        with self.database.engine.execution_options(writes=True).begin() as connection:
            return work(Transaction(connection))

    def job(self, **spec: object) -> Job:
        definition = JobSpec.model_validate({"name": "a-job", "command": "true", **spec})
        return self.write(lambda tx: job_service.create(tx, CALLER, definition, self.now))


class RunLives(_Machine):
    """Starts, claims, endings, losses and cancels in any order; the model is a dict of states."""

    limit = 3

    @initialize(
        overlap=st.sampled_from(["allow", "queue", "skip", "replace"]),
        retries=st.integers(0, 2),
        most=st.one_of(st.none(), st.integers(0, 3)),
        patience=st.one_of(st.none(), st.integers(5, 60)),
    )
    def define(self, overlap: str, retries: int, most: int | None, patience: int | None) -> None:
        self.overlap, self.retries = overlap, retries
        self.patience = timedelta(seconds=patience) if patience else None
        more = {} if most is None else {"max_queued": most}
        more |= {} if patience is None else {"queue_timeout": patience}
        on = ["failed", "lost", "timed_out"]
        self.definition = self.job(overlap=overlap, retry={"count": retries, "on": on}, **more)
        self.states: dict[str, str] = {}
        self.since: dict[str, datetime] = {}  # when a run entered the queue
        self.tries: Counter[str] = Counter()
        self.wished: set[str] = set()
        self.living: dict[str, str] = {}  # attempt → run

    def _active(self) -> list[str]:
        return [run for run, state in self.states.items() if state in ACTIVE]

    @rule()
    def start(self) -> None:
        self.now += timedelta(milliseconds=1)
        request = run_service.StartRequest(Trigger.API)
        before = self._active()
        run = self.write(
            lambda tx: run_service.start(tx, CALLER, self.definition.id, request, self.now)
        )
        assert run.id not in self.states
        if self.overlap == "skip" and before:
            assert run.state == RunState.SKIPPED
        if self.overlap == "replace":
            for other in before:
                if self.states[other] == "queued":
                    self.states[other] = "cancelled"
                else:
                    self.wished.add(other)
        self.states[run.id] = str(run.state)
        self.since[run.id] = self.now

    @rule(room=st.integers(1, 3))
    def claim(self, room: int) -> None:
        claimed = self.write(
            lambda tx: queue.claim(tx, room=room, pools={}, executor="x", now=self.now)
        )
        for run, attempt in claimed:
            assert self.states[run.id] == "queued"
            self.states[run.id] = "starting"
            self.tries[run.id] += 1
            assert attempt.number == self.tries[run.id]
            self.living[attempt.id] = run.id
        alive = sum(state in ("starting", "running") for state in self.states.values())
        if self.overlap != "allow":
            assert alive <= 1
        elif len(claimed) < room:
            assert "queued" not in self.states.values()

    @rule(seconds=st.integers(1, 30))
    def wait_in_the_queue(self, seconds: int) -> None:
        """Those whose patience is over give up; whoever was tried begins to wait anew."""
        self.now += timedelta(seconds=seconds)
        self.write(lambda tx: expire(tx, self.now))
        for run_id, state in self.states.items():
            if (
                state == "queued"
                and self.patience
                and self.now - self.since[run_id] >= self.patience
            ):
                self.states[run_id] = "timed_out"

    @precondition(lambda self: self.living)
    @rule(data=st.data())
    def begin_to_work(self, data: st.DataObject) -> None:
        attempt_id = data.draw(st.sampled_from(sorted(self.living)))
        begun = Report(self.now.timestamp(), "step_started", {"step": "command"})
        self._settle(attempt_id, Sighting([begun], 0, None, None), None)
        self.states[self.living[attempt_id]] = "running"

    @precondition(lambda self: self.living)
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def end(self, data: st.DataObject, outcome: str) -> None:
        attempt_id = data.draw(st.sampled_from(sorted(self.living)))
        run_id = self.living.pop(attempt_id)
        for each in (outcome, "failed"):  # whoever comes late changes nothing
            result = None if each == "lost" else Result(each, self.now.timestamp())  # type: ignore[arg-type]
            self._settle(attempt_id, Sighting([], 0, result, None), "gone")
        wished = run_id in self.wished
        again = outcome in ("failed", "lost", "timed_out") and not wished
        if again and self.tries[run_id] <= self.retries:
            self.states[run_id], self.since[run_id] = "queued", self.now
        else:
            self.states[run_id] = "cancelled" if wished and outcome == "lost" else outcome

    def _settle(self, attempt_id: str, seen: Sighting, lost: str | None) -> None:
        def work(tx: Transaction) -> None:
            attempt = attempts.get_attempt(tx, attempt_id)
            assert attempt
            settle(tx, attempt, seen, now=self.now, lost=lost)

        self.write(work)

    @precondition(lambda self: self.states)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        run_id = list(self.states)[data.draw(st.integers(0, len(self.states) - 1))]
        self.write(lambda tx: run_service.cancel(tx, CALLER, run_id, self.now))
        if self.states[run_id] == "queued":
            self.states[run_id] = "cancelled"
        elif self.states[run_id] in ACTIVE:
            self.wished.add(run_id)

    @invariant()
    def the_database_says_what_the_model_says(self) -> None:
        if not hasattr(self, "states"):
            return
        found = self.write(lambda tx: runs.list_runs(tx, runs.RunFilter(), size=1000))
        assert {run.id: str(run.state) for run in found} == self.states
        assert sorted(run.number for run in found) == list(range(1, len(found) + 1))
        assert all((run.finished_at is not None) == (run.state in TERMINAL) for run in found)

    def teardown(self) -> None:
        if hasattr(self, "states"):
            for run_id in self.states:
                self._follow_the_events(run_id)
        super().teardown()

    def _follow_the_events(self, run_id: str) -> None:
        """The recorded changes of state are a way through the table of transitions."""
        recorded = self.write(lambda tx: events.list_events(tx, run_id))
        states = [RunState(each.kind) for each in recorded if each.kind in list(RunState)]
        for before, after in pairwise(states):
            assert after in TRANSITIONS[before]


class ScheduleLives(_Machine):
    """Time that passes, stands still and jumps back; the model knows every fire."""

    @initialize(
        cron=st.sampled_from(["*/5 * * * *", "30 2 * * *", "@every 90s", "0 */2 * * *"]),
        catch_up=st.sampled_from(["skip", "latest", "all"]),
        zone=st.sampled_from(sorted(available_timezones() - {"localtime"})),
        begin=st.datetimes(datetime(1970, 1, 2), datetime(2040, 1, 1), timezones=st.just(UTC)),
    )
    def define(self, cron: str, catch_up: str, zone: str, begin: datetime) -> None:
        self.now = begin
        self.rule = Schedule.model_validate({"cron": cron, "zone": zone, "catch_up": catch_up})
        self.made = self.job(schedules=[self.rule.model_dump(mode="json", exclude_unset=True)])
        self.reached = self.now
        self.wanted: set[datetime] = set()
        self.paused = False

    def _armed(self) -> jobs.ArmedSchedule:
        (armed,) = self.write(lambda tx: jobs.list_schedules(tx, self.made.id))
        return armed  # type: ignore[no-any-return]

    @rule(seconds=st.integers(1, 4 * 86_400))
    def pass_time(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(seconds=st.integers(1, 400))
    def pass_a_little_time(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(seconds=st.integers(1, 3 * 86_400))
    def set_the_clock_back(self, seconds: int) -> None:
        self.now -= timedelta(seconds=seconds)

    @rule(times=st.integers(1, 3))
    def fire(self, times: int) -> None:
        armed = self._armed()
        for _ in range(times):
            self.write(lambda tx: fire(tx, armed.id, self.now))
        if self.paused or self.now <= self.reached:
            return
        missed = list(takewhile(lambda each: each <= self.now, self.rule.fires(self.reached)))
        policy = {
            "skip": [each for each in missed if self.now - each < timedelta(minutes=1)],
            "latest": missed[-1:],
            "all": [each for each in missed if self.now - each <= timedelta(days=7)][-100:],
        }
        self.wanted.update(policy[str(self.rule.catch_up)])
        self.reached = self.now

    @rule()
    def pause(self) -> None:
        self.write(lambda tx: job_service.pause(tx, CALLER, self.made.id, True, self.now))
        self.paused = True

    @precondition(lambda self: self.paused)
    @rule()
    def resume(self) -> None:
        """What was missed meanwhile is not caught up; what ran before does not run again."""
        self.write(lambda tx: job_service.pause(tx, CALLER, self.made.id, False, self.now))
        self.paused, self.reached = False, self.now

    @invariant()
    def each_fire_ran_once_and_no_other(self) -> None:
        if not hasattr(self, "made"):
            return
        found = self.write(lambda tx: runs.list_runs(tx, runs.RunFilter(), size=10_000))
        fired = [run.scheduled_for for run in found]
        assert len(fired) == len(set(fired))
        assert set(fired) == self.wanted


RunLives.TestCase.settings = QUICK
ScheduleLives.TestCase.settings = QUICK
TestRunLives = pytest.mark.filterwarnings("ignore::ResourceWarning")(RunLives.TestCase)
TestScheduleLives = pytest.mark.filterwarnings("ignore::ResourceWarning")(ScheduleLives.TestCase)
