"""Looking for a warm kernel for an attempt, and falling back to a cold one by itself."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runhook.runner import scratch
from runhook.runner.confine import Place
from runhook.runner.environment import Prepared
from runhook.runner.spec import RunSpec, Secrets
from runhook.runner.variables import OWN, lasting_variables
from runhook.runner.warm.lease import Door, Lease
from runhook.runner.warm.plan import make_plan


@dataclass
class WarmStart:
    """Whether the notebook of an attempt starts warm; `cold` says why not. `fall_back` has the
    attempt's own box made, for a kernel that is started in it."""

    cold: str = ""
    door: Door | None = None
    lease: Lease | None = None
    folder: Path | None = None
    fall_back: Callable[[], None] = field(default=lambda: None)

    @property
    def note(self) -> str:
        """As it is shown beside the step."""
        return f"cold: {self.cold}" if self.cold else "warm"

    def fits(self, prepared: Prepared) -> bool:
        """Is there a kernel, and of the environment that it has come to?"""
        if self.lease and self.folder != prepared.folder:
            self.give_up("its environment was changed")
        return self.lease is not None

    def decline(self, why: str) -> None:
        """Go on without the kernel, in a box of the attempt's own."""
        had_one = self.lease is not None
        self.give_up(why)
        if had_one:
            self.fall_back()

    def give_up(self, why: str) -> None:
        """Go on without the kernel."""
        self.cold = why
        if self.lease:
            self.lease.close()
        self.lease = self.door = None

    def teach(self, modules: Sequence[str]) -> None:
        """Tell the keeper what the notebook had imported in the end."""
        if self.door:
            self.door.teach(modules)

    def close(self) -> None:
        """The kernel is over, with all that it left. Safe to repeat."""
        if self.lease:
            self.lease.close()
        elif self.door:
            self.door.close()
        self.lease = self.door = None


def seek(spec: RunSpec, secrets: Secrets, place: Place, prepared: Prepared) -> WarmStart:
    """A kernel of the job's warm parent, if there is one and the attempt may share its box."""
    assert spec.warm
    why = spec.warm.refused or _why_apart(spec, secrets, prepared)
    if why:
        return WarmStart(cold=why)
    plan = make_plan(
        job_id=spec.job_id,
        level=spec.isolation.level,
        python=prepared.python,
        variables=lasting_variables(spec, prepared.variables, os.environ),
        view=place.common_view(prepared, spec.warm.attempts),
        watched=[*spec.parameters, *secrets.attached, *secrets.variables, *OWN],
    )
    door = Door(spec.warm.socket, plan)
    directory = Path(spec.directory)
    taken = door.take([directory / name for name in (*scratch.GIVEN, scratch.KEPT)])
    if isinstance(taken, str):
        return WarmStart(cold=taken, door=door, folder=prepared.folder)
    return WarmStart(door=door, lease=taken, folder=prepared.folder)


def _why_apart(spec: RunSpec, secrets: Secrets, prepared: Prepared) -> str | None:
    """What a run must not share with others of its job, or cannot."""
    if spec.start_script:
        return "the job has a start script, which runs in a box of its own"
    if prepared.private:
        return "its environment is its own"
    if secrets.files:
        return "it has secret files, which other runs would see"
    return None
