"""From a job's definition to what a runner is told: the RunSpec of an attempt."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from runhook.keys import Keys
from runhook.model.command_line import filled_in, text_of
from runhook.model.job import JobSpec
from runhook.model.limits import Limits
from runhook.model.pod import run_name
from runhook.model.quantity import byte_count, seconds
from runhook.model.run import Attempt, Run
from runhook.model.secret import home_path
from runhook.model.size import InstanceSize
from runhook.model.source import Repository, workspace_path
from runhook.runner.spec import (
    EnvironmentRequest,
    LimitsSpec,
    RepositorySpec,
    RunSpec,
    Secrets,
    WarmSpec,
)
from runhook.services import git_access, run_secrets
from runhook.services import secrets as attached
from runhook.services.site import Site
from runhook.store import jobs, locks
from runhook.store.database import Transaction


@dataclass(frozen=True)
class Plan:
    """Everything an executor needs to start an attempt, or why it may not (`refusal`)."""

    spec: RunSpec
    secrets: Secrets
    refusal: str | None = None


def make_plan(tx: Transaction, keys: Keys, site: Site, run: Run, attempt: Attempt) -> Plan:
    """The plan of an attempt, from the version of the definition that its run names."""
    version = jobs.get_version(tx, run.job_id, run.job_version)
    job = jobs.any_job(tx, run.job_id)
    assert version, "the versions of a job outlive its runs"
    assert job, "a job outlives its runs"
    spec = version.spec
    urls = [repository.url for repository in spec.repositories]
    credentials = git_access.credentials_for(tx, keys, job.owner, urls)
    by_url = {url: credential_id for url, (credential_id, _) in credentials.items()}
    given = attached.for_run(tx, keys, job, version)
    private = _secret_parameters(tx, keys, run)
    secrets = Secrets(
        credentials=dict(credentials.values()),
        variables={
            "RUNHOOK_TOKEN": keys.run_token(attempt.id, job.token_rotation),
            "RUNHOOK_URL": site.url,
        },
        known_hosts=git_access.known_hosts_text(tx),
        attached={**given.variables, **{name: text_of(each) for name, each in private.items()}},
        files=given.files,
    )
    planned = run_spec(spec, job.name, job.owner, site, run, attempt, by_url)
    texts = {name: isinstance(each, str) for name, each in private.items()}
    planned = replace(planned, secret_parameters=texts)
    if run.replay_of:
        planned = _replayed(tx, planned, run)
    return Plan(planned, secrets, given.refusal)


def _replayed(tx: Transaction, spec: RunSpec, run: Run) -> RunSpec:
    """The same at the commits and with the packages of the run that is repeated."""
    commits = {each.get("path"): each.get("commit") for each in run.commits}
    repositories = [
        replace(each, reference=commits.get(each.folder), reference_type="commit")
        for each in spec.repositories
    ]
    lock = locks.get_lock(tx, run.lock_id) if run.lock_id else None
    environment = replace(spec.environment, lock=lock)
    return replace(spec, repositories=repositories, environment=environment)


def run_spec(
    spec: JobSpec,
    job_name: str,
    owner: str,
    site: Site,
    run: Run,
    attempt: Attempt,
    credentials: dict[str, str],
) -> RunSpec:
    """`credentials` maps the URL of a repository to the id of its credential."""
    commands = [filled_in(line, run.parameters) for line in spec.commands]
    return RunSpec(
        attempt_id=attempt.id,
        run_id=run.id,
        job_id=run.job_id,
        job_name=job_name,
        directory=str(site.directory(attempt.id)),
        requested_at=run.created_at.timestamp(),
        trigger=run.trigger,
        places=site.places,
        scheduled_for=_instant(run.scheduled_for),
        repositories=[_repository(item, credentials.get(item.url)) for item in spec.repositories],
        environment=_environment(spec),
        command=commands[0] if commands else None,
        commands=commands if len(commands) > 1 else [],
        at_once=spec.instances,
        notebook=workspace_path(spec.notebook) if spec.notebook else None,
        parameters=_open_parameters(run),
        working_directory=workspace_path(spec.working_directory or "."),
        variables=spec.environment_variables or {},
        start_script=spec.start_script,
        notices=spec.not_offered(site.sizes),
        limits=_limits(_with_size(spec, site.sizes)),
        grace=site.grace,
        hint_socket=site.hint_socket,
        owner=owner,
        artifacts=spec.artifacts or [],
        undeclared=_undeclared(spec, run),
        isolation=replace(site.isolation, network=spec.network is not False),
        warm=_warm(spec, site, run),
        files={
            home_path(name): (file.content, file.bits)
            for name, file in (spec.config_files or {}).items()
        },
        compatible=_compatible(spec, job_name, owner, site, run),
        hold=_hold(spec, attempt),
    )


def _warm(spec: JobSpec, site: Site, run: Run) -> WarmSpec | None:
    """How its kernel may start warm. Whoever starts a job with a secret of their own shares it with
    no other run."""
    if not spec.warm or site.warm is None:
        return None
    secret = run.secret_parameters
    why = "it has secret parameters, which other runs of the job would see" if secret else None
    return replace(site.warm, refused=why)


def _undeclared(spec: JobSpec, run: Run) -> list[str]:
    """Parameters that the job does not declare: the notebook did when the run was started."""
    return [name for name in run.parameters if name not in (spec.parameters or {})]


def _compatible(spec: JobSpec, job_name: str, owner: str, site: Site, run: Run) -> dict[str, str]:
    """The variables that runs have where the compatible contract is at home. All instances of a run
    are on one machine, so their leader is there, too."""
    organization, _, identity = owner.rpartition("/")
    return {
        "SATURN_BASE_URL": site.url,
        "SATURN_ORG": organization,
        "SATURN_USERNAME": identity,
        "SATURN_JOB_RUN": run_name(job_name, run.id),
        "SATURN_JOB_LEADER": "localhost",
        "SATURN_JOB_SCALE": str(spec.instances),
        "SATURN_JOB_RANK": "0",
    }


def _hold(spec: JobSpec, attempt: Attempt) -> float:
    """For how many seconds its kernel is held if it fails; only of an attempt that no other
    follows."""
    tried_again = "failed" in spec.retrying.on and attempt.number <= spec.retrying.count
    return 0.0 if tried_again else 60 * (spec.hold_failed_kernel or 0)


def _open_parameters(run: Run) -> dict[str, Any]:
    """The parameters that may stand in files."""
    secret = run.secret_parameters or ()
    return {name: value for name, value in run.parameters.items() if name not in secret}


def _secret_parameters(tx: Transaction, keys: Keys, run: Run) -> dict[str, Any]:
    """The others, which travel as secrets do: beside the spec, to the work's variables."""
    secret = run.secret_parameters or ()
    opened = run_secrets.opened(tx, keys, run) if secret else {}
    return {name: value for name, value in opened.items() if name in secret}


