"""What a start gives for a job's parameters, held against its contract, whatever starts it."""

from collections.abc import Mapping
from typing import Any

from runhook.errors import Invalid
from runhook.model.command_line import LONGEST_LINE, filled_in, text_of
from runhook.model.job import JobSpec
from runhook.services.validation import nearest

LARGEST_VALUE = 64 * 1024
LARGEST_WHOLE = 512 * 1024
"""Bytes as environment variables: Linux takes 128 KiB each, and 2 MiB with everything else."""


def checked_parameters(spec: JobSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults with the given values over them. Invalid names each one that is not declared, or
    is given what it does not take, or what no program could be given."""
    contract = spec.contract
    unknown = {
        name: "is not declared by this job" + nearest(name, contract.parameters)
        for name in given
        if name not in contract.parameters
    }
    _refuse(unknown | contract.problems(given))
    values = contract.filled(given)
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
    lines = {filled_in(line, values) for line in spec.commands}
    if any(len(line.encode()) > LONGEST_LINE for line in lines):
        raise Invalid(f"cannot start a command line of more than {LONGEST_LINE} bytes")
    return values


def _refuse(wrong: Mapping[str, str]) -> None:
    if wrong:
        details = {f"parameters.{name}": sentence for name, sentence in wrong.items()}
        raise Invalid("cannot start with these parameters", details=details)
