"""Who sent a webhook: the secret as each forge takes it, and the proof as each forge sends it.

A signature is checked over the bytes that arrived, before anything in them is believed, and
compared in a time that does not depend on where the difference is.

github   `X-Hub-Signature-256: sha256=<hex>` of the body (GitHub, "Validating webhook deliveries")
gitea    `X-Gitea-Signature: <hex>` or `X-Forgejo-Signature: <hex>` of the body (their "Webhooks")
gitlab   `X-Gitlab-Token: <the secret itself>` (GitLab, "Webhooks"), or with a signing token
         `webhook-signature: v1,<base64>` of `<webhook-id>.<webhook-timestamp>.<body>`, as Standard
         Webhooks has it: the key is what stands in base64 after `whsec_`
generic  `X-Runhook-Signature: t=<unix seconds>,v1=<hex>` of `<t>.<body>` (docs/webhooks.md)

All signatures are HMAC-SHA256 (RFC 2104).
"""

import base64
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from runhook.model.trigger import Webhook

TOLERANCE = timedelta(minutes=5)
SIGNING_TOKEN = "whsec_"  # noqa: S105  no secret: how GitLab knows one
GENERIC = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")

EVENT_HEADERS = {
    "github": "x-github-event",
    "gitea": "x-gitea-event",
    "gitlab": "x-gitlab-event",
}
DELIVERY_HEADERS = {
    "github": ["x-github-delivery"],
    "gitea": ["x-gitea-delivery"],
    # the event's id comes last: events that were caused by one another share it
    "gitlab": ["webhook-id", "idempotency-key", "x-gitlab-event-uuid"],
    "generic": ["x-runhook-delivery", "idempotency-key"],
}


@dataclass(frozen=True)
class Delivery:
    """A call to a webhook as it arrived. Names in `headers` are found whatever their case."""

    headers: Mapping[str, str]
    body: bytes
    at: datetime

    def header(self, *names: str) -> str:
        """The first of these that was sent; empty if none was."""
        return next((self.headers[name] for name in names if self.headers.get(name)), "")


def secret_text(hook: Webhook, secret: bytes) -> str:
    """The secret as one gives it to the sender.

    GitLab's is written as a signing token, which its field for a secret token takes as well.
    """
    if hook.source == "gitlab":
        return SIGNING_TOKEN + base64.b64encode(secret).decode()
    return secret.hex()


def is_genuine(hook: Webhook, secret: bytes, delivery: Delivery) -> bool:
    """Was the delivery sent by somebody who has the secret (and, where it says when, just now)?"""
    return _PROOFS[hook.source](secret_text(hook, secret).encode(), delivery)


def event_header(hook: Webhook, delivery: Delivery) -> str:
    """What the forge says has happened; empty if it does not."""
    return delivery.header(EVENT_HEADERS[hook.source])


def delivery_id(hook: Webhook, delivery: Delivery) -> str | None:
    """What stays the same when the sender sends the same again."""
    return delivery.header(*DELIVERY_HEADERS[hook.source]) or None


def _github(secret: bytes, delivery: Delivery) -> bool:
    expected = "sha256=" + _signed(secret, delivery.body).hex()
    return _same(delivery.header("x-hub-signature-256"), expected)


def _gitea(secret: bytes, delivery: Delivery) -> bool:
    given = delivery.header("x-gitea-signature", "x-forgejo-signature")
    return _same(given, _signed(secret, delivery.body).hex())


def _gitlab(secret: bytes, delivery: Delivery) -> bool:
    """A signature counts where there is one: it proves more than the token does."""
    signatures = delivery.header("webhook-signature")
    if not signatures:
        return _same(delivery.header("x-gitlab-token"), secret.decode())
    at, key = delivery.header("webhook-timestamp"), secret.removeprefix(SIGNING_TOKEN.encode())
    head = f"{delivery.header('webhook-id')}.{at}.".encode()
    signature = _signed(base64.b64decode(key), head + delivery.body)
    expected = "v1," + base64.b64encode(signature).decode()
    genuine = any(_same(given, expected) for given in signatures.split())
    return genuine and _is_recent(at, delivery.at)


def _generic(secret: bytes, delivery: Delivery) -> bool:
    match = GENERIC.fullmatch(delivery.header("x-runhook-signature"))
    if not match:
        return False
    expected = _signed(secret, f"{match[1]}.".encode() + delivery.body).hex()
    return _same(match[2], expected) and _is_recent(match[1], delivery.at)


_PROOFS: dict[str, Callable[[bytes, Delivery], bool]] = {
    "github": _github,
    "gitea": _gitea,
    "gitlab": _gitlab,
    "generic": _generic,
}


def _signed(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _is_recent(seconds: str, now: datetime) -> bool:
    if not re.fullmatch("[0-9]{1,12}", seconds):
        return False
    return abs(now.timestamp() - int(seconds)) <= TOLERANCE.total_seconds()
