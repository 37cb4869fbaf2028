"""Which server the commands talk to, and with which token."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

DEFAULT_URL = "http://127.0.0.1:8900"


@dataclass(frozen=True)
class Login:
    """A server and a user token for it."""

    url: str
    token: str


def login_file(environ: Mapping[str, str]) -> Path:
    """Where `runhook login` keeps what it was told."""
    directory = environ.get("RUNHOOK_TEST_CONFIG_DIR") or platformdirs.user_config_dir("runhook")
    return Path(directory) / "login.json"


def current_login(
    environ: Mapping[str, str], url: str | None = None, token: str | None = None
) -> Login:
    """What was given, else `RUNHOOK_URL` and `RUNHOOK_TOKEN`, else the last `runhook login`.

    A kept token goes only to the server it was kept for.
    """
    kept = _kept(environ)
    chosen = url or environ.get("RUNHOOK_URL") or (kept.url if kept else DEFAULT_URL)
    fitting = kept.token if kept and kept.url == chosen.rstrip("/") else ""
    return Login(chosen.rstrip("/"), token or environ.get("RUNHOOK_TOKEN") or fitting)


def keep_login(environ: Mapping[str, str], login: Login) -> Path:
    """Keep a login for later commands, in a file that only its owner can read."""
    path = login_file(environ)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
        json.dump({"url": login.url, "token": login.token}, file)
    return path


def _kept(environ: Mapping[str, str]) -> Login | None:
    try:
        values = json.loads(login_file(environ).read_text(encoding="utf-8"))
        return Login(str(values["url"]), str(values["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
