"""Hosts and their public keys as an OpenSSH known_hosts file writes them (sshd(8))."""

import base64
import hashlib
import ipaddress
import re
from dataclasses import dataclass

FIELDS = {
    "ssh-ed25519": 2,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "ssh-rsa": 3,
}
"""The types of key that are taken, and how many fields each has (RFC 4253, 5656, 8709)."""
NAME = re.compile(r"[a-z0-9_][a-z0-9_-]*(\.[a-z0-9_-]+)*", re.ASCII)
LONGEST_HOST = 253
LONGEST_KEY = 4_096
SSH_PORT = 22


@dataclass(frozen=True)
class HostKey:
    """`line` is `type base64`; `fingerprint` is as `ssh-keygen -l` writes it, `SHA256:…`."""

    line: str
    fingerprint: str


def known_host(text: str) -> str:
    """A host in its one form: `host`, or `[host]:port` unless the port is 22. ValueError if it is
    none, also for a pattern, a list or a hash of hosts."""
    bracketed = re.fullmatch(r"\[([^\[\]]*)\]:(\d{1,5})", text, re.ASCII)
    host, port = (bracketed[1], int(bracketed[2])) if bracketed else (text, SSH_PORT)
    host = host.lower()
    if len(host) > LONGEST_HOST or not (NAME.fullmatch(host) or _is_ipv6(host)):
        raise ValueError("write one host, as host or [host]:port; not a list, pattern or hash")
    if not 0 < port < 65_536:
        raise ValueError("the port of the host must be from 1 to 65535")
    return host if port == SSH_PORT else f"[{host}]:{port}"


def host_key(kind: str, text: str) -> HostKey:
    """A key from its type and base64 text; ValueError if it is not a whole key of that type."""
    if kind not in FIELDS:
        raise ValueError(f"the type of the key must be one of {', '.join(FIELDS)}")
    damaged = ValueError("the key is damaged: copy the whole line")
    if len(text) > LONGEST_KEY:
        raise damaged
    try:
        blob = base64.b64decode(text, validate=True)
    except ValueError:
        raise damaged from None
    fields = _fields(blob)
    if len(fields) != FIELDS[kind] or fields[0] != kind.encode() or b"" in fields:
        raise damaged
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return HostKey(f"{kind} {base64.b64encode(blob).decode()}", f"SHA256:{digest}")


def parse_line(line: str) -> tuple[str, HostKey]:
    """Host and key of one known_hosts line; ValueError, as a sentence, if it is none."""
    if len(line.strip().splitlines()) > 1:
        raise ValueError("write one line; add the others after it")
    words = line.split()
    if len(words) < 3 or words[0].startswith(("#", "@")):
        raise ValueError("write a line of a known_hosts file: host, type and key")
    return known_host(words[0]), host_key(words[1], words[2])


def _is_ipv6(host: str) -> bool:
    try:
        return ":" in host and ipaddress.IPv6Address(host).scope_id is None
    except ValueError:
        return False


def _fields(blob: bytes) -> list[bytes]:
    """The fields of a key: each a length of four bytes, then as many (RFC 4251); none if broken."""
    fields, rest = [], blob
    while rest:
        length = int.from_bytes(rest[:4], "big")
        if len(rest) < 4 + length:
            return []
        fields.append(rest[4 : 4 + length])
        rest = rest[4 + length :]
    return fields
