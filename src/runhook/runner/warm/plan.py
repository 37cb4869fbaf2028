"""What a warm parent is to be like: everything that its kernels share, and nothing of a single run.

Two runs may have kernels of one parent if their plans have the same key: it holds the job, the
environment as it is on the disk now, the level of isolation, the network, and the variables that
are set while modules are imported. Secrets and parameters are in no plan, only their names: what a
module looks up while it is imported is not imported ahead.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from runhook.runner.levels import BOXED, OWN_USER, own_uid
from runhook.runner.view import View

PROGRAM = Path(__file__).with_name("program.py")
NEVER = frozenset(
    "polars torch tensorflow jax ray distributed matplotlib_inline debugpy pydevd "
    "ipykernel_launcher __main__ __mp_main__ antigravity this".split()
)
"""Start threads or GPUs when they are imported, or want to find a shell."""
MOST_MODULES = 2500


@dataclass(frozen=True)
class Plan:
    """`view` is without the folders that belong to the warm parent itself; None without a box.
    `watched` are the names of variables that differ between runs."""

    key: str
    level: str
    uid: int | None
    python: str
    variables: dict[str, str]
    view: View | None = None
    watched: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        view = values["view"]
        lists = {} if view is None else {k: _tupled(v) for k, v in view.items()}
        return cls(**{**values, "view": None if view is None else View(**lists)})

    def box(self, temporary: Path, own: Iterable[Path]) -> View:
        """What the parent and all its kernels see."""
        assert self.view is not None
        writable = (*map(str, own), *self.view.writable)
        return replace(self.view, temporary=str(temporary), writable=writable)


def make_plan(
    *,
    job_id: str,
    level: str,
    python: Path,
    variables: dict[str, str],
    view: View | None,
    watched: Iterable[str],
) -> Plan:
    """The plan of a run's warm parent."""
    uid = own_uid(job_id) if level in OWN_USER else None
    plan = Plan("", level, uid, str(python), variables, view, sorted(watched))
    state = [job_id, plan.to_json(), _packages(python), PROGRAM.read_text(encoding="utf-8")]
    text = json.dumps(state, sort_keys=True, default=str)
    key = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return replace(plan, key=key)


def worth_importing(names: Iterable[str], denied: Iterable[str]) -> list[str]:
    """Those that are imported ahead, in the order in which they were imported there."""
    never = NEVER | set(denied)
    found = [name for name in dict.fromkeys(names) if _is_name(name)]
    found = [name for name in found if name.partition(".")[0] not in never]
    return [name for name in found if not name.startswith("_pydev")][:MOST_MODULES]


def _is_name(name: object) -> bool:
    return isinstance(name, str) and all(part.isidentifier() for part in name.split("."))


def _packages(python: Path) -> list[Any]:
    """Changes when packages are installed, removed or replaced, or the environment is made anew;
    not when their bytecode is compiled."""
    found: list[Any] = []
    for folder in sorted(python.parent.parent.glob("lib/python3*/site-packages")):
        names = sorted(name for name in os.listdir(folder) if name != "__pycache__")
        found.append([os.stat(folder).st_ino, names])
    return found


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def boxed(level: str) -> bool:
    return level in BOXED
