"""Webhooks against a real server: who is believed, what starts a run, and what never does."""

import itertools
import json
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest
import yaml

from tests.api.hook_sender import HEAD, PUSH, SOURCES, Hook, hooked_job
from tests.conftest import ROOT, Api
from tests.servers.system_parts import require

NOBODY = "0" * 32


@pytest.mark.parametrize("source", SOURCES)
def test_a_genuine_delivery_starts_the_job_with_what_it_carries(
    shared_api: Api, source: str
) -> None:
    pointers = {"commit": "/head_commit/id", "region": "/repository/region"}
    hook = hooked_job(shared_api, f"hook-{source}", source, parameters=pointers)
    answer = hook.send()
    assert answer.status_code == 202, answer.text
    started = answer.json()
    assert set(started) == {"started", "run", "notes"}
    assert started["started"] is True
    assert started["notes"] == [
        "region keeps its default: the payload has nothing at /repository/region"
    ]
    assert set(started["run"]) == {"id", "number", "url", "state"}
    assert answer.headers["Location"] == started["run"]["url"]
    run = shared_api.finished(started["run"]["id"])
    assert (run["state"], run["trigger"]) == ("succeeded", "webhook")
    assert run["parameters"] == {"commit": HEAD, "region": "north"}
    assert shared_api.log(run["id"]) == f"{HEAD} north\n"


@pytest.mark.parametrize("source", SOURCES)
def test_a_delivery_that_comes_again_starts_nothing_and_is_answered_like_the_first(
    shared_api: Api, source: str
) -> None:
    hook = hooked_job(shared_api, f"hook-again-{source}", source)
    first, again = hook.send(key="same"), hook.send(key="same")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["run"]["id"] == again.json()["run"]["id"]
    assert hook.send(key="other").json()["run"]["id"] != first.json()["run"]["id"]
    assert len(hook.runs()) == 2


def test_deliveries_that_come_twice_at_once_start_one_run(shared_api: Api) -> None:
    hook = hooked_job(shared_api, "hook-at-once", "github")
    with ThreadPoolExecutor(8) as senders:
        answers = list(senders.map(lambda _: hook.send(key="same"), range(16)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["run"]["id"] for answer in answers}) == len(hook.runs()) == 1


def test_without_a_delivery_id_every_delivery_starts_a_run(shared_api: Api) -> None:
    hook = hooked_job(shared_api, "hook-no-id", "generic")
    headers = {"X-Runhook-Signature": hook.generic(b"{}")}
    runs = {hook.post(b"{}", headers).json()["run"]["id"] for _ in range(2)}
    assert len(runs) == 2


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_not_proved_is_refused_in_one_way_and_starts_nothing(
    shared_api: Api, source: str
) -> None:
    hook = hooked_job(shared_api, f"hook-forged-{source}", source)
    other = hooked_job(shared_api, "hook-other", source)
    body = json.dumps(PUSH).encode()
    genuine = hook.headers(body)
    proof = next(iter(genuine))
    value = genuine[proof]
    base = hook.url.rpartition("/api/hooks/")[0] + "/api/hooks"
    refused = [
        hook.post(body, {}),
        hook.post(body, genuine | {proof: ""}),
        hook.post(body, genuine | {proof: value[:-1]}),
        hook.post(body, genuine | {proof: value[:-1] + ("0" if value[-1] != "0" else "1")}),
        hook.post(body, genuine | {proof: "é€".encode().decode("latin-1")}),
        hook.post(body, other.headers(body)),
        hook.post(body, genuine, f"{base}/{NOBODY}/pushed"),
        hook.post(body, genuine, f"{base}/{hook.job}/other"),
        hook.post(body, genuine, f"{base}/{hook.job}/PUSHED"),
        hook.post(body, {"Authorization": f"token {shared_api.token}"}),
        hook.post(b"not json {", {}),
    ]
    if source != "gitlab":  # a token says nothing of the body
        refused.append(hook.post(body + b" ", genuine))
    assert {answer.status_code for answer in refused} == {401}
    assert len({answer.text for answer in refused}) == 1
    assert hook.secret not in refused[0].text
    assert hook.runs() == []
    assert hook.send().status_code == 202


