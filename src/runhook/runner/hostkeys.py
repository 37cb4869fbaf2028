"""The keys by which a host over ssh proves who it is: confirmed by a person, once, before use."""

import base64
import binascii
import hashlib
import os
import re
import shutil
from pathlib import Path

from runhook.runner.address import Address
from runhook.runner.process import Control, capture
from runhook.runner.report import Reporter, StepFailed

SCAN_SECONDS = 10
PREFERRED = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]


def check_words(address: Address, words: str, reporter: Reporter, control: Control) -> None:
    """Raise StepFailed if ssh's words say that the host's key is not a confirmed one.

    The host is asked for its keys, which are reported for a person to confirm.
    """
    changed = "REMOTE HOST IDENTIFICATION HAS CHANGED" in words
    if not changed and "Host key verification failed" not in words:
        return
    keys = scan(address, control)
    if keys:
        reporter.emit("host_key_unknown", host=address.known_host, keys=keys)
    if changed:
        raise StepFailed(
            f"DANGER: the key of {address.known_host} is not the one that was confirmed before; "
            "somebody may be between this server and the host, so nothing was fetched: ask the "
            "host's administrator whether its key was changed, and only then confirm the new one"
        )
    if not keys:
        raise StepFailed(
            f"cannot fetch from {address.known_host} because its host key cannot be read"
        )
    raise StepFailed(
        f"the host key of {address.known_host} is not known here; its fingerprint is "
        f"{keys[0]['fingerprint']} ({keys[0]['type']}): compare it with the one the host "
        "publishes, confirm it and start again"
    )


def scan(address: Address, control: Control) -> list[dict[str, str]]:
    """The keys that the host shows now, as {type, key, fingerprint}; empty if it shows none."""
    program = shutil.which("ssh-keyscan")
    if program is None:
        return []
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        _, output = capture(
            [program, "-T", str(SCAN_SECONDS), "-p", str(address.port), address.host],
            cwd=Path("/"),
            env={"LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", os.defpath)},
            output=nowhere,
            control=control,
            timeout=3 * SCAN_SECONDS,
        )
    finally:
        os.close(nowhere)
    keys = re.findall(
        r"^\S+ ([a-z0-9@.-]+) ([A-Za-z0-9+/=]+)$", output.decode("ascii", "replace"), re.M
    )
    found = [{"type": kind, "key": key, "fingerprint": fingerprint(key)} for kind, key in keys]
    return sorted(found, key=lambda key: (_rank(key["type"]), key["type"]))


def fingerprint(key: str) -> str:
    """`SHA256:…`, as `ssh-keygen -l` writes it; `key` is the base64 text of a public key."""
    try:
        digest = hashlib.sha256(base64.b64decode(key, validate=True)).digest()
    except binascii.Error:
        return "unreadable"
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _rank(kind: str) -> int:
    return PREFERRED.index(kind) if kind in PREFERRED else len(PREFERRED)
