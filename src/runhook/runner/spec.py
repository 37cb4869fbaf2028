"""What crosses the seam between the server and the runner: JSON files in the attempt's directory.

    spec.json     RunSpec      server → runner   what to do; holds no secret
    log           bytes        runner → server   set-up's output, then the work's, nothing after it
    log.index     text lines   runner → server   `<microseconds since 1970> <size>` as the log grew
    events.jsonl  Report       runner → server   one JSON object a line: steps with their durations
    cells.jsonl   CellReport   runner → server   of a native notebook: one JSON object a line
    lock.txt      text         runner → server   the resolved packages of the environment
    result.json   Result       runner → server   written once, by rename, as the last thing
    result-value.json          runner → server   what the work returned, if that is JSON
    artifacts/    files        runner → server   what is kept
    runner.json   Identity     runner → server   made with O_EXCL: whoever makes it runs the attempt
    workspace/ home/ tmp/ out/ environment/      of the work alone, removed at the end

Secrets travel beside the spec, never through a file of the attempt's directory (`Secrets`).
"""

import errno
import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

from runhook.runner.levels import Level

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
RESERVE, RESERVE_BYTES = ".reserve", 16 * 1024
Outcome = Literal["succeeded", "failed", "cancelled", "timed_out"]
StepName = Literal["checkout", "environment", "start_script", "command", "notebook", "collect"]


@dataclass(frozen=True)
class RepositorySpec:
    """A repository to check out at `folder` of the workspace.

    `reference` None means the remote's HEAD. `credential` is a key of `Secrets.credentials`; it is
    part of the mirror's identity, so that no job reads through a mirror what its own credential
    could not fetch.
    """

    url: str
    folder: str
    reference: str | None = None
    reference_type: Literal["branch", "tag", "commit"] = "branch"
    credential: str | None = None


@dataclass(frozen=True)
class EnvironmentRequest:
    """Packages on top of the base environment. `lock`, if given, is installed as it stands."""

    python: str | None = None
    requirements: str = ""
    file: str | None = None
    refresh: Literal["keep", "always"] = "keep"
    lock: str | None = None


@dataclass(frozen=True)
class Places:
    """Directories that attempts share, and settings of the tools that fill them."""

    cache: str
    allow_file_urls: bool = False
    git_timeout: float = 300.0
    download_python: bool = False
    index_url: str = ""
    environment_timeout: float = 1800.0


@dataclass(frozen=True)
class LimitsSpec:
    """Seconds for the attempt and for single steps, bytes, cores; None is no limit."""

    time: float | None = None
    steps: dict[str, float] = field(default_factory=dict)
    memory: int | None = None
    cpus: float | None = None
    processes: int | None = None
    output: int | None = None
    disk: int | None = None


@dataclass(frozen=True)
class IsolationSpec:
    """How far the work is kept apart from the machine. `hidden` are folders of the server that it
    must not see; without `network` it has only a loopback of its own; `readable` and `writable`
    are folders of the machine that an administrator has opened to runs."""

    level: Level = "processes"
    hidden: list[str] = field(default_factory=list)
    network: bool = True
    readable: list[str] = field(default_factory=list)
    writable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class WarmSpec:
    """Kernels from a warm parent: where its keeper listens, and what all of them may take: bytes,
    how many, and for how many seconds one stays that nobody uses. `attempts` is the folder that
    holds the attempts' directories. With `refused`, a sentence, this run starts cold."""

    socket: str
    attempts: str
    memory: int = 1 << 30
    parents: int = 4
    idle: float = 900.0
    refused: str | None = None


@dataclass(frozen=True)
class RunSpec:
    """One attempt. Exactly one of `command` and `notebook` is set; times are seconds (since 1970).
    Where there are several `commands`, `command` is the first of them; they stand in the order of
    their ranks, and `at_once` of them may run at the same time. `compatible` are variables that the
    job's own may replace; `files` are texts and modes by their paths below the home.
    `secret_parameters` says of each whether it is a text; the values are among the `Secrets`.

    A repository is fetched unless a fetch began at or after `requested_at`: a checkout is never
    older than the start. `undeclared` are parameters that only the notebook can know;
    `artifacts` are patterns of files below the working directory that are kept.
    """

    attempt_id: str
    run_id: str
    job_id: str
    job_name: str
    directory: str
    requested_at: float
    trigger: str
    places: Places
    scheduled_for: str | None = None
    repositories: list[RepositorySpec] = field(default_factory=list)
    environment: EnvironmentRequest = field(default_factory=EnvironmentRequest)
    command: str | None = None
    notebook: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    secret_parameters: dict[str, bool] = field(default_factory=dict)
    working_directory: str = "."
    variables: dict[str, str] = field(default_factory=dict)
    start_script: str | None = None
    notices: list[str] = field(default_factory=list)
    limits: LimitsSpec = field(default_factory=LimitsSpec)
    grace: float = 10.0
    hint_socket: str | None = None
    owner: str = ""
    undeclared: list[str] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)
    isolation: IsolationSpec = field(default_factory=IsolationSpec)
    warm: WarmSpec | None = None
    hold: float = 0.0
    """Seconds for which the kernel of a failed notebook is kept."""
    commands: list[str] = field(default_factory=list)
    at_once: int = 1
    compatible: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[str, int]] = field(default_factory=dict)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The spec that stands in an attempt's directory."""
        values = json.loads((directory / "spec.json").read_bytes())
        values["places"] = Places(**values["places"])
        values["environment"] = EnvironmentRequest(**values["environment"])
        values["limits"] = LimitsSpec(**values["limits"])
        values["isolation"] = IsolationSpec(**values["isolation"])
        values["warm"] = values["warm"] and WarmSpec(**values["warm"])
        values["repositories"] = [RepositorySpec(**item) for item in values["repositories"]]
        return cls(**values)

    def save(self) -> None:
        """Make the attempt's directory (0700) with the spec in it; repeating it changes nothing."""
        directory = Path(self.directory)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(directory / "spec.json", json.dumps(asdict(self)))


