"""The names that a server answers to."""

import socket

import pytest

from runhook.errors import Forbidden
from runhook.hosts import Hosts

LOOPBACK = Hosts.of("http://127.0.0.1:8900", "127.0.0.1", "")
PROXIED = Hosts.of("https://Jobs.Example.org", "127.0.0.1", "jobs.internal, Other:81")
OPEN = Hosts.of(f"http://{socket.gethostname()}:8900", "0.0.0.0", "")
OPEN6 = Hosts.of("http://[2001:db8::1]:8900", "::", "")
ANY = Hosts.of("http://127.0.0.1:8900", "127.0.0.1", "*")


@pytest.mark.parametrize(
    ("hosts", "host"),
    [
        (LOOPBACK, "127.0.0.1:8900"),
        (LOOPBACK, "127.0.0.53"),
        (LOOPBACK, "localhost:1"),
        (LOOPBACK, "LocalHost"),
        (LOOPBACK, "localhost."),
        (LOOPBACK, "[::1]:8900"),
        (LOOPBACK, socket.gethostname()),
        (PROXIED, "jobs.example.org"),
        (PROXIED, "jobs.internal:443"),
        (PROXIED, "other"),
        (OPEN, "10.0.0.7:8900"),
        (OPEN, "localhost"),
        (OPEN6, "[2001:db8::2]:8900"),
        (ANY, "anything.example"),
    ],
)
def test_its_own_names_are_answered(hosts: Hosts, host: str) -> None:
    hosts.require(host)


@pytest.mark.parametrize(
    ("hosts", "host"),
    [
        (LOOPBACK, "evil.example"),
        (LOOPBACK, "127.0.0.1.evil.example"),
        (LOOPBACK, "evil.example@127.0.0.1"),
        (LOOPBACK, "127.0.0.1@evil.example"),
        (LOOPBACK, "10.0.0.7"),
        (LOOPBACK, ""),
        (LOOPBACK, "*"),
        (LOOPBACK, "[::1"),
        (PROXIED, "example.org"),
        (PROXIED, "x.jobs.example.org"),
        (OPEN, "evil.example"),
    ],
)
def test_any_other_is_refused_and_the_setting_named(hosts: Hosts, host: str) -> None:
    with pytest.raises(Forbidden) as caught:
        hosts.require(host)
    assert "RUNHOOK_SERVER_HOSTS" in caught.value.hint
