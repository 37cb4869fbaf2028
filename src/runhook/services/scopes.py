"""Scopes from the outside, checked; and the scope that a run's own token has."""

from runhook.errors import Invalid
from runhook.model.access import ACTIONS, RUN_SCOPES
from runhook.model.job import JobSpec
from runhook.model.scope import LONGEST_SCOPE, action_of, common, covers, why_wrong, words_of
from runhook.services.validation import nearest


def checked_scope(text: str | None, limit: frozenset[str] | None) -> str | None:
    """`text` in the form it is stored in; None, which limits nothing, stays None.

    ValueError, as a sentence, if a word is unknown, if there is none, or if one allows more than
    `limit` does (None: no limit).
    """
    if text is None:
        if limit is not None:
            raise ValueError("name the scope: it may not be wider than that of the token you use")
        return None
    words = words_of(text)
    if not words or len(text) > LONGEST_SCOPE:
        raise ValueError(
            f"write one word or more, at most {LONGEST_SCOPE} characters, such as runs:read; "
            "null is for everything"
        )
    for word in words:
        wrong = why_wrong(word)
        if wrong:
            raise ValueError(wrong + _nearest(word))
        if not covers(limit, word):
            raise ValueError(f"{word} is more than may be given here")
    return " ".join(words)


def _nearest(word: str) -> str:
    action = action_of(word)
    return "" if action in ACTIONS else nearest(action, sorted(ACTIONS))


def require_run_scope(text: str | None, field: str = "token_scope") -> None:
    """Raise Invalid, under the name `field`, unless a run can have this scope (None: as usual)."""
    try:
        if text is not None:
            checked_scope(text, RUN_SCOPES)
    except ValueError as error:
        sentence = f"{error}; a run may have {', '.join(sorted(RUN_SCOPES))}"
        raise Invalid("cannot use this scope for runs", details={field: sentence}) from None


def scopes_of_run(spec: JobSpec) -> frozenset[str]:
    """What a run may do with its own token: what its job says, and never more than RUN_SCOPES."""
    if spec.token_scope is None:
        return RUN_SCOPES
    return common(RUN_SCOPES, frozenset(words_of(spec.token_scope)))
