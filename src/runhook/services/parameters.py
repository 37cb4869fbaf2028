"""What a start gives for a job's parameters, held against its contract, whatever starts it."""

from collections.abc import Mapping
from typing import Any

from runhook.errors import Invalid
from runhook.model.command_line import LONGEST_LINE, filled_in, text_of
from runhook.model.job import JobSpec
from runhook.model.known_contract import KnownContract, known_contract
from runhook.services.validation import nearest

LARGEST_VALUE = 64 * 1024
LARGEST_WHOLE = 512 * 1024
"""Bytes as environment variables: Linux takes 128 KiB each, and 2 MiB with everything else."""


class WrongParameters(Invalid):
    """Some parameters are wrong; `unknown` are those that the contract does not know."""

    def __init__(self, wrong: Mapping[str, str], unknown: Mapping[str, str]) -> None:
        details = {f"parameters.{name}": sentence for name, sentence in wrong.items()}
        super().__init__("cannot start with these parameters", details=details)
        self.unknown = list(unknown)


def checked_parameters(
    spec: JobSpec,
    given: Mapping[str, Any],
    known: KnownContract | None = None,
    *,
    personal: bool = True,
) -> dict[str, Any]:
    """The job's defaults with the given values over them. Invalid names each one that the contract
    does not know, or is given what it does not take, or what no program could be given. `known` is
    by default what the job declares; without `personal` nobody is there to be told what is missing.
    """
    known = known or known_contract(spec, None)
    names = known.contract.parameters
    by = "by this job, nor by its notebook" if known.told else "by this job"
    unknown = {
        name: f"is not declared {by}" + nearest(name, names) for name in given if name not in names
    }
    _refuse(unknown | known.problems(given, personal=personal), unknown)
    values = known.filled(given)
    sizes = {name: len(text_of(value).encode()) for name, value in values.items()}
    _refuse(
        {
            name: f"is longer than {LARGEST_VALUE} bytes: keep it in a file, and give its place"
            for name, size in sizes.items()
            if size > LARGEST_VALUE
        }
    )
    if sum(sizes.values()) > LARGEST_WHOLE:
        raise Invalid(f"cannot start with more than {LARGEST_WHOLE} bytes of parameters")
    if len(filled_in(spec.command or "", values).encode()) > LONGEST_LINE:
        raise Invalid(f"cannot start a command line of more than {LONGEST_LINE} bytes")
    return values


def _refuse(wrong: Mapping[str, str], unknown: Mapping[str, str] | None = None) -> None:
    if wrong:
        raise WrongParameters(wrong, unknown or {})
