"""What the end of a cell, or of the kernel in it, means for the run."""

import signal
from dataclasses import dataclass
from typing import Any

from runhook.runner.masking import Masker
from runhook.runner.process import Exit

LONGEST = 2000
"""Characters of an error that stand in a reason; the notebook has more of it, the log all."""
NO_STDIN = "StdinNotImplementedError"


@dataclass(frozen=True)
class Ending:
    """How a cell ended. `last`: no other is executed. `reason` is why the run fails, None if it
    does not; `note` is said in the cell, under the name of an error unless that is empty."""

    status: str
    last: bool = False
    reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    note: str | None = None
    name: str = ""


def of_reply(content: dict[str, Any], cell: int, lenient: bool, masker: Masker) -> Ending:
    """From the kernel's reply to a cell (its number from 1); `lenient`: it may raise. What is
    cut of it is masked before."""
    asked = next((each for each in content.get("payload") or () if _asks_exit(each)), None)
    if asked is not None:
        return _left(asked.get("keepkernel"), "exit()", cell)
    if content["status"] == "ok":
        return Ending("ok")
    name, value = (_short(content.get(field), masker) for field in ("ename", "evalue"))
    if name == "SystemExit":
        return _left(value, f"sys.exit({value})", cell)
    if lenient:
        return Ending("ok")
    reason = f"cell {cell} failed with {name}: {value}"
    if name == NO_STDIN:
        reason += "; a run has nobody to ask, so take what it needs from a parameter"
    return Ending("error", last=True, reason=reason)


def _short(value: Any, masker: Masker) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{masker.mask_text(text)[:LONGEST]}…"


def _asks_exit(payload: Any) -> bool:
    return isinstance(payload, dict) and payload.get("source") == "ask_exit"


def _left(value: Any, how: str, cell: int) -> Ending:
    """The notebook ended itself (`sys.exit`, docs.python.org/3/library/sys.html): nothing and 0
    are a success, another number is the exit code, anything else is a message, with code 1."""
    if value in (None, False, True, "", "None", "0", "False"):
        code = 0
    else:
        try:
            code = int(value)
        except ValueError:
            code = 1
    if code == 0:
        return Ending("ok", last=True, note=f"{how} ended the notebook here")
    reason = f"cell {cell} ended the notebook with {how}, which is exit code {code}"
    return Ending("error", last=True, reason=reason, exit_code=code, note=reason, name="SystemExit")


def of_death(ended: Exit, cell: int, memory: str | None) -> Ending:
    """From the end of the kernel while it executed a cell. `memory`: it used too much of it."""
    if ended.code == 0:
        note = "the kernel ended itself with exit code 0 in this cell"
        return Ending("ok", last=True, note=note)
    if memory:
        reason = f"{memory} in cell {cell}"
    elif ended.signal is not None:
        reason = f"the kernel died in cell {cell}: signal {ended.signal} ({_name(ended.signal)})"
    else:
        reason = f"the kernel died in cell {cell}: it ended with exit code {ended.code}"
    return Ending("died", True, reason, ended.code, ended.signal, note=reason, name="KernelDied")


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "?"
