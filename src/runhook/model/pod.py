"""The compatible contract's names of runs and pods, made from ours: nothing of them is stored.

There a run has pods, called `<run name>-<index>-…`; here an attempt is what a pod is there: a tree
of processes with a log and an end. So a run's name is `<job>-<run id>`, and the pod of its second
attempt is `<job>-<run id>-2`. The job's name is in it for people alone; a name from before the job
was renamed still finds its pod.
"""

import re

NAME = re.compile(r"^(?:[a-z0-9-]*-)?([0-9a-f]{32})(?:-([1-9][0-9]{0,5}))?\Z")
LONGEST_PREFIX = 20


def run_name(job_name: str, run_id: str) -> str:
    """`Weekly_Report`, `5f…` → `weekly-report-5f…`: lower-case letters, digits and dashes, at most
    53 of them."""
    words = re.sub(r"[^a-z0-9]+", "-", job_name.lower()).strip("-")
    return f"{words[:LONGEST_PREFIX].rstrip('-') or 'job'}-{run_id}"


def pod_name(job_name: str, run_id: str, attempt: int) -> str:
    """The pod of an attempt, which are counted from 1."""
    return f"{run_name(job_name, run_id)}-{attempt}"


def parsed(name: str) -> tuple[str, int | None] | None:
    """The run's id and the attempt's number (None in the name of a run); None if it is no name."""
    match = NAME.match(name)
    if match is None:
        return None
    return match[1], int(match[2]) if match[2] else None
