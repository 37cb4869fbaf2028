"""Which repositories a credential's prefix covers: the property that keeps tokens at home."""

from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runhook.model.place import place_of

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
hosts = st.lists(labels, min_size=1, max_size=3).map(".".join)
segments = st.from_regex(r"[A-Za-z0-9_~-][A-Za-z0-9._~ -]{0,8}[A-Za-z0-9]", fullmatch=True)
paths = st.lists(segments, max_size=4)
schemes = st.sampled_from(["https", "http", "ssh"])


def url(scheme: str, host: str, path: list[str]) -> str:
    return f"{scheme}://{host}/" + "/".join(quote(part) for part in path)


@given(schemes, hosts, paths, paths)
def test_a_prefix_covers_everything_below_it(
    scheme: str, host: str, above: list[str], below: list[str]
) -> None:
    prefix = place_of(url(scheme, host, above))
    assert prefix.covers(place_of(url(scheme, host, above + below)))
    assert prefix.covers(place_of(url(scheme, host.upper(), above + below) + "/"))


@given(schemes, hosts, paths, segments, st.text("ab-.", min_size=1, max_size=4))
def test_a_longer_name_is_another_name(
    scheme: str, host: str, above: list[str], last: str, tail: str
) -> None:
    prefix = place_of(url(scheme, host, [*above, last]))
    assert not prefix.covers(place_of(url(scheme, host, [*above, last + tail + "x", "repo"])))
    longer = f"{scheme}://{host}.evil.example/" + "/".join(map(quote, [*above, last]))
    assert not prefix.covers(place_of(longer))
    glued = f"{scheme}://{host}{tail.replace('.', '')}x/" + "/".join(map(quote, [*above, last]))
    assert not prefix.covers(place_of(glued))


@given(st.text(max_size=60), schemes, hosts, paths)
def test_whatever_a_prefix_covers_is_on_its_own_scheme_and_host(
    odd: str, scheme: str, host: str, path: list[str]
) -> None:
    prefix = place_of(url(scheme, host, path))
    for address in (odd, f"{scheme}://{host}{odd}", f"{scheme}://{host}/{odd}"):
        try:
            place = place_of(address)
        except ValueError:
            continue
        if prefix.covers(place):
            parts = urlsplit(address)
            assert (parts.scheme.lower(), parts.hostname) == (scheme, host)
            assert not {".", ".."} & set(place.segments)


@given(hosts, paths.filter(bool))
def test_the_short_and_the_long_form_of_ssh_cover_each_other(host: str, path: list[str]) -> None:
    plain = [part.replace(" ", "_") for part in path]
    short = place_of(f"git@{host}:{'/'.join(plain)}")
    long = place_of(f"ssh://git@{host}:22/{'/'.join(plain)}")
    assert short == long


@pytest.mark.parametrize(
    ("prefix", "address", "covered"),
    [
        ("https://h.example/acme/tool", "https://h.example/acme/tool.git", True),
        ("https://h.example/acme/tool.git", "https://h.example/acme/tool/", True),
        ("https://h.example/acme/tool.git", "https://h.example/acme/tool/other", False),
        ("https://h.example/acme", "https://h.example/acme.git/other", False),
        ("https://h.example/acme", "https://h.example/Acme/x", False),
        ("https://h.example/my team/", "https://h.example/my%20team/x", False),
        ("https://h.example/my%20team/", "https://h.example/my%20team/x", True),
        ("https://h.example:443", "https://h.example/x", True),
        ("http://h.example/", "https://h.example/x", False),
        ("HTTPS://h.example/", "https://h.example/x", True),
        ("git@h.example:", "ssh://other@h.example/~/x", True),
        ("git@h.example:", "ssh://git@h.example:2222/x", False),
        ("git@h.example:/srv", "git@h.example:srv/x", True),
        ("ssh://git@[::1]:2222/", "ssh://git@[::1]:2222/x", True),
        ("https://h.example/acme/", "https://h.example/acme/../evil/x", False),
        ("https://h.example/acme/", "https://h.example/acme/%2e%2e/evil/x", False),
        ("https://h.example/acme/", "https://h.example/acme%2f..%2fevil/x", False),
        ("https://h.example/", "https://h.example\\@evil.example/x", False),
        ("https://h.example/", "https://h.example@evil.example/x", False),
        ("https://h.example/", "https://evil.example/?https://h.example/x", False),
        ("https://h.example/", "https://h\n.example/x", False),
        ("https://h.example/", "https://h.example/x\n", False),
        ("https://h.example/", "https://h.example./x", False),
        ("https://h.example/", "https://h.example/%ff", False),
        ("https://h.example/", "//h.example/x", False),
        ("https://h.example/", "https:h.example/x", False),
        ("https://h.example/", "https://h.example:0/x", False),
        ("https://k.example/", "https://\u212a.example/x", False),  # KELVIN SIGN lowers to k
        ("git@h.example:", "git@h.example::x", False),
    ],
)
def test_addresses_that_were_made_to_confuse(prefix: str, address: str, covered: bool) -> None:
    assert _covers(prefix, address) is covered


def _covers(prefix: str, address: str) -> bool:
    """As credentials are chosen: what has no place is covered by nothing."""
    try:
        return place_of(prefix).covers(place_of(address))
    except ValueError:
        return False
