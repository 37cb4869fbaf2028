"""Senders of webhooks, as the forges document what they send."""

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import requests

from tests.conftest import Api

SOURCES = ("github", "gitlab", "gitea", "generic")
HEAD = "bffeb74224043ba2feb48d137756c8a9331c449a"
# the shapes that the forges document, as far as hooks look into them
PUSH = {
    "ref": "refs/heads/main",
    "before": "28e1879d029cb852e4844d9c718537df08844e03",
    "after": HEAD,
    "deleted": False,
    "head_commit": {"id": HEAD, "message": "Webhooks, yay! é", "added": ["a/b.txt"]},
    "commits": [{"id": HEAD, "author": {"name": "Gitea"}}],
    "repository": {"id": 140, "full_name": "acme/webhooks", "private": True},
}
deliveries = (f"delivery-{number}" for number in itertools.count())


def hexed(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


@dataclass
class Hook:
    """A job with one webhook, and a sender that has its secret."""

    api: Api
    job: str
    source: str
    url: str
    secret: str

    def headers(self, body: bytes, event: str = "push", key: str | None = None) -> dict[str, str]:
        """What a genuine delivery is sent with."""
        key = key or next(deliveries)
        if self.source == "github":
            signature = f"sha256={hexed(self.secret, body)}"
            names = ("X-Hub-Signature-256", "X-GitHub-Event", "X-GitHub-Delivery")
            return dict(zip(names, (signature, event, key), strict=True))
        if self.source == "gitea":
            names = ("X-Gitea-Signature", "X-Gitea-Event", "X-Gitea-Delivery")
            return dict(zip(names, (hexed(self.secret, body), event, key), strict=True))
        if self.source == "gitlab":
            event = f"{event.replace('_', ' ').title()} Hook"
            names = ("X-Gitlab-Token", "X-Gitlab-Event", "Idempotency-Key")
            return dict(zip(names, (self.secret, event, key), strict=True))
        return {"X-Runhook-Signature": self.generic(body), "X-Runhook-Delivery": key}

    def generic(self, body: bytes, at: float | None = None) -> str:
        second = int(time.time() if at is None else at)
        return f"t={second},v1={hexed(self.secret, f'{second}.'.encode() + body)}"

    def signing_token(self, body: bytes, at: float | None = None, key: str = "") -> dict[str, str]:
        """GitLab with a signing token, as Standard Webhooks has it."""
        key, second = key or next(deliveries), int(time.time() if at is None else at)
        secret = base64.b64decode(self.secret.removeprefix("whsec_"))
        digest = hmac.digest(secret, f"{key}.{second}.".encode() + body, "sha256")
        signature = f"v1,{base64.b64encode(digest).decode()}"
        return {
            **{"webhook-id": key, "webhook-timestamp": str(second)},
            **{"webhook-signature": signature, "X-Gitlab-Event": "Push Hook"},
        }

    def send(
        self, payload: object = PUSH, event: str = "push", key: str | None = None
    ) -> requests.Response:
        """A genuine delivery."""
        body = json.dumps(payload).encode()
        return self.post(body, self.headers(body, event, key))

    def post(self, body: bytes, headers: Mapping[str, str], url: str = "") -> requests.Response:
        return requests.post(url or self.url, data=body, headers=dict(headers), timeout=20)

    def runs(self) -> list[dict[str, object]]:
        """Its runs, newest first."""
        return list(self.api.request("GET", f"/api/jobs/{self.job}/runs").json()["runs"])


def hooked_job(api: Api, name: str, source: str, **trigger: object) -> Hook:
    defaults = {"commit": "none", "region": "north"}
    job = api.apply(
        name=name,
        command="echo $commit $region",
        parameters=defaults,
        triggers=[{"webhook": "pushed", "source": source, **trigger}],
    )
    shown = api.request("GET", f"/api/jobs/{job}/webhooks").json()["webhooks"][0]
    return Hook(api, job, source, shown["url"], shown["secret"])
