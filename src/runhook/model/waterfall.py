"""Where the time of a run went: its waterfall, from the events of its latest attempt."""

from collections.abc import Sequence
from datetime import datetime

from runhook.model.run import Attempt, Event, Run, Step

RUNNER_EVENTS = ("step_started", "step_finished")


def waterfall(
    run: Run, attempt: Attempt | None, events: Sequence[Event], now: datetime
) -> list[Step]:
    """The bars, in order of their start: queue, spawn (of the runner), the runner's steps, and
    first_output (an instant: how long after the request the work first wrote something).

    An unfinished bar reaches to `now`.
    """
    end = run.finished_at or now
    if attempt is None:
        return [_bar(run, "queue", run.created_at, end)]
    mine = [event for event in events if event.attempt_id == attempt.id]
    reports = [event for event in mine if event.kind in RUNNER_EVENTS]
    first = reports[0].at if reports else attempt.finished_at or end
    bars = [
        _bar(run, "queue", run.created_at, attempt.created_at),
        _bar(run, "spawn", attempt.created_at, first),
        *_steps(run, reports, attempt.finished_at or end),
        *(
            _bar(run, "first_output", event.at, event.at)
            for event in mine
            if event.kind == "first_output"
        ),
    ]
    return sorted(bars, key=lambda bar: bar.start)


def _steps(run: Run, reports: Sequence[Event], end: datetime) -> list[Step]:
    finished = {_step(event): event for event in reports if event.kind == "step_finished"}
    bars = []
    for event in reports:
        if event.kind != "step_started":
            continue
        name = _step(event)
        done = finished.get(name)
        note = str(done.data.get("note") or "") if done else ""
        bars.append(_bar(run, name, event.at, done.at if done else end, note))
    return bars


def _step(event: Event) -> str:
    return str(event.data.get("step"))


def _bar(run: Run, name: str, start: datetime, end: datetime, note: str = "") -> Step:
    offset = (start - run.created_at).total_seconds()
    return Step(name, max(0.0, offset), max(0.0, (end - start).total_seconds()), note)
