"""Looking into a repository without a run: `python -m runhook.runner.inspection`.

The request, which may hold a credential, is JSON on standard input; the answer is JSON on standard
output. The program uses the mirrors of the runs, so what it fetched the next run need not; it
checks nothing out and executes nothing. It ends by itself after `Request.seconds`.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from runhook.runner.access import granted
from runhook.runner.address import Address, parse
from runhook.runner.checkout import COMMIT, WHOLE
from runhook.runner.git import Git, GitFailed, failure
from runhook.runner.history import Commit, commits_between
from runhook.runner.limits import Bounds
from runhook.runner.listing import Listed, listed, text_of
from runhook.runner.masking import Masker
from runhook.runner.mirror import Mirror
from runhook.runner.outline import Outline, outline_of
from runhook.runner.process import Control, Stopped
from runhook.runner.refs import Refs
from runhook.runner.report import Reporter, StepFailed
from runhook.runner.spec import LimitsSpec, Places, RepositorySpec, RunSpec, Secrets
from runhook.runner.syscalls import no_new_privileges

MOST_REFERENCES = 500
LARGEST_TEXT = 2 * 1024 * 1024
"""Characters of a file that are told."""
LONGEST_REQUEST = 1024 * 1024
GRACE = 2.0


@dataclass(frozen=True)
class Request:
    """What is asked. `reference` None is the default branch; without a `reference_type` it may be a
    branch, a tag or a commit, looked for in this order. `path` is the file that is read, `files`
    says whether the tree is listed. With `since`, a whole commit id, only the mirror is asked, and
    only for the log from there to `reference`, another one. The remote's word may be as old as
    `asked_at` (seconds since 1970). `credential` is a key of `secrets.credentials`."""

    url: str
    places: Places
    secrets: Secrets
    asked_at: float
    reference: str | None = None
    reference_type: str | None = None
    credential: str | None = None
    path: str | None = None
    files: bool = True
    since: str | None = None
    seconds: float = 60.0

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The counterpart of `dataclasses.asdict`."""
        made = {
            "places": Places(**values["places"]),
            "secrets": Secrets.from_json(values["secrets"]),
        }
        return cls(**{**values, **made})


@dataclass(frozen=True)
class Document:
    """A file of the commit. `text` is None if it is longer than is told."""

    path: str
    text: str | None
    outline: Outline


