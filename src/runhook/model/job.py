"""A job's definition: what to run, from where, with what, and when.

`JobSpec` is the `spec` of a recipe, the one form in which a job is written, stored and given back.
It keeps the form that was given (`model_dump(exclude_unset=True)`), so that a recipe round-trips.
"""

import keyword
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from runhook.model import command_line
from runhook.model.commands import LONGEST_LIST, MOST_COPIES, as_text, listed
from runhook.model.config_file import ConfigFile, check_files
from runhook.model.declaration import contract_of
from runhook.model.environment import EnvironmentSpec, ExtraPackages
from runhook.model.filling import check_fillings
from runhook.model.limits import Limits
from runhook.model.parameters import Contract
from runhook.model.pattern import ArtifactPattern
from runhook.model.policy import CONCURRENCY, Overlap, Retention, Retry
from runhook.model.quantity import Duration
from runhook.model.schedule import Schedule
from runhook.model.scope import LONGEST_SCOPE
from runhook.model.secret import SecretAttachment, check_attachments
from runhook.model.source import Repository, workspace_path
from runhook.model.trigger import After, StartedBy, Webhook

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
PYTHON = r"^3\.\d{1,2}(\.\d{1,3})?$"
LONGEST_TEXT = 100_000
LONGEST_HOLD = 1440
NOTEBOOKS = (".ipynb", ".py", ".md")


def _checked_path(path: str) -> str:
    """The path as given, if it can be one in the workspace."""
    workspace_path(path)
    return path


Path = Annotated[str, AfterValidator(_checked_path)]
Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT)]
CommandText = Annotated[str, StringConstraints(max_length=LONGEST_LIST)]
Commands = CommandText | list[Text] | None


