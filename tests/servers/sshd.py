"""A real OpenSSH server on this machine, with its own host key, that serves git repositories."""

import os
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.system_parts import require


@dataclass(frozen=True)
class Sshd:
    """`key` is the text of a private key that may sign in as `user`; `known_hosts` says who the
    server is."""

    port: int
    user: str
    key: str
    public_host_key: str
    fingerprint: str

    @property
    def known_hosts(self) -> str:
        kind, key, *_ = self.public_host_key.split()
        return f"[127.0.0.1]:{self.port} {kind} {key}\n"

    def url(self, repository: Path) -> str:
        return f"ssh://{self.user}@127.0.0.1:{self.port}{repository}"


@contextmanager
def serving_ssh(folder: Path) -> Iterator[Sshd]:
    """Serve while this lasts. Skips the test where the parts are missing or we are not root."""
    program = require("sshd")
    if os.geteuid() != 0:
        pytest.skip("sshd lets somebody in only where the tests run as root")
    folder.mkdir(mode=0o700)
    host_key, user_key = make_key(folder / "host_key"), make_key(folder / "user_key")
    (folder / "authorized_keys").write_text(user_key.with_suffix(".pub").read_text())
    Path("/run/sshd").mkdir(exist_ok=True)
    port = _free_port()
    user = pwd.getpwuid(os.geteuid()).pw_name
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nPidFile none\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\nUsePAM no\n"
        "KbdInteractiveAuthentication no\nPermitRootLogin yes\nMaxStartups 50\n"
    )
    words = [str(program), "-D", "-e", "-f", str(folder / "config")]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _wait_until_it_answers(port, process, folder / "log")
        public = host_key.with_suffix(".pub")
        shown = subprocess.run(
            ["ssh-keygen", "-lf", public], check=True, capture_output=True, text=True
        )
        yield Sshd(port, user, user_key.read_text(), public.read_text(), shown.stdout.split()[1])
    finally:
        process.terminate()
        process.wait()


def make_key(path: Path) -> Path:
    """A fresh ed25519 key pair: `path`, and `path`.pub."""
    words = [
        str(require("ssh-keygen")),
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-C",
        "test",
        "-f",
        str(path),
    ]
    subprocess.run(words, check=True)
    return path


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_until_it_answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + 10
    while time.monotonic() < limit and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            time.sleep(0.01)
    pytest.fail(f"sshd did not start: {log.read_text()}")
