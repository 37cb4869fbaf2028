"""What a run may use. Exceeding a limit ends the attempt with an outcome that says which one."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from runhook.model.quantity import Duration, Size

STEPS = ("checkout", "environment", "start_script", "command", "notebook")


class Limits(BaseModel):
    """Of one attempt; what is not given is not limited."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: Duration | None = Field(default=None, description="For the whole attempt.")
    steps: dict[str, Duration] | None = Field(
        default=None, description="For single steps, such as {'checkout': '5m'}."
    )
    memory: Size | None = Field(default=None, description="Resident memory of all its processes.")
    cpus: float | None = Field(default=None, gt=0, le=4096, description="Cores, such as 0.5 or 4.")
    processes: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Processes and threads at the same time."
    )
    output: Size | None = Field(default=None, description="Length of the log.")
    disk: Size | None = Field(default=None, description="What the attempt's files take in all.")

    @field_validator("steps")
    @classmethod
    def _known_steps(cls, steps: dict[str, Duration] | None) -> dict[str, Duration] | None:
        for name in steps or {}:
            if name not in STEPS:
                raise ValueError(f"{name} is no step; known are {', '.join(STEPS)}")
        return steps
