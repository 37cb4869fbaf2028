"""The form of tokens, and the grammar of scopes."""

import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runhook.keys import random_token
from runhook.model.access import JOB_ACTIONS, RUN_SCOPES, SCOPE_ACTIONS, Caller
from runhook.model.scope import action_of, bound, common, covers, why_wrong, words_of
from runhook.model.token import ACCESS, BASE62, REFRESH, is_well_formed, spelled

JOBS = ("a" * 32, "b" * 32)
BOUND = [f"{action}:{job}" for action in sorted(JOB_ACTIONS) for job in JOBS]
WORDS = [*sorted(SCOPE_ACTIONS), *BOUND]
words = st.sampled_from(WORDS)
scopes = st.frozensets(words, max_size=6)
randoms = st.lists(st.integers(0, 61), min_size=30, max_size=30)


@given(st.sampled_from([ACCESS, REFRESH]), randoms)
def test_a_token_is_known_by_its_form(prefix: str, random: list[int]) -> None:
    token = spelled(prefix, random)
    assert re.fullmatch(r"rh[tf]_[0-9A-Za-z]{36}", token)
    assert is_well_formed(token, prefix)
    assert not is_well_formed(token, REFRESH if prefix == ACCESS else ACCESS)


def test_the_check_digits_are_the_crc_32_in_base62() -> None:
    """As anybody who writes a scanner would compute it."""
    token = spelled(ACCESS, range(30))
    number = 0
    for digit in token[-6:]:
        number = number * 62 + BASE62.index(digit)
    assert number == zlib.crc32(token[:-6].encode())


@given(randoms, st.integers(0, 39), st.sampled_from(BASE62 + "-_ é\n"))
def test_one_wrong_character_is_noticed(random: list[int], place: int, wrong: str) -> None:
    token = spelled(ACCESS, random)
    changed = token[:place] + wrong + token[place + 1 :]
    assert is_well_formed(changed, ACCESS) == (changed == token)
    assert not is_well_formed(token + wrong, ACCESS)


@given(st.text(max_size=60))
def test_no_text_upsets_the_check(text: str) -> None:
    assert not is_well_formed(text, ACCESS)


def test_no_two_tokens_are_alike() -> None:
    assert len({random_token(ACCESS) for _ in range(1000)}) == 1000


@given(words)
def test_every_action_and_every_bound_job_action_is_a_word(word: str) -> None:
    assert why_wrong(word) is None


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("jobs:strat", "is not known"),
        ("*", "is not known"),
        ("jobs", "is not known"),
        ("user:token:" + "a" * 32, "cannot be bound"),
        ("jobs:start:", "names no job"),
        ("jobs:start:x", "names no job"),
        ("jobs:start:" + "A" * 32, "names no job"),
        ("jobs:start:" + "a" * 32 + ":b", "names no job"),
        ("jobs:start:" + "a" * 32 + "\n", "names no job"),
    ],
)
def test_what_is_no_word_is_told_why(word: str, sentence: str) -> None:
    assert sentence in (why_wrong(word) or "")


@given(st.text(max_size=40))
def test_no_text_upsets_the_grammar(text: str) -> None:
    for word in words_of(text):
        assert (why_wrong(word) is None) == (word in SCOPE_ACTIONS or _is_bound(word))


def _is_bound(word: str) -> bool:
    action, _, job = word.rpartition(":")
    return action in JOB_ACTIONS and re.fullmatch("[0-9a-f]{32}", job) is not None


@given(scopes, words)
def test_what_a_scope_covers_is_what_the_access_check_lets_through(
    scope: frozenset[str], word: str
) -> None:
    """The limit for new tokens and the check of each request agree, or one could be widened."""
    caller = Caller("1", "somebody", "main/somebody", scopes=scope)
    job = word[len(action_of(word)) + 1 :] or None
    assert covers(scope, word) == caller.scoped(action_of(word), job)


@given(scopes, scopes, words)
def test_in_common_is_what_both_cover(
    one: frozenset[str], other: frozenset[str], word: str
) -> None:
    assert covers(common(one, other), word) == (covers(one, word) and covers(other, word))


@given(st.frozensets(st.text(max_size=20), max_size=5))
def test_a_scope_of_anything_never_gives_a_run_more_than_runs_may(given: frozenset[str]) -> None:
    assert all(covers(RUN_SCOPES, word) for word in common(RUN_SCOPES, given))


def test_bound_actions_are_words_again() -> None:
    assert words_of(bound(["jobs:start", "runs:read"], JOBS[0])) == [
        f"jobs:start:{JOBS[0]}",
        f"runs:read:{JOBS[0]}",
    ]
