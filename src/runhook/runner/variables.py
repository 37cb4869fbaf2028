"""The environment variables of the work, made from nothing: no attempt sees another's."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runhook.runner.spec import RunSpec, Secrets

PASSED_ON = (
    "LANG LC_ALL TZ HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy "
    "all_proxy no_proxy SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE"
).split()
OWN = (
    "RUNHOOK_RUN_ID RUNHOOK_ATTEMPT_ID RUNHOOK_JOB_ID RUNHOOK_JOB_NAME RUNHOOK_TRIGGER "
    "RUNHOOK_SCHEDULED_FOR RUNHOOK_RESULT RUNHOOK_ARTIFACTS"
).split()
"""Ours, which differ between runs."""


def work_variables(
    spec: RunSpec, secrets: Secrets, environment: Mapping[str, str], server: Mapping[str, str]
) -> dict[str, str]:
    """Later ones win: the machine's, the environment's, the compatible contract's, the job's, its
    parameters, the secrets, ours. A parameter that is no text arrives as JSON."""
    directory = Path(spec.directory)
    return {
        "HOME": str(directory / "home"),
        "TMPDIR": str(directory / "tmp"),
        **spec.compatible,
        "SATURN_TOKEN": secrets.variables.get("RUNHOOK_TOKEN", ""),
        **lasting_variables(spec, environment, server),
        **{name: _text(value) for name, value in spec.parameters.items()},
        **secrets.attached,
        **secrets.variables,
        "RUNHOOK_RUN_ID": spec.run_id,
        "RUNHOOK_ATTEMPT_ID": spec.attempt_id,
        "RUNHOOK_JOB_ID": spec.job_id,
        "RUNHOOK_JOB_NAME": spec.job_name,
        "RUNHOOK_TRIGGER": spec.trigger,
        "RUNHOOK_SCHEDULED_FOR": spec.scheduled_for or "",
        "RUNHOOK_RESULT": str(result_value_path(directory)),
        "RUNHOOK_ARTIFACTS": str(directory / "artifacts"),
        "RUNHOOK_RANK": "0",
        "RUNHOOK_SCALE": str(spec.at_once),
    }


def lasting_variables(
    spec: RunSpec, environment: Mapping[str, str], server: Mapping[str, str]
) -> dict[str, str]:
    """Those that are the same for all runs of a job: no places, parameters or secrets."""
    return {
        "LANG": "C.UTF-8",
        "PATH": os.defpath,
        **{name: server[name] for name in PASSED_ON if name in server},
        "USER": "runhook",
        "LOGNAME": "runhook",
        "SHELL": "/bin/bash",
        "PYTHONUNBUFFERED": "1",
        **environment,
        **spec.variables,
    }


def ranked(variables: Mapping[str, str], rank: int) -> dict[str, str]:
    """The variables of one of several commands."""
    return {**variables, "RUNHOOK_RANK": str(rank), "SATURN_JOB_RANK": str(rank)}


def result_value_path(directory: Path) -> Path:
    """Where the work may leave what it returns, as JSON. What is there is not to be trusted."""
    return directory / "out" / "result.json"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