def test_every_source_has_a_proof_of_its_own(shared_api: Api) -> None:
    body = json.dumps(PUSH).encode()
    hooks = [hooked_job(shared_api, f"hook-own-{source}", source) for source in SOURCES]
    for hook, sender in itertools.permutations(hooks, 2):
        sent = Hook(hook.api, hook.job, sender.source, hook.url, hook.secret).headers(body)
        assert hook.post(body, sent).status_code == 401, (hook.source, sender.source)


@pytest.mark.parametrize("seconds", [-400, 400, -1e9])
def test_an_old_signature_and_one_from_the_future_are_refused(
    shared_api: Api, seconds: float
) -> None:
    at = time.time() + seconds
    generic, gitlab = (hooked_job(shared_api, f"hook-old-{s}", s) for s in ("generic", "gitlab"))
    refused = [
        generic.post(b"{}", {"X-Runhook-Signature": generic.generic(b"{}", at)}),
        gitlab.post(b"{}", gitlab.signing_token(b"{}", at)),
    ]
    assert [answer.status_code for answer in refused] == [401, 401]
    assert generic.runs() + gitlab.runs() == []


@pytest.mark.parametrize("seconds", [-200, 200])
def test_a_clock_may_be_somewhat_off(shared_api: Api, seconds: float) -> None:
    hook = hooked_job(shared_api, "hook-clock", "generic")
    signed = {"X-Runhook-Signature": hook.generic(b"{}", time.time() + seconds)}
    assert hook.post(b"{}", signed).status_code == 202


def test_a_gitlab_signing_token_is_the_same_secret_and_beats_the_plain_one(
    shared_api: Api,
) -> None:
    hook = hooked_job(shared_api, "hook-signing", "gitlab")
    body = json.dumps(PUSH).encode()
    signed = hook.signing_token(body)
    first = hook.post(body, signed)
    assert first.status_code == 202, first.text
    two = signed | {"webhook-signature": "v1,bm90aGluZw== " + signed["webhook-signature"]}
    assert hook.post(body, two).json()["run"]["id"] == first.json()["run"]["id"]
    for altered in (
        {"webhook-id": "other"},
        {"webhook-timestamp": "1"},
        {"webhook-signature": "x"},
    ):
        forged = signed | altered | {"X-Gitlab-Token": hook.secret}
        assert hook.post(body, forged).status_code == 401
    assert hook.post(body + b" ", signed).status_code == 401


def test_forgejo_is_understood_by_its_own_header(shared_api: Api) -> None:
    hook = hooked_job(shared_api, "hook-forgejo", "gitea")
    body = json.dumps(PUSH).encode()
    sent = hook.headers(body)
    forgejo = sent | {"X-Forgejo-Signature": sent["X-Gitea-Signature"]}
    del forgejo["X-Gitea-Signature"]
    assert hook.post(body, forgejo).status_code == 202


def test_the_ping_of_github_is_answered_and_starts_nothing(shared_api: Api) -> None:
    hook = hooked_job(shared_api, "hook-ping", "github")
    answer = hook.send({"zen": "Keep it logically awesome.", "hook_id": 1}, "ping")
    assert (answer.status_code, answer.json()["started"]) == (200, False)
    assert "ping" in answer.json()["reason"]
    assert hook.runs() == []


@pytest.mark.parametrize("source", ["github", "gitlab", "gitea"])
def test_other_events_branches_and_deletions_start_nothing_and_say_why(
    shared_api: Api, source: str
) -> None:
    hook = hooked_job(shared_api, f"hook-filter-{source}", source, branch="release/*")
    gone = {**PUSH, "ref": "refs/heads/release/1", "after": "0" * 40, "checkout_sha": None}
    passed_over = {
        "the event is issue": hook.send({"issue": {}}, "issue"),
        "the ref is refs/heads/main": hook.send(),
        "the event is tag_push": hook.send({**PUSH, "ref": "refs/tags/release/1"}, "tag_push"),
        "refs/heads/release/1 was deleted": hook.send(gone),
    }
    for reason, answer in passed_over.items():
        assert answer.status_code == 200, answer.text
        assert answer.json()["started"] is False
        assert answer.json()["reason"].startswith(reason)
    assert hook.runs() == []
    assert hook.send({**PUSH, "ref": "refs/heads/release/1"}).status_code == 202


