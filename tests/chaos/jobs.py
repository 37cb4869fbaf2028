"""The jobs of a chaotic life, and what each of their runs must have done to be believed.

Every attempt appends to one file, the proof, from its own shell: when it began and when it ended.
"""

from dataclasses import dataclass
from pathlib import Path

LINES = 12


def work(proof: Path, last: str = "") -> str:
    """A command: it proves that it began, writes a known log, proves that it ended, then `last`."""
    return (
        "set -e\n"  # a line that finds no room on the disk fails the work, as it should
        f'say() {{ echo "$1 $RUNHOOK_RUN_ID $RUNHOOK_ATTEMPT_ID $EPOCHREALTIME" >> {proof}; }}\n'
        "say begin\n"
        f"for i in $(seq {LINES}); do\n"
        '  echo "line $i of $RUNHOOK_ATTEMPT_ID"\n'
        "  if [ $((i % 4)) = 0 ]; then sleep 0.0$((RANDOM % 10)); fi\n"
        f"done\nsay end\n{last}"
    )


def expected_log(attempt_id: str) -> str:
    """What such an attempt writes, to the byte."""
    return "".join(f"line {n + 1} of {attempt_id}\n" for n in range(LINES))


def definitions(proof: Path) -> list[dict[str, object]]:
    """The jobs, one for each way in which runs come to be and to an end."""
    flaky = f'test "$(grep -c "^begin $RUNHOOK_RUN_ID" {proof})" -gt 1 || exit 3'
    daemon = "(setsid sh -c 'sleep 600' > /dev/null 2>&1 &)"
    lost = {"count": 3, "on": ["lost"]}
    rules: dict[str, dict[str, object]] = {
        "plain": {},
        "alone": {"overlap": "queue"},
        "skipping": {"overlap": "skip"},
        "flaky": {"command": work(proof, flaky), "retry": {"count": 5}},
        "daemon": {"command": work(proof, daemon)},
        "hooked": {"triggers": [{"webhook": "elsewhere"}]},
        "follower": {"triggers": [{"after": "plain"}]},
        "ticking": {"schedules": [{"cron": "@every 10s", "catch_up": "all"}]},
    }
    common = {"command": work(proof), "retry": lost}
    return [{"name": name, **common, **more} for name, more in rules.items()]


@dataclass(frozen=True)
class Life:
    """What one attempt proved: instants in seconds, None if it did not get there."""

    run_id: str
    attempt_id: str
    began: float
    ended: float | None


def proved_by(proof: Path) -> list[Life]:
    """Every attempt that began. AssertionError if one began or ended twice."""
    begun: dict[str, tuple[str, float]] = {}
    ended: dict[str, float] = {}
    for line in proof.read_text().splitlines() if proof.exists() else []:
        word, run_id, attempt_id, at = line.split()
        if word == "begin":
            assert attempt_id not in begun, f"attempt {attempt_id} was executed twice"
            begun[attempt_id] = (run_id, float(at))
        else:
            assert attempt_id not in ended, f"attempt {attempt_id} ended twice"
            ended[attempt_id] = float(at)
    return [
        Life(run_id, attempt_id, began, ended.get(attempt_id))
        for attempt_id, (run_id, began) in begun.items()
    ]
