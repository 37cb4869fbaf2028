"""How far apart runs are kept on this machine: the levels, and what holds at each, in words."""

import hashlib
from typing import Literal

Level = Literal["own_user_bubblewrap", "bubblewrap", "own_user", "processes"]
LEVELS: tuple[Level, ...] = ("own_user_bubblewrap", "bubblewrap", "own_user", "processes")
"""Best first."""
BOXED: tuple[Level, ...] = ("own_user_bubblewrap", "bubblewrap")
OWN_USER: tuple[Level, ...] = ("own_user_bubblewrap", "own_user")

NAMES: dict[Level, str] = {
    "own_user_bubblewrap": "own user and bubblewrap",
    "bubblewrap": "bubblewrap, same user",
    "own_user": "own user only",
    "processes": "processes only",
}
_VIEW = [
    "processes, /tmp and devices of its own",
    "system read-only",
    "server's data and other runs not in sight",
]
HOLDS: dict[Level, list[str]] = {
    "own_user_bubblewrap": ["a system user for each job", *_VIEW],
    "bubblewrap": _VIEW,
    "own_user": ["a system user for each job", "server's data and other jobs' files not readable"],
    "processes": ["own session, workspace and home"],
}
LACKS: dict[Level, list[str]] = {
    "own_user_bubblewrap": [],
    "bubblewrap": ["the system user is the server's"],
    "own_user": [
        "temporary files and the list of processes are shared",
        "runs of one job are not apart",
    ],
    "processes": [
        "the system user is the server's: a run can read the server's data, keys and other runs"
    ],
}
NETWORK_SHARED, NETWORK_OFF = "network shared", "no network"

FIRST_UID = 0x70000000
"""Above every range that systems give to people, services and containers (systemd's ranges end at
0x6fffffff)."""
UID_BITS = 28


def own_uid(name: str) -> int:
    """The system user, and group, of what is called `name`: always the same, in no passwd file."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return FIRST_UID + int.from_bytes(digest[:4], "big") % (1 << UID_BITS)


def describe(level: Level, network: bool = True, *, shared: bool = False) -> str:
    """What holds at this level and what does not: one line for the page of a run. `shared`: it may
    start warm."""
    holds, lacks = list(HOLDS[level]), list(LACKS[level])
    if shared and level in BOXED:
        lacks.append("other runs of its job that start warm are in the same box")
    if network:
        lacks.append(NETWORK_SHARED)
    else:
        holds.append(NETWORK_OFF)
    told = f"{NAMES[level]}: {', '.join(holds)}"
    return f"{told}; not apart: {', '.join(lacks)}" if lacks else told
