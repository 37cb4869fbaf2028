"""From a job's definition to what a runner is told: the RunSpec of an attempt."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from runhook.keys import Keys
from runhook.model.command_line import filled_in, text_of
from runhook.model.job import JobSpec
from runhook.model.limits import Limits
from runhook.model.quantity import byte_count, seconds
from runhook.model.run import Attempt, Run
from runhook.model.source import Repository, workspace_path
from runhook.runner.spec import (
    EnvironmentRequest,
    LimitsSpec,
    RepositorySpec,
    RunSpec,
    Secrets,
    WarmSpec,
)
from runhook.services import git_access
from runhook.services import secrets as attached
from runhook.services.site import Site
from runhook.store import jobs
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
    secrets = Secrets(
        credentials=dict(credentials.values()),
        variables={
            "RUNHOOK_TOKEN": keys.run_token(attempt.id, job.token_rotation),
            "RUNHOOK_URL": site.url,
        },
        known_hosts=git_access.known_hosts_text(tx),
        attached={**given.variables, **_secret_parameters(run)},
        files=given.files,
    )
    planned = run_spec(spec, job.name, job.owner, site, run, attempt, by_url)
    return Plan(planned, secrets, given.refusal)


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
        command=filled_in(spec.command, run.parameters) if spec.command else None,
        notebook=workspace_path(spec.notebook) if spec.notebook else None,
        parameters=_open_parameters(run),
        secret_parameters={
            name: isinstance(run.parameters[name], str)
            for name in run.secret_parameters or ()
            if name in run.parameters
        },
        working_directory=workspace_path(spec.working_directory or "."),
        variables=spec.environment_variables or {},
        start_script=spec.start_script,
        notices=spec.not_offered(),
        limits=_limits(spec.limits or Limits()),
        grace=site.grace,
        hint_socket=site.hint_socket,
        owner=owner,
        isolation=replace(site.isolation, network=spec.network is not False),
        warm=_warm(spec, site, run),
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


def _hold(spec: JobSpec, attempt: Attempt) -> float:
    """For how many seconds its kernel is held if it fails; only of an attempt that no other
    follows."""
    tried_again = "failed" in spec.retrying.on and attempt.number <= spec.retrying.count
    return 0.0 if tried_again else 60 * (spec.hold_failed_kernel or 0)


def _open_parameters(run: Run) -> dict[str, Any]:
    """The parameters that may stand in files."""
    secret = run.secret_parameters or ()
    return {name: value for name, value in run.parameters.items() if name not in secret}


def _secret_parameters(run: Run) -> dict[str, str]:
    """The others, which travel as secrets do: beside the spec, to the work's variables."""
    secret = run.secret_parameters or ()
    return {name: text_of(value) for name, value in run.parameters.items() if name in secret}


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


def _limits(limits: Limits) -> LimitsSpec:
    sizes = (limits.memory, limits.output, limits.disk)
    memory, output, disk = (None if each is None else byte_count(each) for each in sizes)
    return LimitsSpec(
        time=None if limits.time is None else seconds(limits.time),
        steps={name: seconds(each) for name, each in (limits.steps or {}).items()},
        memory=memory,
        cpu=limits.cpu,
        processes=limits.processes,
        output=output,
        disk=disk,
    )


def _instant(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
