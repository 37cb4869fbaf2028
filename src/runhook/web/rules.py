"""The rules of a job for its runs, in words, for its page. What is as usual is not mentioned."""

from collections.abc import Iterator

from runhook.model.job import JobSpec
from runhook.model.policy import Overlap

MEANINGS = {
    Overlap.QUEUE: "wait for each other",
    Overlap.SKIP: "are skipped while others are active",
    Overlap.REPLACE: "cancel those that are active",
}


def rules_of(spec: JobSpec) -> list[tuple[str, str]]:
    """Pairs of a name and a few words."""
    return [(name, "; ".join(words)) for name, words in _rules(spec) if words]


def _rules(spec: JobSpec) -> Iterator[tuple[str, list[str]]]:
    queue = [MEANINGS[spec.on_overlap]] if spec.on_overlap in MEANINGS else []
    queue += [f"at most {spec.max_running} at a time"] if spec.max_running else []
    queue += [f"at most {spec.max_queued} waiting"] if spec.max_queued is not None else []
    queue += [f"in the pool {spec.pool}"] if spec.pool else []
    queue += [f"priority {spec.priority}"] if spec.priority else []
    queue += [f"give up after {spec.queue_timeout}"] if spec.queue_timeout else []
    yield "Runs", queue
    retry = spec.retrying
    if retry.count:
        delay = f", first after {retry.delay}" if retry.delay else ""
        yield "Retries", [f"{retry.count} when {' or '.join(retry.on)}{delay}".replace("_", " ")]
    if spec.limits:
        given = spec.limits.model_dump(exclude_unset=True)
        yield "Limits", [f"{name} {value}" for name, value in given.items() if name != "steps"]
        steps = given.get("steps") or {}
        yield "Limits of steps", [f"{name} {value}" for name, value in steps.items()]
    yield "Secrets", [f"{each.name} at {each.location}" for each in spec.secrets or []]
    yield "Starts after", spec.predecessors
    yield "Webhooks", [f"{hook.webhook} ({hook.source})" for hook in spec.webhooks]
    if spec.retention:
        given = spec.retention.model_dump(exclude_unset=True)
        yield "Kept", [f"{name} {value}" for name, value in given.items()]
