"""Messages between the keeper, its warm parents, kernels and runners: one JSON object each, over
SOCK_SEQPACKET, with descriptors or the sender's identity beside it (unix(7))."""

import array
import json
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

LONGEST = 1 << 20
ROOM = socket.CMSG_SPACE(64) + socket.CMSG_SPACE(12)


@dataclass(frozen=True)
class Message:
    """`pid` is the sender's, as this process sees it, where the socket tells; 0 otherwise."""

    body: dict[str, Any]
    descriptors: list[int] = field(default_factory=list)
    pid: int = 0


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends; messages that come to the first one say who sent them."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST)
    return ours, theirs


def send(to: socket.socket, descriptors: tuple[int, ...] = (), **body: Any) -> None:
    """OSError if nobody is there any more, or it is too long."""
    data = json.dumps(body).encode()
    if descriptors:
        socket.send_fds(to, [data], list(descriptors))
    else:
        to.send(data)


def receive(source: socket.socket) -> Message | None:
    """The next one; None at the end. What is no message is an end, too: the sender may be a process
    of the work."""
    try:
        data, ancillary, _, _ = source.recvmsg(LONGEST, ROOM, socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return None
    passed, pid = array.array("i"), 0
    for level, kind, payload in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_RIGHTS:
            passed.frombytes(payload[: len(payload) - len(payload) % passed.itemsize])
        elif kind == socket.SCM_CREDENTIALS:
            pid = struct.unpack("3i", payload)[0]
    try:
        body = json.loads(data)
    except ValueError:
        return None
    return Message(body, list(passed), pid) if isinstance(body, dict) else None
