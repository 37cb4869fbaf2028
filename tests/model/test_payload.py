"""What payloads say: pointers against a model of them, events, branches, what is passed over."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runhook.model.job import JobSpec
from runhook.model.payload import event_of, value_at, values_for, why_ignored
from runhook.model.trigger import POINTER, Webhook
from runhook.services.jobs import parse_spec

RFC = {
    "foo": ["bar", "baz"],
    "": 0,
    **{"a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8},
}
leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
names = st.text(st.sampled_from("ab01~/-é "), max_size=3)
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)
)


def places(document: Any, pointer: str = "") -> dict[str, Any]:
    """Every pointer into the document with its value: the model, made the other way round."""
    found = {pointer: document}
    children = document.items() if isinstance(document, dict) else ()
    if isinstance(document, list):
        children = [(str(index), item) for index, item in enumerate(document)]
    for name, child in children:
        found |= places(child, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
    return found


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        *(("", RFC), ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1)),
        *(("/c%d", 2), ("/e^f", 3), ("/g|h", 4), ("/i\\j", 5), ('/k"l', 6), ("/ ", 7)),
        ("/m~0n", 8),
    ],
)
def test_the_examples_of_the_standard_hold(pointer: str, value: object) -> None:
    assert value_at(RFC, pointer) == value


@given(documents, st.data())
def test_a_pointer_finds_what_stands_there_and_nothing_else(document: Any, data: Any) -> None:
    known = places(document)
    anywhere = st.from_regex(r"(/([ab01é -]|~[01]){0,3}){0,4}", fullmatch=True)
    pointer = data.draw(st.sampled_from(sorted(known)) | anywhere)
    if pointer in known:
        assert value_at(document, pointer) is known[pointer]
    else:
        with pytest.raises(LookupError):
            value_at(document, pointer)


@given(st.from_regex(POINTER, fullmatch=True), documents)
def test_every_pointer_that_a_definition_may_hold_can_be_followed(
    pointer: str, document: Any
) -> None:
    values, notes = values_for(Webhook(webhook="w", parameters={"p": pointer}), {"d": document})
    assert len(values) + len(notes) == 1


@pytest.mark.parametrize("index", ["-", "01", "-1", "2", "٠", "1e0", "", " 1", "9" * 400])
def test_what_is_no_index_of_a_list_finds_nothing(index: str) -> None:
    with pytest.raises(LookupError):
        value_at(["a", "b"], f"/{index}")


def hook(source: str = "github", **more: object) -> Webhook:
    return Webhook.model_validate({"webhook": "w", "source": source, **more})


@pytest.mark.parametrize(
    ("source", "header", "ref", "event"),
    [
        ("github", "push", "refs/heads/main", "push"),
        ("github", "push", "refs/tags/v1", "tag_push"),
        ("gitea", "push", "refs/tags/v1", "tag_push"),
        ("gitea", "pull_request", None, "pull_request"),
        ("gitlab", "Push Hook", "refs/heads/main", "push"),
        ("gitlab", "Tag Push Hook", "refs/tags/v1", "tag_push"),
        ("gitlab", "Merge Request Hook", None, "merge_request"),
        ("gitlab", "System Hook", None, "system"),
        ("gitlab", "", None, ""),
    ],
)
def test_events_have_one_spelling(source: str, header: str, ref: object, event: str) -> None:
    assert event_of(hook(source), header, {"ref": ref}) == event


MAIN = {"ref": "refs/heads/main", "after": "a" * 40}


@pytest.mark.parametrize(
    ("filters", "event", "payload", "reason"),
    [
        ({}, "push", MAIN, None),
        ({}, "pull_request", MAIN, "the event is pull_request, and this hook is for push"),
        ({"events": ["release", "push"]}, "release", {}, None),
        ({"events": ["release"]}, "push", MAIN, "the event is push, and this hook is for release"),
        ({"events": ["ping"]}, "ping", {}, "this was a ping: the address and the secret are right"),
        ({"branch": "main"}, "push", MAIN, None),
        ({"branch": "release/*"}, "push", {"ref": "refs/heads/release/1/x"}, None),
        (
            {"branch": "dev"},
            "push",
            MAIN,
            "the ref is refs/heads/main, and this hook is for branch dev",
        ),
        (
            {"branch": "main"},
            "push",
            {"ref": "main"},
            "the ref is main, and this hook is for branch main",
        ),
        (
            {"branch": "*", "events": ["push", "issues"]},
            "issues",
            {},
            "the ref is not given, and this hook is for branch *",
        ),
        ({"branch": "Main"}, "push", {"ref": ["refs/heads/Main"]}, "the ref is not given, and"),
        ({}, "push", {**MAIN, "deleted": True}, "refs/heads/main was deleted"),
        ({}, "push", {**MAIN, "after": "0" * 40}, "refs/heads/main was deleted"),
        ({}, "push", {**MAIN, "after": "0" * 64}, "refs/heads/main was deleted"),
        ({}, "push", {**MAIN, "deleted": False, "after": 0}, None),
    ],
)
def test_what_a_hook_is_not_for_is_passed_over_with_a_reason(
    filters: dict[str, object], event: str, payload: dict[str, object], reason: str | None
) -> None:
    found = why_ignored(hook(**filters), event, payload)
    assert found == reason if reason is None else (found or "").startswith(reason)


def test_a_generic_hook_asks_for_a_branch_only_if_it_names_one() -> None:
    assert why_ignored(hook("generic"), None, {"after": "0" * 40, "deleted": True}) is None
    assert why_ignored(hook("generic", branch="main"), None, MAIN) is None
    assert why_ignored(hook("generic", branch="main"), None, {}) is not None


def test_what_the_payload_lacks_is_noted_and_null_is_a_value() -> None:
    pointers = {"a": "/head/id", "b": "/list/1", "c": "/nothing/here", "d": "/null"}
    payload = {"head": {"id": "x"}, "list": [1, {"two": 2}], "null": None}
    values, notes = values_for(hook(parameters=pointers), payload)
    assert values == {"a": "x", "b": {"two": 2}, "d": None}
    assert notes == ["c keeps its default: the payload has nothing at /nothing/here"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"source": "generic", "events": ["push"]}, "a generic webhook has none"),
        ({"source": "github", "events": []}, "at least 1"),
        ({"source": "gitlab", "events": ["Push Hook"]}, "match pattern"),
        ({"source": "github", "branch": "refs/heads/main"}, "without refs/heads/"),
        ({"source": "github", "parameters": {"p": "ref"}}, "JSON pointer"),
        ({"source": "bitbucket"}, "'github'"),
        ({"webhook": "a/b"}, "match pattern"),
    ],
)
def test_a_hook_that_could_never_work_is_refused(wrong: dict[str, object], sentence: str) -> None:
    spec = {"name": "j", "command": "true", "parameters": {"p": 1}}
    good = parse_spec({**spec, "triggers": [{"webhook": "w"}]})
    assert isinstance(good, JobSpec)
    with pytest.raises(Exception, match="cannot use this job definition") as caught:
        parse_spec({**spec, "triggers": [{"webhook": "w", **wrong}]})
    assert sentence in str(caught.value.details)  # type: ignore[attr-defined]