class JobSpec(BaseModel):
    """The `spec` of a recipe of type `job`; `command` or `notebook` says what runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME, max_length=128, description="Unique for its owner.")
    owner: str | None = Field(default=None, max_length=128, description="organisation/identity.")
    description: str | None = Field(default=None, max_length=2048)
    tags: dict[str, str] | None = None

    command: Annotated[
        CommandText | None, BeforeValidator(as_text, json_schema_input_type=Commands)
    ] = Field(
        default=None,
        min_length=1,
        description="A line for bash; or a list of them, also as JSON text, with ranks from 0.",
    )
    notebook: Path | None = Field(
        default=None, description="Workspace path of a notebook to execute."
    )
    parameters: dict[str, Any] | None = Field(
        default=None,
        description="Declared parameters, `name: default` or `name: {type, default, help, min, "
        "max, choices, secret}`; a start may change only these.",
    )
    artifacts: list[ArtifactPattern] | None = Field(
        default=None,
        max_length=32,
        description="Patterns of files to keep, such as out/**/*.csv, below the working directory.",
    )
    working_directory: Path | None = Field(default=None, description="Where a command runs.")
    environment_variables: dict[str, str] | None = None
    config_files: dict[str, ConfigFile] | None = Field(
        default=None, description="Files below the run's home, by their path there."
    )
    start_script: Text | None = Field(default=None, description="Bash, before the command.")
    secrets: list[SecretAttachment] | None = Field(
        default=None, max_length=32, description="Secrets the run gets as variables or files."
    )

    git_repositories: list[Repository] | None = Field(default=None, max_length=32)
    python: str | None = Field(
        default=None, pattern=PYTHON, description="A version found on the machine."
    )
    environment: EnvironmentSpec | None = None
    extra_packages: ExtraPackages | None = None

    schedule: str | None = Field(default=None, description="Shorthand of schedules[0].cron.")
    schedules: list[Schedule] | None = Field(default=None, max_length=32)
    triggers: list[StartedBy] | None = Field(
        default=None, max_length=32, description="Webhooks, and other jobs whose success starts it."
    )
    concurrency_policy: Literal["Allow", "Forbid", "Replace"] | None = Field(
        default=None, description="Shorthand of overlap: allow, skip or replace."
    )
    overlap: Overlap | None = Field(
        default=None, description="When others of its runs are active: allow, queue, skip, replace."
    )
    max_running: int | None = Field(
        default=None, ge=1, le=100_000, description="Runs at the same time; more wait."
    )
    max_queued: int | None = Field(
        default=None, ge=0, le=1_000_000, description="Runs that may wait; more are skipped."
    )
    pool: str | None = Field(
        default=None,
        pattern=NAME,
        max_length=64,
        description="A pool of places, set up on the server.",
    )
    priority: int | None = Field(
        default=None, ge=-1000, le=1000, description="Higher ones leave the queue first."
    )
    queue_timeout: Duration | None = Field(
        default=None, description="A run that waits longer ends as timed_out."
    )
    retries: int | None = Field(default=None, ge=0, le=100, description="Shorthand of retry.count.")
    retry: Retry | None = None
    retention: Retention | None = None
    limits: Limits | None = None
    warm: bool | None = Field(
        default=None,
        description="true: the notebook's kernel is forked by a process that has imported what "
        "earlier runs did; runs of the job share its box.",
    )
    hold_failed_kernel: float | None = Field(
        default=None,
        gt=0,
        le=LONGEST_HOLD,
        description="Minutes for which the kernel of a failed notebook is kept, to look into it.",
    )
    network: bool | None = Field(
        default=None, description="false: the work has no network; checkout and packages do."
    )

    image: str | dict[str, Any] | None = Field(
        default=None, description="Kept; used only where containers run."
    )
    instance_type: str | None = Field(
        default=None, description="A size of the server, for its limits; else kept, not used."
    )
    scale: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="How often a command runs beside itself; of a list: how many at a time.",
    )
    use_spot_instance: bool | None = None
    start_dind: bool | None = None
    dask_cluster: Any = None
    shared_folders: list[Any] | None = None
    token_scope: str | None = Field(
        default=None,
        max_length=LONGEST_SCOPE,
        description="What a run may do with its own token; default: look, start and cancel.",
    )

    @model_validator(mode="after")
    def _check_work(self) -> Self:
        if bool(self.command and self.command.strip()) == bool(self.notebook):
            raise ValueError("give either a command or a notebook")
        if self.notebook and not self.notebook.endswith(NOTEBOOKS):
            raise ValueError(
                "notebook: the path ends in .ipynb, or is a notebook as text and ends in .py or "
                ".md; run anything else with a command"
            )
        return self

    @model_validator(mode="after")
    def _check_scale(self) -> Self:
        """Of a list it says only how many run at a time; one line would be copied so often."""
        if self.instances > MOST_COPIES and self.command and not listed(self.command):
            raise ValueError(
                f"scale: one command runs at most {MOST_COPIES} times beside itself; for more, "
                "write a list of commands"
            )
        return self

    @model_validator(mode="after")
    def _check_kernel(self) -> Self:
        for name in ("warm", "hold_failed_kernel"):
            if getattr(self, name) and not self.notebook:
                raise ValueError(f"{name}: this is for notebooks, and the job runs a command")
        return self

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for name, value in (self.environment_variables or {}).items():
            if not VARIABLE.match(name):
                raise ValueError(
                    f"environment_variables: {name!r} cannot be the name of a variable"
                )
            if name.startswith("RUNHOOK_"):
                raise ValueError(f"environment_variables: {name} is set by the server")
            if "\x00" in value:
                raise ValueError(
                    f"environment_variables: the value of {name} holds a NUL character"
                )
        for name in self.parameters or {}:
            if not VARIABLE.match(name) or (self.notebook and keyword.iskeyword(name)):
                raise ValueError(f"parameters: {name!r} cannot be the name of a parameter")
            if name.startswith("RUNHOOK_"):
                raise ValueError(f"parameters: {name} is set by the server")
        return self

    @model_validator(mode="after")
    def _check_parameters(self) -> Self:
        """They can be read, and the command line names declared ones."""
        try:
            contract = self.contract
        except ValueError as error:
            raise ValueError(f"parameters: {error}") from None
        names, secrets = contract.parameters, contract.secrets
        for line in dict.fromkeys(self.commands):
            wrong = command_line.problem(line, names, secrets)
            if wrong:
                raise ValueError(f"command: {wrong}")
        return self

    @model_validator(mode="after")
    def _check_secrets(self) -> Self:
        taken = dict.fromkeys(self.parameters or {}, "parameters")
        taken |= dict.fromkeys(self.environment_variables or {}, "environment_variables")
        check_attachments(self.secrets or [], taken)
        files = [each.path for each in self.secrets or [] if each.is_file]
        check_files(self.config_files or {}, files)
        return self

    @model_validator(mode="after")
    def _check_folders(self) -> Self:
        folders = [repository.folder for repository in self.repositories]
        for index, folder in enumerate(folders):
            for other in folders[:index]:
                if (
                    folder == other
                    or f"{folder}/".startswith(f"{other}/")
                    or f"{other}/".startswith(f"{folder}/")
                ):
                    raise ValueError(
                        f"git_repositories: two of them would stand in {folder}; give one a path"
                    )
        return self

    @model_validator(mode="after")
    def _check_shorthands(self) -> Self:
        """Both forms of one thing may be given, as long as they say the same."""
        if self.schedule:
            Schedule(cron=self.schedule)
            first = self.schedules[0].cron if self.schedules else None
            if self.schedules is not None and first != self.schedule:
                raise ValueError("schedule: differs from schedules[0].cron; give only one of them")
        count = self.retry.count if self.retry and "count" in self.retry.model_fields_set else None
        if self.retries is not None and count is not None and count != self.retries:
            raise ValueError("retries: differs from retry.count; give only one of them")
        meant = CONCURRENCY.get(self.concurrency_policy or "")
        if meant and self.overlap and meant != self.overlap:
            raise ValueError(
                f"concurrency_policy: {self.concurrency_policy} means overlap {meant}, which "
                "differs from the overlap given; give only one of them"
            )
        return self

    @model_validator(mode="after")
    def _check_fillings(self) -> Self:
        check_fillings(self.contract, self.rules, self.webhooks, self.predecessors)
        return self

    @model_validator(mode="after")
    def _check_triggers(self) -> Self:
        names = [each.webhook for each in self.webhooks]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"triggers: two webhooks are called {name}")
        if self.name in self.predecessors:
            raise ValueError("triggers: a job cannot run after itself, it would never stop")
        return self

    @property
    def contract(self) -> Contract:
        """What a start may give, as the job declares it."""
        return contract_of(self.parameters or {})

    @property
    def instances(self) -> int:
        """How many commands of a run stand beside each other at most; a notebook is alone."""
        return (self.scale or 1) if self.command else 1

    @property
    def commands(self) -> list[str]:
        """The lines that a run executes, in the order of their ranks: those of a list, or the one
        line as often as `scale` says; none of a notebook."""
        if not self.command:
            return []
        return listed(self.command) or [self.command] * self.instances

    @property
    def webhooks(self) -> list[Webhook]:
        """The webhooks among the triggers."""
        return [each for each in self.triggers or [] if isinstance(each, Webhook)]

    @property
    def predecessors(self) -> list[str]:
        """The names of the jobs whose success starts this one."""
        return [each.after for each in self.triggers or [] if isinstance(each, After)]

    @property
    def on_overlap(self) -> Overlap:
        """What a start does while other runs of the job are active."""
        return self.overlap or CONCURRENCY.get(self.concurrency_policy or "", Overlap.ALLOW)

    def running_limit(self, overlap: Overlap) -> int | None:
        """How many runs may be alive at the same time; None for any number."""
        return self.max_running or (None if overlap == Overlap.ALLOW else 1)

    @property
    def retrying(self) -> Retry:
        """When an attempt is followed by another one."""
        given = self.retry or Retry()
        return given if self.retries is None else given.model_copy(update={"count": self.retries})

    @property
    def repositories(self) -> list[Repository]:
        """The attached repositories, in the order given."""
        return self.git_repositories or []

    @property
    def rules(self) -> list[Schedule]:
        """All schedules, also the one given by the shorthand."""
        return self.schedules or ([Schedule(cron=self.schedule)] if self.schedule else [])

    @property
    def packages(self) -> ExtraPackages:
        """The extra packages, empty if none are named."""
        return self.extra_packages or ExtraPackages()

    def recipe_spec(self) -> dict[str, Any]:
        """The definition as it was given, without the owner: that is the job's."""
        return self.model_dump(mode="json", exclude_unset=True, exclude={"owner"})

    def not_offered(self, sizes: Collection[str] = ()) -> list[str]:
        """One sentence for each thing the definition asks for that is kept but has no effect;
        `sizes` are the instance types that mean something on this server."""
        installers = [f"{name} packages" for name in self.packages.not_installed()]
        kept = {
            "image": self.image,
            "instance_type": self.instance_type and self.instance_type not in sizes,
            "scale": self.notebook and (self.scale or 1) > 1,
            "use_spot_instance": self.use_spot_instance,
            "start_dind": self.start_dind,
            "dask_cluster": self.dask_cluster,
            "shared_folders": self.shared_folders,
        }
        return [
            *(
                f"{what} are not offered on this executor and will not be installed"
                for what in installers
            ),
            *(f"{what} is kept, but not used here" for what, value in kept.items() if value),
        ]


@dataclass(frozen=True)
class Job:
    """A job as stored: its present definition and who it belongs to. Tokens of its runs that were
    made under another `token_rotation` open nothing."""

    id: str
    owner: str
    name: str
    version: int
    spec: JobSpec
    created_at: datetime
    updated_at: datetime
    created_by: str | None
    token_rotation: int = 0