@dataclass(frozen=True)
class Inspection:
    """What the repository holds. `files_cut` and `references_cut`: there are more than are told."""

    reference: str | None
    reference_type: str
    commit: str
    default_branch: str | None
    branches: Sequence[str] = ()
    tags: Sequence[str] = ()
    references_cut: bool = False
    files: Sequence[Listed] = ()
    files_cut: bool = False
    document: Document | None = None

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The counterpart of `dataclasses.asdict`."""
        files = [Listed(**each) for each in values["files"]]
        document = values["document"]
        if document:
            document = Document(**{**document, "outline": Outline(**document["outline"])})
        return cls(**{**values, "files": files, "document": document})


@dataclass(frozen=True)
class Answer:
    """Either `inspection`, or `error`: a sentence that says why there is none, and whether it is
    the repository that could not be reached (`unreachable`) or the question that was wrong.
    `host_keys` are what ssh hosts showed: {host, keys}."""

    inspection: Inspection | None = None
    error: str | None = None
    unreachable: bool = False
    host_keys: list[dict[str, Any]] = field(default_factory=list)
    log: list[Commit] | None = None


def inspect(request: Request, directory: Path, control: Control) -> Answer:
    """Ask the remote, fetch what is missing, and read. `directory` is empty and takes notes."""
    reporter = Reporter(directory, None, Masker(request.secrets.masked))
    reached = False
    try:
        address = parse(request.url, request.places)
        if request.since:
            mirror = _mirror(request, address, {}, reporter, control)
            return Answer(log=_log(mirror, request.since, request.reference or ""))
        secrets = request.secrets
        credential = secrets.credentials[request.credential] if request.credential else None
        with granted(address, credential, secrets) as access:
            mirror = _mirror(request, address, access, reporter, control)
            refs = mirror.refs()
            reached = True
            answer = Answer(_inspection(mirror, refs, request))
    except GitFailed as error:
        why = failure(Address(request.url, "", "", 0, ""), error.words, bool(request.credential))
        answer = Answer(error=why.reason, unreachable=True)
    except StepFailed as error:
        answer = Answer(error=error.reason, unreachable=not reached)
    except Stopped:
        sentence = f"reading {request.url} took longer than {request.seconds:g} seconds"
        answer = Answer(error=sentence, unreachable=True)
    masked = reporter.masker.mask_value(answer.error)
    return Answer(answer.inspection, masked, answer.unreachable, _host_keys(directory))


def _log(mirror: Mirror, since: str, until: str) -> list[Commit] | None:
    both = WHOLE.fullmatch(since) and WHOLE.fullmatch(until)
    return commits_between(mirror, since, until) if both else None


def _mirror(
    request: Request,
    address: Address,
    access: dict[str, str],
    reporter: Reporter,
    control: Control,
) -> Mirror:
    """The mirror that runs with the same credential use, too."""
    spec = RunSpec("", "", "", "", "", request.asked_at, "inspection", request.places)
    timeout = min(request.places.git_timeout, request.seconds)
    git = Git(reporter.log_fd, control, timeout, reporter.masker.mask)
    repository = RepositorySpec(request.url, ".", credential=request.credential)
    return Mirror(spec, repository, address, git, access, reporter)


def _inspection(mirror: Mirror, refs: Refs, request: Request) -> Inspection:
    kind, commit = _resolve(mirror, refs, request)
    files: list[Listed] = []
    cut, document = False, None
    if request.files or request.path:
        mirror.provide(commit)
    if request.files:
        files, cut = listed(mirror, commit)
    if request.path:
        text = text_of(mirror, commit, request.path)
        shown = text if len(text) <= LARGEST_TEXT else None
        document = Document(request.path, shown, outline_of(request.path, text))
    branches, tags = (sorted(each)[:MOST_REFERENCES] for each in (refs.branches, refs.tags))
    more = len(branches) < len(refs.branches) or len(tags) < len(refs.tags)
    reference = request.reference or refs.head_branch
    return Inspection(
        reference,
        kind,
        commit,
        refs.head_branch,
        branches=branches,
        tags=tags,
        references_cut=more,
        files=files,
        files_cut=cut,
        document=document,
    )


def _resolve(mirror: Mirror, refs: Refs, request: Request) -> tuple[str, str]:
    """What kind of reference it is, and its commit. StepFailed if there is none."""
    name, kind = request.reference, request.reference_type
    if not name:
        return "branch", refs.find(mirror.repository)
    if kind in ("branch", "tag"):
        return kind, refs.find(RepositorySpec(request.url, ".", name, kind))  # type: ignore[arg-type]
    if kind is None and name in refs.branches:
        return "branch", refs.branches[name]
    if kind is None and name in refs.tags:
        return "tag", refs.tags[name]
    if not COMMIT.fullmatch(name):
        raise StepFailed(f"{request.url} has no branch, tag or commit {name}")
    return "commit", name if WHOLE.fullmatch(name) else mirror.commit_of(name)


def _host_keys(directory: Path) -> list[dict[str, Any]]:
    """What was noted of unknown ssh hosts on the way."""
    notes = directory / "events.jsonl"
    lines = notes.read_text().splitlines() if notes.exists() else []
    found = [each for each in map(json.loads, lines) if each["kind"] == "host_key_unknown"]
    return [each["data"] for each in found]


def main() -> None:
    no_new_privileges()
    request = Request.from_json(json.loads(sys.stdin.buffer.read(LONGEST_REQUEST)))
    control = Control(GRACE, Bounds(LimitsSpec(time=request.seconds), Path()))
    with tempfile.TemporaryDirectory(prefix="rh-") as directory:
        answer = inspect(request, Path(directory), control)
    sys.stdout.write(json.dumps(asdict(answer)))


if __name__ == "__main__":
    main()
