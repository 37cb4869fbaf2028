"""What lets git into a private repository, handed over without a file, an argument or a log line.

A token is given by a credential helper that reads git's own environment, and only to the origin of
the repository's URL, so a redirect to another host learns nothing. A private key, and the list of
confirmed hosts, are in memory: files without a name, which ssh opens below /proc/<this process>/fd
and which end with this process, however it ends.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from runhook.runner.address import Address
from runhook.runner.spec import GitCredential, Secrets

HELPER = (
    '!f() { test "$1" = get || return 0; '
    'printf "username=%s\\npassword=%s\\n" "$RUNHOOK_GIT_USERNAME" "$RUNHOOK_GIT_TOKEN"; }; f'
)
SSH_OPTIONS = (
    "BatchMode=yes StrictHostKeyChecking=yes GlobalKnownHostsFile=/dev/null UpdateHostKeys=no "
    "CheckHostIP=no IdentitiesOnly=yes IdentityAgent=none ForwardAgent=no "
    "ClearAllForwardings=yes PermitLocalCommand=no ConnectTimeout=20 ServerAliveInterval=15 "
    "ServerAliveCountMax=4 LogLevel=ERROR"
).split()


@contextmanager
def granted(
    address: Address, credential: GitCredential | None, secrets: Secrets
) -> Iterator[dict[str, str]]:
    """The environment variables for git commands that talk to the address, while this lasts."""
    if address.scheme == "ssh":
        key = credential.value if credential and credential.kind == "ssh_key" else None
        with _ssh(key, secrets.known_hosts) as variables:
            yield variables
    elif address.scheme in ("http", "https") and credential and credential.kind == "token":
        yield {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"credential.{address.origin}.helper",
            "GIT_CONFIG_VALUE_0": HELPER,
            "RUNHOOK_GIT_USERNAME": _one_line(credential.username) or "git",
            "RUNHOOK_GIT_TOKEN": _one_line(credential.value),
        }
    else:
        yield {}


@contextmanager
def _ssh(key: str | None, known_hosts: str) -> Iterator[dict[str, str]]:
    with ExitStack() as files:
        identity = files.enter_context(_in_memory(_key_text(key))) if key else "none"
        hosts = files.enter_context(_in_memory(known_hosts))
        options = [*SSH_OPTIONS, f"IdentityFile={identity}", f"UserKnownHostsFile={hosts}"]
        words = " ".join(f"-o {option}" for option in options)
        yield {"GIT_SSH_COMMAND": f"ssh -F /dev/null {words}", "GIT_SSH_VARIANT": "ssh"}


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """The path of a nameless file that holds the text, for this process's descendants (0600: ssh
    refuses a key that others may read)."""
    descriptor = os.memfd_create("runhook", os.MFD_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, text.encode())
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _key_text(key: str) -> str:
    """OpenSSH wants plain line ends and one at the end."""
    return key.replace("\r\n", "\n").strip() + "\n"


def _one_line(text: str) -> str:
    """Git's credential protocol is lines: a line end would end the value, and add another."""
    return text.strip().partition("\n")[0]
