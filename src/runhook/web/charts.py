"""Charts as SVG, made here: shapes with classes, whose colours the style sheet knows. What a chart
shows is also said in words, in its label and in the titles of its parts."""

from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup

from runhook.model.run import Run
from runhook.services.overview import DAY, SLOT, Load, Planned
from runhook.web.view import seconds, words

WIDTH, HEIGHT, BAR = 600, 90, 16


def _svg(css: str, height: int, label: str, shapes: str) -> Markup:
    frame = (
        '<svg class="{}" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="{}">{}</svg>'
    )
    inside = Markup(shapes)  # noqa: S704  every shape is escaped where it is made
    return Markup(frame).format(css, WIDTH, height, label, inside)  # noqa: S704  a literal


def _shape(template: str, *values: object) -> str:
    return str(Markup(template).format(*values))  # noqa: S704  a literal


def durations(found: Sequence[Run], now: datetime) -> Markup:
    """How long the last runs took, the oldest first, coloured by outcome; each leads to its run."""
    ran = [run for run in reversed(found) if run.started_at]
    if not ran:
        return Markup("")
    took = [((run.finished_at or now) - (run.started_at or now)).total_seconds() for run in ran]
    longest, step = max(took) or 1, WIDTH / max(len(ran), 10)
    bars = []
    for index, (run, length) in enumerate(zip(ran, took, strict=True)):
        height = max(3.0, length / longest * (HEIGHT - 4))
        title = f"Run {run.number}: {words(run.state)}, {seconds(length)}"
        bars.append(
            _shape(
                '<a href="/dash/runs/{}" tabindex="-1" aria-label="{}"><rect class="{}" x="{:.1f}" '
                'y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect></a>',
                *(run.id, title, run.state, index * step, HEIGHT - height),
                *(max(2.0, step - 3), height, title),
            )
        )
    failed = sum(run.state in ("failed", "timed_out", "lost") for run in ran)
    label = (
        f"Durations of the last {len(ran)} runs, at most {seconds(max(took))}, {failed} not good"
    )
    frame = (
        '<svg class="durations" viewBox="0 0 {} {}" preserveAspectRatio="none" role="group" '
        'aria-label="{}">{}</svg>'
    )
    inside = Markup("".join(bars))  # noqa: S704  every shape is escaped where it is made
    return Markup(frame).format(WIDTH, HEIGHT, label, inside)  # noqa: S704  a literal


def load(found: Load) -> Markup:
    """How many runs were alive, and above them how many waited, over the last 24 hours."""
    most = max(map(sum, zip(found.alive, found.waiting, strict=True)), default=0) or 1
    step = WIDTH / len(found.alive)
    shapes = []
    for index, (alive, waiting) in enumerate(zip(found.alive, found.waiting, strict=True)):
        if not alive and not waiting:
            continue
        at = f"{found.since + index * SLOT:%H:%M} UTC"
        low, high = alive / most * (HEIGHT - 4), waiting / most * (HEIGHT - 4)
        parts = (("running", HEIGHT - low, low), ("queued", HEIGHT - low - high, high))
        for css, top, height in parts:
            shapes.append(
                _shape(
                    '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
                    "<title>{}: {} ran, {} waited</title></rect>",
                    *(css, index * step, top, step - 0.5, height, at, alive, waiting),
                )
            )
    label = f"Runs at a time in the last 24 hours: at most {max(found.alive)} ran"
    return _svg("load", HEIGHT, f"{label}, {max(found.waiting)} waited", "".join(shapes))


def day(plan: Planned, now: datetime) -> Markup:
    """When a schedule fires in the next 24 hours, as a strip."""
    if plan.often:
        ticks = _shape('<rect class="often" x="0" y="4" width="{}" height="8"/>', WIDTH)
    else:
        ticks = "".join(
            _shape(
                '<rect x="{:.1f}" y="1" width="3" height="14"><title>{:%H:%M} UTC</title></rect>',
                *((fire - now) / DAY * (WIDTH - 3), fire),
            )
            for fire in plan.fires
        )
    many = f"more than {len(plan.fires)} times" if plan.often else f"{len(plan.fires)} times"
    return _svg("day", BAR, f"Fires {many} in the next 24 hours", ticks)
