"""The values of secret parameters: sealed beside the run, bound to it and to the parameter's name,
and opened for the runner, for another run of the same, and for nobody else.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from runhook.errors import RunhookError
from runhook.keys import Keys
from runhook.model.parameters import HIDDEN
from runhook.model.run import Run
from runhook.ring import Ring
from runhook.store import run_secrets
from runhook.store.database import Transaction

OPEN = (None, "")
"""What is no secret: a parameter that is left empty."""


def parted(
    values: Mapping[str, Any], secret: Collection[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters as they stand in the run's row, and, by name, what has to be sealed."""
    sealed = {name: each for name, each in values.items() if name in secret and each not in OPEN}
    return {**values, **dict.fromkeys(sealed, HIDDEN)}, sealed


def keep(tx: Transaction, keys: Keys | None, run_id: str, values: Mapping[str, Any]) -> None:
    """Seal the values of a new run. RunhookError if there are some and no keys: nothing is ever
    kept that can be read."""
    if not values:
        return
    if keys is None:
        raise RunhookError("cannot keep a secret parameter because there is no key for it here")
    sealed = {n: keys.encrypt(json.dumps(v), _context(run_id, n)) for n, v in values.items()}
    run_secrets.insert_sealed(tx, run_id, sealed)


def opened(tx: Transaction, keys: Keys, run: Run) -> dict[str, Any]:
    """Every parameter of the run with its value. RunhookError if one cannot be decrypted."""
    if not run.secret_parameters:
        return run.parameters
    sealed = run_secrets.sealed_of(tx, run.id)
    values = {n: json.loads(keys.decrypt(s, _context(run.id, n))) for n, s in sealed.items()}
    return {**run.parameters, **values}


def reseal(tx: Transaction, ring: Ring) -> int:
    """Encrypt every value anew, with the first key of the ring; how many there are."""
    known = run_secrets.all_sealed(tx)
    for run_id, name, sealed in known:
        value = ring.decrypt(sealed, _context(run_id, name))
        run_secrets.replace_sealed(tx, run_id, name, ring.encrypt(value, _context(run_id, name)))
    return len(known)


def _context(run_id: str, name: str) -> str:
    """What the encryption is bound to: a value moved to another row cannot be opened."""
    return json.dumps(["run parameter", run_id, name])
