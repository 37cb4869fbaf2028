"""What starts a job without anybody there, and the values it gives for parameters: checked when the
job is saved, so that no fire and no delivery fails for it later."""

from collections.abc import Mapping, Sequence
from typing import Any

from runhook.model.parameters import Contract
from runhook.model.schedule import Schedule
from runhook.model.trigger import Webhook


def check_fillings(
    contract: Contract,
    schedules: Sequence[Schedule],
    webhooks: Sequence[Webhook],
    predecessors: Sequence[str],
) -> None:
    """Raise ValueError, as `field: sentence`, unless each gives values to declared parameters only,
    schedules give such that fit, and nothing without a default is left empty. What a webhook's
    payload holds is known, and checked, only when it comes."""
    for number, rule in enumerate(schedules, 1):
        _check_schedule(f"schedules: number {number}", rule.parameters or {}, contract)
    for hook in webhooks:
        _check_declared(f"triggers: {hook.webhook}", hook.parameters or {}, contract)
        _check_whole(f"triggers: {hook.webhook}", hook.parameters or {}, contract)
    for name in predecessors:
        _check_whole(f"triggers: a run after {name}", {}, contract)


def _check_schedule(what: str, given: Mapping[str, Any], contract: Contract) -> None:
    _check_declared(what, given, contract)
    for name in given:
        if name in contract.secrets:
            raise ValueError(f"{what} gives a value to {name}, which is secret")
    for name, sentence in contract.problems(given, whole=False).items():
        raise ValueError(f"{what} gives {name} what it does not take: it {sentence}")
    _check_whole(what, given, contract)


def _check_declared(what: str, given: Mapping[str, Any], contract: Contract) -> None:
    for name in given:
        if name not in contract.parameters:
            raise ValueError(f"{what} gives a value to {name}, which is not declared")


def _check_whole(what: str, given: Mapping[str, Any], contract: Contract) -> None:
    for name, parameter in contract.parameters.items():
        if parameter.required and name not in given:
            raise ValueError(f"{what} gives no value to {name}, which has no default")
