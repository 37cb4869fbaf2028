"""Every setting of the server: one frozen table, read once at start.

A setting comes from, in this order, the command line, an environment variable
`RUNHOOK_<SECTION>_<NAME>`, `runhook.toml` (`[section]` and `name = …`), its default. A key that the
table does not know stops the start and names the nearest known one: a typo never passes silently.
Only `app` and `cli` read this module.
"""

import dataclasses
import difflib
import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import platformdirs

from runhook.errors import SettingsError

PREFIX = "RUNHOOK_"

_SEEN_BY_RUNS = (
    "RUN_ID JOB_ID JOB_NAME TRIGGER SCHEDULED_FOR RESULT ARTIFACTS URL TOKEN ATTEMPT_ID RANK SCALE"
)
RUN_VARIABLES = frozenset(PREFIX + name for name in _SEEN_BY_RUNS.split())
"""What a run sees in its environment: not settings, so a server started by a run still starts."""


def default_run_limit() -> int:
    """Twice the cores, at least four: most runs wait for input and output much of their time."""
    return max(4, 2 * (os.cpu_count() or 2))


def _setting(section: str, default: Any, help: str, *, secret: bool = False) -> Any:
    metadata = {"section": section, "help": help}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True)
class Settings:
    """The table. The field `<section>_<name>` has the key `<section>.<name>`."""

    server_data: Path = _setting(
        "server",
        lambda: Path(platformdirs.user_data_dir("runhook")),
        "Directory for everything the server keeps.",
    )
    server_host: str = _setting("server", "127.0.0.1", "Address to listen on.")
    server_port: int = _setting("server", 8900, "Port to listen on; 0 takes a free one.")
    server_url: str = _setting(
        "server", "", "Address under which people reach the server; empty: http://<host>:<port>."
    )
    server_hosts: str = _setting(
        "server",
        "",
        "More names that the server answers to, such as jobs, jobs.internal; *: to any (then a "
        "foreign site can reach it through a browser inside).",
    )
    server_proxies: str = _setting(
        "server",
        "",
        "Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are "
        "believed, such as 127.0.0.1, 10.1.0.0/16; empty: nobody's.",
    )
    server_organization: str = _setting(
        "server", "main", "The organisation in owner names such as main/admin."
    )
    server_disk_reserve: str = _setting(
        "server",
        "",
        "Nothing new starts with less free than this; empty: the smaller of 1 GB and 2 % of the "
        "disk; 0: never refuse.",
    )
    database_url: str = _setting(
        "database", "", "postgresql://… ; empty: one SQLite file in the data directory."
    )
    runs_limit: int = _setting("runs", default_run_limit, "Runs at the same time; more are queued.")
    runs_pools: str = _setting(
        "runs", "", "Pools and their places, such as gpu=2, licence=1; a job's `pool` takes one."
    )
    runs_sizes: str = _setting(
        "runs",
        "",
        "Instance sizes and their cores and memory, such as large=2:16GB, xlarge=4:32GB: limits of "
        "jobs whose `instance_type` names one; empty: it is kept, but not used.",
    )
    runs_grace: float = _setting(
        "runs", 10.0, "Seconds between asking a run to stop and ending it, at each step."
    )
    runs_isolation: str = _setting(
        "runs",
        "auto",
        "auto: the best that this machine gives; required: no run without bubblewrap; off.",
    )
    runs_folders: str = _setting(
        "runs",
        "",
        "Folders of this machine that runs may use, such as /srv/data, /srv/out:rw (to write).",
    )
    warm_memory: str = _setting(
        "warm",
        "1GB",
        "What the processes may take from which notebooks start warm; 0: all start cold.",
    )
    warm_parents: int = _setting("warm", 4, "How many of these processes there are at most.")
    warm_idle: str = _setting("warm", "15m", "How long one stays that no run has used.")
    git_allow_file_urls: bool = _setting(
        "git", False, "Permit file:// repositories, which read this machine's own disk."
    )
    git_timeout: float = _setting("git", 300.0, "Seconds that one git command may take.")
    environments_download_python: bool = _setting(
        "environments", False, "Let uv download a Python version that is not on this machine."
    )
    environments_index_url: str = _setting(
        "environments", "", "Package index to use instead of PyPI."
    )
    environments_timeout: float = _setting(
        "environments", 1800.0, "Seconds that preparing an environment may take."
    )
    oidc_issuer: str = _setting(
        "oidc",
        "",
        "Sign-in provider (OpenID Connect), such as https://id.example.org; empty: none.",
    )
    oidc_client_id: str = _setting("oidc", "", "What this server is called at the provider.")
    oidc_client_secret: str = _setting(
        "oidc", "", "The secret that the provider gave to this server.", secret=True
    )
    oidc_client_secret_file: str = _setting("oidc", "", "A file that holds the secret, instead.")
    oidc_scopes: str = _setting("oidc", "openid profile email", "What is asked for.")
    oidc_name_claim: str = _setting(
        "oidc", "preferred_username", "Claim with the name of a new account; else the address's."
    )
    oidc_groups_claim: str = _setting("oidc", "groups", "Claim with somebody's groups.")
    oidc_groups: str = _setting(
        "oidc", "", "Groups there and roles here, such as staff=data:editor, root=*:admin."
    )
    oidc_allowed_domains: str = _setting(
        "oidc", "", "Only people with addresses there, such as example.org, example.com."
    )
    oidc_auto_create: bool = _setting(
        "oidc", True, "Make an account at somebody's first sign-in; else only linked ones open."
    )
    oidc_label: str = _setting("oidc", "Sign in with single sign-on", "What the button says.")
    oidc_only: bool = _setting(
        "oidc", False, "Passwords open nothing; one-time links and tokens still do."
    )
    secrets_key: str = _setting(
        "secrets",
        "",
        "Keys for what is encrypted at rest: 32 bytes each in base64; the first one encrypts, all "
        "decrypt. Empty: see the next one.",
        secret=True,
    )
    secrets_key_command: str = _setting(
        "secrets",
        "",
        "A command, run once at start without a shell, that prints these keys. Empty: the file "
        "keys/secrets.key in the data directory.",
    )
    retention_age: str = _setting(
        "retention", "90d", "How long the log and artifacts of an ended run are kept; 0: for ever."
    )
    retention_runs: int = _setting(
        "retention", 0, "Of how many ended runs of a job they are kept; 0: of any number."
    )
    retention_size: str = _setting(
        "retention", "10GB", "How much the ended runs of a job may take in all; 0: any amount."
    )
    retention_total_size: str = _setting(
        "retention", "0", "How much the ended runs of all jobs may take; 0: any amount."
    )
    retention_history: str = _setting(
        "retention", "730d", "How long ended runs stay in the history at all; 0: for ever."
    )
    retention_cache_age: str = _setting(
        "retention", "30d", "How long environments and mirrors stay unused; 0: for ever."
    )
    retention_cache_size: str = _setting(
        "retention", "20GB", "How much environments and mirrors may take; 0: any amount."
    )


