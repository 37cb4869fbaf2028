"""Whatever reaches a webhook, the server does not fail, and starts no run that nobody asked for."""

import json

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.api.hook_sender import SOURCES, hooked_job
from tests.conftest import Api

header_text = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"))
forged = st.dictionaries(
    st.sampled_from(
        "X-Hub-Signature-256 X-GitHub-Event X-GitHub-Delivery X-Gitea-Signature X-Gitlab-Token "
        "X-Gitlab-Event webhook-signature webhook-timestamp webhook-id X-Runhook-Signature "
        "Idempotency-Key Content-Type Content-Encoding".split()
    ),
    header_text | st.from_regex(r"(t=[0-9]+,v1=|sha256=|v1,)[0-9a-f]{64}", fullmatch=True),
)
QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("source", SOURCES)
def test_garbage_from_strangers_is_refused_and_starts_nothing(shared_api: Api, source: str) -> None:
    hook = hooked_job(shared_api, f"hook-garbage-{source}", source)
    session = requests.Session()

    @QUICK
    @given(st.binary(max_size=200), forged, st.text(max_size=8), st.booleans())
    def send(body: bytes, headers: dict[str, str], text: str, elsewhere: bool) -> None:
        url = f"{hook.url}{requests.utils.quote(text, safe='')}" if elsewhere else hook.url
        raw = {name: value.strip().encode("latin-1") for name, value in headers.items()}
        answer = session.post(url, data=body, headers=raw, timeout=20)
        assert answer.status_code in (400, 401), (answer.status_code, answer.text)

    send()
    assert hook.runs() == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
fields = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("ref", "after", "deleted", "object_kind", "payload"), json_values),
)


@pytest.mark.parametrize("source", ["github", "gitlab", "gitea"])
def test_garbage_with_a_genuine_signature_is_answered_and_starts_nothing(
    shared_api: Api, source: str
) -> None:
    hook = hooked_job(shared_api, f"hook-signed-garbage-{source}", source, branch="no-such-branch")
    session = requests.Session()
    bodies = st.binary(max_size=200) | (json_values | fields).map(lambda v: json.dumps(v).encode())
    kinds = st.sampled_from(["application/json", "application/x-www-form-urlencoded", "é", ""])

    @QUICK
    @given(bodies, header_text, kinds)
    def send(body: bytes, event: str, kind: str) -> None:
        proof = hook.headers(body)
        raw = {name: value.encode("latin-1") for name, value in proof.items()}
        named = next(name for name in raw if name.endswith("-Event"))
        raw |= {named: event.strip().encode("latin-1"), "Content-Type": kind.encode("latin-1")}
        answer = session.post(hook.url, data=body, headers=raw, timeout=20)
        assert answer.status_code in (200, 400), (answer.status_code, answer.text)

    send()
    assert hook.runs() == []


def test_any_value_of_a_payload_is_kept_with_the_run_or_refused(shared_api: Api) -> None:
    hook = hooked_job(shared_api, "hook-any-value", "generic", parameters={"commit": "/payload"})
    shared_api.apply(
        name="hook-any-value",
        command="sleep 600",
        parameters={"commit": None},
        concurrency_policy="Forbid",
        triggers=[{"webhook": "pushed", "parameters": {"commit": "/payload"}}],
    )
    active = hook.send()  # so that all others are skipped
    assert active.status_code == 202

    @QUICK
    @example([[]] * 20_000)
    @given(json_values)
    def send(value: object) -> None:
        answer = hook.send({"payload": value})
        assert answer.status_code in (200, 400, 422), answer.text
        if answer.status_code == 200:
            kept = shared_api.request("GET", f"/api/runs/{answer.json()['run']['id']}")
            assert kept.json()["parameters"]["commit"] == value

    send()
    for depth in (50, 98, 100, 900, 950, 990, 9999):
        body = b'{"payload":' + b"[" * depth + b"1" + b"]" * depth + b"}"
        answer = hook.post(body, hook.headers(body))
        assert answer.status_code in (200, 400, 422), (depth, answer.text)
        if answer.status_code == 200:
            path = f"/api/runs/{answer.json()['run']['id']}"
            assert shared_api.request("GET", path).status_code == 200, depth
    shared_api.request("POST", f"/api/jobs/{hook.job}/stop")