def _repository(repository: Repository, credential: str | None) -> RepositorySpec:
    return RepositorySpec(
        url=repository.url,
        folder=repository.folder,
        reference=repository.reference or None,
        reference_type=repository.reference_type,
        credential=credential,
    )


def _environment(spec: JobSpec) -> EnvironmentRequest:
    wanted = spec.environment
    return EnvironmentRequest(
        python=spec.python,
        requirements=spec.packages.requirements(),
        file=workspace_path(wanted.file) if wanted and wanted.file else None,
        refresh=wanted.refresh if wanted else "keep",
    )


def _with_size(spec: JobSpec, sizes: Mapping[str, InstanceSize]) -> Limits:
    """The job's limits; where it has none of its own, its instance type's, for each instance."""
    limits, size = spec.limits or Limits(), sizes.get(spec.instance_type or "")
    if size is None:
        return limits
    many = min(spec.instances, len(spec.commands) or 1)
    cpus, memory = many * size.cores, many * size.memory
    own = {"cpus": limits.cpus or cpus, "memory": limits.memory or memory}
    return limits.model_copy(update=own)


def _limits(limits: Limits) -> LimitsSpec:
    sizes = (limits.memory, limits.output, limits.disk)
    memory, output, disk = (None if each is None else byte_count(each) for each in sizes)
    return LimitsSpec(
        time=None if limits.time is None else seconds(limits.time),
        steps={name: seconds(each) for name, each in (limits.steps or {}).items()},
        memory=memory,
        cpus=limits.cpus,
        processes=limits.processes,
        output=output,
        disk=disk,
    )


def _instant(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
