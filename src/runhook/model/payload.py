"""What a webhook's payload says: a value at a pointer, the event, the branch; and which deliveries
start nothing. Who sent it was found out before (`model.signature`)."""

import re
from fnmatch import fnmatchcase
from typing import Any

from runhook.model.trigger import Webhook

SHOWN = 100
_INDEX = re.compile(r"0|[1-9][0-9]*")


def value_at(document: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) leads to; LookupError if there is nothing."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        document = _child(document, name)
    return document


def _child(parent: Any, name: str) -> Any:
    if isinstance(parent, dict):
        return parent[name]
    if isinstance(parent, list) and _INDEX.fullmatch(name):
        return parent[int(name)]
    raise LookupError(name)


def values_for(hook: Webhook, payload: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The parameters that the payload fills, and a sentence for each one that it does not."""
    values, notes = {}, []
    for name, pointer in (hook.parameters or {}).items():
        try:
            values[name] = value_at(payload, pointer)
        except LookupError:
            notes.append(f"{name} keeps its default: the payload has nothing at {pointer}")
    return values, notes


def event_of(hook: Webhook, header: str, payload: dict[str, Any]) -> str:
    """The event in one spelling for every forge: `push` is of a branch, `tag_push` of a tag.

    `header` is what the forge says, such as `push` or GitLab's `Merge Request Hook`. Only GitLab
    tells the two pushes apart there; the others do by the ref.
    """
    event = header.strip().lower()
    if hook.source == "gitlab":
        event = event.removesuffix(" hook").replace(" ", "_")
    return "tag_push" if event == "push" and _ref(payload).startswith("refs/tags/") else event


def why_ignored(hook: Webhook, event: str | None, payload: dict[str, Any]) -> str | None:
    """Why this delivery starts nothing, in one sentence; None if it starts a run. `event` is None
    for a generic hook."""
    if event == "ping":
        return "this was a ping: the address and the secret are right"
    if event is not None and event not in hook.wanted_events:
        wanted = ", ".join(hook.wanted_events)
        return f"the event is {event[:SHOWN]}, and this hook is for {wanted}"
    ref = _ref(payload)
    if _is_deletion(ref, payload):
        return f"{ref[:SHOWN]} was deleted"
    branch = ref.removeprefix("refs/heads/")
    if hook.branch is None or (branch != ref and fnmatchcase(branch, hook.branch)):
        return None
    return f"the ref is {ref[:SHOWN] or 'not given'}, and this hook is for branch {hook.branch}"


def _ref(payload: dict[str, Any]) -> str:
    ref = payload.get("ref")
    return ref if isinstance(ref, str) else ""


def _is_deletion(ref: str, payload: dict[str, Any]) -> bool:
    """GitHub says so; GitLab and Gitea give a commit of zeros to what is gone."""
    after = payload.get("after")
    gone = isinstance(after, str) and re.fullmatch(r"0{40,}", after) is not None
    return ref.startswith("refs/") and (payload.get("deleted") is True or gone)
