"""What a run left, as its page shows it: the result as JSON, the artifacts with their sizes."""

import json
from contextlib import suppress
from dataclasses import dataclass

from runhook import artifacts
from runhook.artifacts import Artifact, Listing
from runhook.errors import NotFound
from runhook.services import results
from runhook.services.results import Left
from runhook.services.site import Site

MOST_SHOWN = 200
LONGEST_SHOWN = 64 * 1024


@dataclass(frozen=True)
class Kept:
    """`result` is JSON over several lines, None if nothing was returned; `cut` says that it goes
    on, `more` that there are more files than these, `notebook` that one was executed."""

    result: str | None
    cut: bool
    files: list[Artifact]
    more: bool
    notebook: bool


def kept_by(left: Left, site: Site) -> Kept:
    """Looks into the attempt's directory: call it in a thread."""
    text = None
    with suppress(NotFound):
        text = json.dumps(results.value_of(left, site), indent=2, ensure_ascii=False)
    found = Listing([], truncated=False)
    if left.attempt and not left.run.pruned_at:
        withheld = results.withheld(left, site)
        found = artifacts.listing(left.directory(site), MOST_SHOWN, withheld)
    return Kept(
        None if text is None else text[:LONGEST_SHOWN].encode("utf-8", "replace").decode(),
        len(text or "") > LONGEST_SHOWN,
        found.files,
        found.truncated,
        bool(found.files and left.notebook),
    )