def test_a_form_of_github_is_read_and_signed_as_it_was_sent(shared_api: Api) -> None:
    hook = hooked_job(
        shared_api, "hook-form", "github", parameters={"commit": "/head_commit/message"}
    )
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    body = urlencode({"payload": json.dumps(PUSH)}).encode()
    answer = hook.post(body, hook.headers(body) | form)
    assert answer.status_code == 202, answer.text
    run = shared_api.run(answer.json()["run"]["id"])
    assert run["parameters"]["commit"] == "Webhooks, yay! é"  # type: ignore[index]
    for wrong in (b"other=1", b"payload=", b"payload=%5B1", b"\xff\xfe", b"a=1&" * 200, b""):
        answer = hook.post(wrong, hook.headers(wrong) | form)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed"), wrong


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[1]",
        b'"x"',
        b"null",
        b"NaN",
        b'{"a":1e999}',
        b'{"a":"\\u0000"}',
        b"\xff",
        b"[" * 9999,
    ],
)
@pytest.mark.parametrize("source", SOURCES)
def test_a_genuine_delivery_that_is_no_json_object_is_malformed(
    shared_api: Api, source: str, body: bytes
) -> None:
    hook = hooked_job(shared_api, f"hook-malformed-{source}", source)
    answer = hook.post(body, hook.headers(body))
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed"), answer.text
    assert hook.runs() == []


@pytest.mark.parametrize("source", ["github", "gitlab", "gitea"])
def test_a_delivery_that_does_not_say_its_event_is_malformed(shared_api: Api, source: str) -> None:
    hook = hooked_job(shared_api, f"hook-eventless-{source}", source)
    sent = {name: value for name, value in hook.headers(b"{}").items() if "Event" not in name}
    answer = hook.post(b"{}", sent)
    assert (answer.status_code, "does not say its event" in answer.text) == (400, True)


def test_values_of_any_type_are_passed_on_up_to_64_kib(shared_api: Api) -> None:
    hook = hooked_job(shared_api, "hook-values", "generic", parameters={"commit": "/value"})
    assert hook.send({"value": 7}).status_code == 422  # its default is text, so it takes text
    shared_api.apply(
        name="hook-values",
        command="echo $commit",
        parameters={"commit": None},
        triggers=[{"webhook": "pushed", "parameters": {"commit": "/value"}}],
    )
    for value in (None, True, 1, -2.5, "é\U0001f600", [1, {"a": None}], {}, "x" * 65_000, 10**40):
        answer = hook.send({"value": value})
        assert answer.status_code == 202, answer.text
        run = shared_api.run(answer.json()["run"]["id"])
        assert run["parameters"]["commit"] == value  # type: ignore[index]
        shared_api.request("POST", f"/api/runs/{run['id']}/cancel")
    count = len(hook.runs())
    large = hook.send({"value": "x" * 65_535})
    assert (large.status_code, list(large.json()["details"])) == (422, ["parameters.commit"])
    assert hook.send({"value": 1}, key="k" * 300).status_code == 422
    assert len(hook.runs()) == count


def test_a_body_over_four_mebibytes_is_too_large_for_anybody(shared_api: Api) -> None:
    hook = hooked_job(shared_api, "hook-large", "generic")
    body = b'{"a": "' + b"x" * (4 * 1024 * 1024) + b'"}'
    stranger = hook.url.replace(hook.job, NOBODY)
    answers = [hook.post(body, hook.headers(body)), hook.post(body, {}, stranger)]
    assert [answer.status_code for answer in answers] == [413, 413]
    assert answers[0].text == answers[1].text


def test_a_run_that_the_overlap_policy_skips_is_not_called_started(shared_api: Api) -> None:
    job = {"name": "hook-forbid", "command": "sleep 600", "concurrency_policy": "Forbid"}
    shared_api.apply(**job, triggers=[{"webhook": "pushed"}])
    job_id = shared_api.apply(**job, triggers=[{"webhook": "pushed"}])
    shown = shared_api.request("GET", f"/api/jobs/{job_id}/webhooks").json()["webhooks"][0]
    hook = Hook(shared_api, job_id, "generic", shown["url"], shown["secret"])
    first = hook.send()
    second = hook.send()
    assert (first.status_code, second.status_code) == (202, 200)
    assert second.json()["started"] is False
    assert "skips what overlaps" in second.json()["reason"]
    assert second.json()["run"]["state"] == "skipped"
    shared_api.request("POST", f"/api/jobs/{job_id}/stop")