@dataclass(frozen=True)
class GitCredential:
    """`kind` token: `username` and `value` for https; ssh_key: `value` is a private key."""

    kind: Literal["token", "ssh_key"]
    username: str
    value: str = field(repr=False)


@dataclass(frozen=True)
class Secrets:
    """What the runner must know and no file may hold longer than needed.

    `variables` are ours, such as the run's own token. `known_hosts` is the text of an OpenSSH
    known_hosts file: hosts somebody has confirmed. `attached` and `files` are the secrets of the
    job: variables, and files by their path below the home.
    """

    credentials: dict[str, GitCredential] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict, repr=False)
    known_hosts: str = ""
    attached: dict[str, str] = field(default_factory=dict, repr=False)
    files: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def given(self) -> bool:
        """Does the work get any secret of its job?"""
        return bool(self.attached or self.files)

    @property
    def masked(self) -> list[str]:
        """Every value that must not be read in what the run leaves behind."""
        token = self.variables.get("RUNHOOK_TOKEN", "")
        credentials = [each.value for each in self.credentials.values()]
        return [token, *credentials, *self.attached.values(), *self.files.values()]

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The counterpart of `dataclasses.asdict`."""
        credentials = {name: GitCredential(**item) for name, item in values["credentials"].items()}
        return cls(**{**values, "credentials": credentials})


@dataclass(frozen=True)
class Identity:
    """Which process is the runner. A pid alone may mean another program after a reboot."""

    boot_id: str
    pid: int
    start_time: int


@dataclass(frozen=True)
class Report:
    """A line of events.jsonl. Kinds and their data:

    step_started {step}; step_finished {step, seconds, ok, note}; checked_out {url, path, reference,
    commit}; environment {key, cached}; limits {enforced, not_enforced}; first_output {};
    parameters_cell {commit, cell, problem}; notice {message}; host_key_unknown {host, keys: [{type,
    key, fingerprint}]}.
    """

    at: float
    kind: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CellReport:
    """A line of cells.jsonl, which is only appended to: `{"at": seconds since 1970, "kind": …}`
    and, beside these, the fields of its kind. `cell` counts all cells of the executed notebook from
    1, the one with the parameters included; `id` is the cell's own, unique in the notebook.

    plan {of, cells: [{index, id, kind}]}   written first; `of` is how many cells there are, `index`
                                            counts as `cell` does, `kind` is code, markdown or raw
    started {cell, id}                      a code cell was given to the kernel
    output {cell}                           the notebook file holds more of that cell than before;
                                            a few a second at most, whatever the cell writes
    finished {cell, id, seconds, status}    of every code cell, once; `status` is ok, error, skipped
                                            (by its tag, or empty), stopped (cancelled, or beyond a
                                            limit), died (the kernel ended in it), never_ran, or
                                            lost (nobody saw how it ended)

    Cells are executed one after the other. The file says nothing about how the attempt ended.
    """

    at: float
    kind: str
    data: dict[str, Any] = field(default_factory=dict)

    def line(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {"at": self.at, "kind": self.kind, **self.data}


@dataclass(frozen=True)
class Result:
    """How the attempt ended. `step` is where it failed; `reason` is one sentence for people."""

    outcome: Outcome
    finished_at: float
    exit_code: int | None = None
    signal: int | None = None
    step: str | None = None
    reason: str | None = None

    @classmethod
    def load(cls, directory: Path) -> Self | None:
        """The result in an attempt's directory, None if there is none (yet)."""
        try:
            return cls(**json.loads((directory / "result.json").read_bytes()))
        except FileNotFoundError:
            return None

    def save(self, directory: Path) -> None:
        """Write it whole or not at all. On a disk without room it takes the place of the reserve,
        and if that is not enough it waits for room: a result is never given up."""
        while True:
            (directory / RESERVE).unlink(missing_ok=True)
            try:
                write_whole(directory / "result.json", json.dumps(asdict(self)))
                return
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                time.sleep(1)


def executed_name(notebook: str) -> str:
    """What the executed notebook is called among the artifacts."""
    return f"{PurePosixPath(notebook).stem}.ipynb"


def make_reserve(directory: Path) -> None:
    """Take the room that the result will need, while there is some."""
    with suppress(OSError), (directory / RESERVE).open("wb") as file:
        file.write(b"\0" * RESERVE_BYTES)


def append_report(directory: Path, report: Report) -> None:
    """Add a line to events.jsonl."""
    append_line(directory / "events.jsonl", asdict(report))


def append_line(path: Path, value: dict[str, Any]) -> None:
    """Add a JSON object as a line, in one write, so that a reader sees it whole or not yet. A disk
    without room costs the line, never the run; what was written in part is ended as a line."""
    line = (json.dumps(value, default=str) + "\n").encode()
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    with suppress(OSError):
        descriptor = os.open(path, flags, 0o600)
        try:
            if os.write(descriptor, line) < len(line):
                os.write(descriptor, b"\n")
        finally:
            os.close(descriptor)


def short_name(name: str) -> str:
    """What stands for a name in that of a temporary file: there is room for something beside it,
    however long it is, and it is the same each time."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def write_whole(path: Path, text: str | bytes) -> None:
    """Replace a file so that a reader sees the old text or the new, never a part (mode 0600).

    Writes through no link, so the folder may be one that the work can write to; there it may find
    its way barred: OSError."""
    data = text.encode() if isinstance(text, str) else text
    temporary = path.with_name(f".{short_name(path.name)}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
