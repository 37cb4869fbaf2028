"""A private PostgreSQL for the test run: the distribution's programs, data in a temporary place."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.servers.system_parts import require

SETTINGS = ("fsync=off", "full_page_writes=off", "listen_addresses=", "max_connections=60")


@contextmanager
def running_postgres() -> Iterator["Postgres"]:
    """A server on a unix socket, for as long as the block lasts. It refuses root, so under root it
    runs as the user `postgres`."""
    programs = require("postgres").parent
    directory = Path(tempfile.mkdtemp(prefix="runhook-pg-"))
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    if os.getuid() == 0:
        shutil.chown(directory, user)
    data = directory / "data"

    def call(*words: object) -> None:
        subprocess.run(
            [str(word) for word in words],
            check=True,
            user=user if os.getuid() == 0 else None,
            cwd=directory,
            stdout=subprocess.DEVNULL,
        )

    call(programs / "initdb", "--auth=trust", "--username=runhook", "--no-sync", "-D", data)
    options = " ".join(
        f"-c {setting}" for setting in (*SETTINGS, f"unix_socket_directories={directory}")
    )
    control = (programs / "pg_ctl", "-D", data, "-w", "-l", directory / "log")
    call(*control, "-o", options, "start")

    def restart() -> None:
        call(*control, "-m", "immediate", "stop")
        call(*control, "-o", options, "start")

    try:
        yield Postgres(directory, restart)
    finally:
        call(*control, "-m", "immediate", "stop")
        shutil.rmtree(directory)


class Postgres:
    """The running server."""

    def __init__(self, socket: Path, restart: Callable[[], None]) -> None:
        self._socket = socket
        self.restart = restart
        """End it as a crash would, and start it again."""
        self._made = 0

    def new_database(self) -> str:
        """The URL of a fresh, empty database."""
        self._made += 1
        name = f"test{self._made}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql://runhook@/{database}?host={self._socket}"