def test_a_hook_ends_with_its_name_and_its_job_and_comes_back_with_its_secret(
    shared_api: Api,
) -> None:
    hook = hooked_job(shared_api, "hook-lives", "github")
    renamed = [{"webhook": "renamed", "source": "github"}]
    shared_api.apply(name="hook-lives", command="true", triggers=renamed)
    shown = shared_api.request("GET", f"/api/jobs/{hook.job}/webhooks").json()["webhooks"]
    assert [each["name"] for each in shown] == ["renamed"]
    assert shown[0]["secret"] != hook.secret
    assert hook.send().status_code == 401
    assert hooked_job(shared_api, "hook-lives", "github").secret == hook.secret
    assert hook.send().status_code == 202
    shared_api.request("DELETE", f"/api/jobs/{hook.job}?allow_active=true")
    assert hook.send().status_code == 401


def test_pausing_the_schedules_does_not_stop_the_webhooks(shared_api: Api) -> None:
    both = {"schedule": "@yearly", "triggers": [{"webhook": "pushed"}]}
    job = shared_api.apply(name="hook-paused", command="true", **both)
    shown = shared_api.request("GET", f"/api/jobs/{job}/webhooks").json()["webhooks"][0]
    assert shared_api.request("POST", f"/api/jobs/{job}/unschedule").status_code == 200
    assert Hook(shared_api, job, "generic", shown["url"], shown["secret"]).send().status_code == 202


def test_the_secret_is_shown_to_who_may_change_the_job_and_stands_nowhere_else(
    shared_api: Api,
) -> None:
    filters = {"events": ["push", "release"], "branch": "main"}
    hook = hooked_job(
        shared_api, "hook-secret", "gitlab", **filters, parameters={"commit": "/after"}
    )
    answer = shared_api.request("GET", f"/api/jobs/{hook.job}/webhooks")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json()["webhooks"] == [
        {
            **{"name": "pushed", "source": "gitlab", "url": hook.url, "secret": hook.secret},
            **filters,
            "parameters": {"commit": "/after"},
        }
    ]
    assert hook.url == f"{shared_api.server.url}/api/hooks/{hook.job}/pushed"
    run = hook.send().json()["run"]
    shared_api.finished(run["id"])
    hook.post(b"{}", hook.headers(b"") | {"X-Gitlab-Token": hook.secret + "x"})
    for path in (f"/api/jobs/{hook.job}", f"/api/runs/{run['id']}", "/api/recipes"):
        assert hook.secret not in shared_api.request("GET", path).text
    kept = [file for file in shared_api.server.data.rglob("*") if file.is_file()]
    written = [*kept, shared_api.server.data.parent / "server.err"]
    assert not [file for file in written if hook.secret.encode() in file.read_bytes()]


def test_a_run_may_not_see_the_secrets_of_its_job(shared_api: Api) -> None:
    ask = 'curl -s -H "Authorization: token $RUNHOOK_TOKEN" $RUNHOOK_URL/api/jobs/$RUNHOOK_JOB_ID'
    require("curl")
    job = shared_api.apply(
        name="hook-curious", command=f"{ask}/webhooks", triggers=[{"webhook": "pushed"}]
    )
    run = shared_api.finished(shared_api.start(job)["id"])
    assert json.loads(shared_api.log(run["id"]))["code"] == "forbidden"


def test_the_example_of_the_documentation_starts_a_run(shared_api: Api) -> None:
    require("curl")
    require("openssl")
    text = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
    example = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert example
    hook = hooked_job(shared_api, "hook-documented", "generic", parameters={"region": "/region"})
    environment = {"URL": hook.url, "SECRET": hook.secret, "PATH": os.environ["PATH"]}
    for _ in range(2):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", example[1]],
            capture_output=True, text=True, env=environment, check=True, timeout=60,
        )  # fmt: skip
        assert json.loads(done.stdout)["started"] is True, done.stdout
    (run,) = hook.runs()
    assert run["parameters"]["region"] == "south"  # type: ignore[index]


def test_the_recipe_of_the_documentation_is_one(shared_api: Api) -> None:
    text = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert example
    job = shared_api.apply(
        name="hook-recipe", command="true", parameters={"commit": ""}, **yaml.safe_load(example[1])
    )
    (shown,) = shared_api.request("GET", f"/api/jobs/{job}/webhooks").json()["webhooks"]
    assert (shown["events"], shown["branch"]) == (["push"], "release/*")