FIELDS = {item.name: item for item in dataclasses.fields(Settings)}


def env_name(field_name: str) -> str:
    """`git_allow_file_urls` → `RUNHOOK_GIT_ALLOW_FILE_URLS`."""
    return PREFIX + field_name.upper()


def load(
    *,
    environ: Mapping[str, str],
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings of this start.

    `overrides` are field names with values from the command line; None means not given. `file`
    defaults to `runhook.toml` in the data directory, which may be absent; a named file may not.
    Raises SettingsError with one sentence.
    """
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    from_environ = _from_environ(environ)
    data = given.get("server_data") or from_environ.get("server_data") or Settings().server_data
    values = _from_file(file, Path(data)) | from_environ | given
    return Settings(**{name: _converted(name, value) for name, value in values.items()})


def pools_of(text: str) -> dict[str, int]:
    """`gpu=2, licence=1` → {"gpu": 2, "licence": 1}. SettingsError for anything else."""
    pools: dict[str, int] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, places = (part.strip() for part in item.partition("="))
        if not name or not places.isdecimal() or name in pools:
            raise SettingsError(
                f"cannot start: {PREFIX}RUNS_POOLS: {item!r} is no pool; write gpu=2, licence=1"
            )
        pools[name] = int(places)
    return pools


def proxies_of(text: str) -> list[str]:
    """`127.0.0.1, 10.1.0.0/16` → each of them. SettingsError for anything else."""
    proxies = [part.strip() for part in text.split(",") if part.strip()]
    for each in proxies:
        try:
            ipaddress.ip_network(each)
        except ValueError:
            raise SettingsError(
                f"cannot start: {PREFIX}SERVER_PROXIES: {each!r} is no address and no network; "
                "write 127.0.0.1, 10.1.0.0/16"
            ) from None
    return proxies


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    known = {env_name(name): name for name in FIELDS}
    values: dict[str, Any] = {}
    for name, value in environ.items():
        if not name.startswith(PREFIX) or name in RUN_VARIABLES or name.startswith("RUNHOOK_TEST_"):
            continue
        if name not in known:
            raise SettingsError(
                f"cannot start: unknown environment variable {name}{_nearest(name, known)}"
            )
        values[known[name]] = value
    return values


def _from_file(file: Path | None, data: Path) -> dict[str, Any]:
    path = file or data / "runhook.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if file is None:
            return {}
        raise SettingsError(f"cannot start: there is no settings file {path}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"cannot start: {path} cannot be read: {error}") from None
    known = {f"{item.metadata['section']}.{_key(item.name)}": item.name for item in FIELDS.values()}
    values: dict[str, Any] = {}
    for section, entries in table.items():
        for key, value in entries.items() if isinstance(entries, dict) else [("", entries)]:
            dotted = f"{section}.{key}" if key else section
            if dotted not in known:
                raise SettingsError(
                    f"cannot start: unknown setting {dotted} in {path}{_nearest(dotted, known)}"
                )
            values[known[dotted]] = value
    return values


def _key(field_name: str) -> str:
    return field_name.partition("_")[2]


def _nearest(name: str, known: Mapping[str, str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(sorted(known))}"


def _converted(name: str, value: Any) -> Any:
    """`value` in the type of the field, from TOML (typed) or the environment (text)."""
    kind = cast(type, FIELDS[name].type)
    try:
        if kind is bool:
            return _boolean(value)
        if kind is Path:
            return Path(value).expanduser().absolute()
        if isinstance(value, bool):
            raise ValueError(
                "a number was expected" if kind in (int, float) else "text was expected"
            )
        return kind(value)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"cannot start: {env_name(name)} is {value!r}: {error}") from None


def _boolean(value: Any) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    try:
        return words[str(value).strip().lower()]
    except KeyError:
        raise ValueError("write true or false") from None
