"""An executed notebook (nbformat 4) as the viewer needs it, made of a file that may hold anything.

What is not of the format's shape is left out, never an error: whoever looks wants to see the rest.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from runhook.errors import Invalid
from runhook.web.notebook.jsons import compact

LARGEST = 16 * 1024 * 1024
MOST_CELLS, MOST_OUTPUTS, MOST_OUTPUTS_IN_ALL = 10_000, 200, 20_000
"""A file of a few bytes each would become gigabytes of objects."""
MOST_UNKNOWN = 5
IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
SHOWN_TYPES = (
    *IMAGE_TYPES,
    *("text/plain", "text/html", "text/markdown", "text/latex", "image/svg+xml"),
    *("application/javascript", "text/javascript", "application/vnd.jupyter.widget-view+json"),
)
JSON = "application/json"
Status = Literal[
    "", "pending", "running", "ok", "error", "stopped", "died", "skipped", "never_ran", "lost"
]
STATUSES: Mapping[str, Status] = {
    **{"pending": "pending", "running": "running", "ok": "ok", "error": "error", "died": "died"},
    **{"stopped": "stopped", "skipped": "skipped", "never_ran": "never_ran", "lost": "lost"},
    **{"completed": "ok", "failed": "error"},
}
"""The words of Runhook's runner (`runner.spec.CellReport`), and of papermill."""


@dataclass(frozen=True, slots=True)
class Output:
    """`stream` and `error` have a text, `data` a bundle of representations by media type: the texts
    of those that can be shown, and the names of a few others. `metadata` is of its images."""

    kind: Literal["stream", "error", "data"]
    name: str = ""
    text: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell by its number, from 1. `mark` changes with anything that is shown of it; `note` says
    in words what became of it, if that is to be said."""

    number: int
    kind: Literal["code", "markdown", "raw"]
    source: str
    outputs: Sequence[Output]
    more_outputs: int
    count: int | None
    status: Status
    seconds: float | None
    started_at: datetime | None
    note: str
    attachments: Mapping[str, Mapping[str, str]]
    mark: str

    @property
    def failed(self) -> bool:
        """Is this where it went wrong?"""
        return self.status in ("error", "stopped", "died", "lost")


@dataclass(frozen=True, slots=True)
class Notebook:
    """Cells in order; `language` is what their code is written in."""

    cells: Sequence[Cell]
    language: str

    @property
    def failed(self) -> Cell | None:
        """The first cell that went wrong."""
        return next((cell for cell in self.cells if cell.failed), None)

    @property
    def running(self) -> Cell | None:
        return next((cell for cell in self.cells if cell.status == "running"), None)


def parse(data: bytes) -> Notebook:
    """Invalid, as a sentence, if this is no notebook of format 4."""
    try:
        return _notebook(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise Invalid(f"it is no notebook: {error}") from None


def _notebook(value: Any) -> Notebook:
    root = _object(value)
    cells = root.get("cells")
    if not isinstance(cells, list):
        raise Invalid("it is no notebook of format 4: it has no list of cells")
    if len(cells) > MOST_CELLS:
        raise Invalid(f"it has {len(cells)} cells, and no more than {MOST_CELLS} can be shown")
    language, known, left = (
        _language(_object(root.get("metadata"))),
        list[Cell](),
        MOST_OUTPUTS_IN_ALL,
    )
    for number, each in enumerate(cells, 1):
        known.append(_cell(number, _object(each), min(left, MOST_OUTPUTS)))
        left -= len(known[-1].outputs)
    return Notebook(known, language)


def _language(metadata: Mapping[str, Any]) -> str:
    told = _object(metadata.get("language_info")).get("name")
    return _text(told or _object(metadata.get("kernelspec")).get("language") or "python")[:40]


def _cell(number: int, cell: Mapping[str, Any], most: int) -> Cell:
    """The cell with at most so many of its outputs."""
    kind = cell.get("cell_type")
    metadata = _object(cell.get("metadata"))
    outputs = [_output(_object(each)) for each in _list(cell.get("outputs"))[:most]]
    count = cell.get("execution_count")
    status, seconds, note = _told(metadata, outputs) if kind == "code" else ("", None, "")
    return Cell(
        number,
        "code" if kind == "code" else "markdown" if kind == "markdown" else "raw",
        _text(cell.get("source")),
        outputs,
        max(0, len(_list(cell.get("outputs"))) - most),
        count if type(count) is int else None,
        status,
        seconds,
        _started(metadata),
        note,
        _attachments(cell),
        _mark(cell),
    )


def _mark(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()


def _output(output: Mapping[str, Any]) -> Output:
    mark = _mark(output)
    match output.get("output_type"):
        case "stream":
            name = "stderr" if output.get("name") == "stderr" else "stdout"
            return Output("stream", name, _text(output.get("text")), mark=mark)
        case "error":
            named = f"{_text(output.get('ename'))}: {_text(output.get('evalue'))}"
            lines = [_text(each) for each in _list(output.get("traceback"))]
            return Output("error", named, "\n".join(lines) or named, mark=mark)
    told = _object(output.get("metadata"))
    sides = {kind: _sides(told[kind]) for kind in IMAGE_TYPES if kind in told}
    return Output("data", data=_data(_object(output.get("data"))), metadata=sides, mark=mark)


def _data(bundle: Mapping[str, Any]) -> dict[str, str]:
    data = {kind: _text(bundle[kind]) for kind in SHOWN_TYPES if kind in bundle}
    if JSON in bundle:
        data[JSON] = _text(compact(bundle[JSON]))
    if not data:
        names = sorted(bundle)[:MOST_UNKNOWN]
        data = {_text(name)[:80]: "" for name in names}
    return data


def _sides(told: Any) -> dict[str, int]:
    sides = {side: _object(told).get(side) for side in ("width", "height")}
    return {side: value for side, value in sides.items() if type(value) is int}


def _attachments(cell: Mapping[str, Any]) -> dict[str, Mapping[str, str]]:
    bundles = {name: _object(each) for name, each in _object(cell.get("attachments")).items()}
    return {
        name: {kind: _text(value) for kind, value in bundle.items()}
        for name, bundle in bundles.items()
    }


def _told(
    metadata: Mapping[str, Any], outputs: Sequence[Output]
) -> tuple[Status, float | None, str]:
    """What became of a code cell, how long it took, and a sentence, as whoever executed it noted
    it: Runhook's runner, papermill, or only by what came out."""
    told = _object(metadata.get("runhook"))
    word = told.get("status")
    seconds = told.get("seconds")
    if not isinstance(word, str):
        papermill = _object(metadata.get("papermill"))
        word, seconds = papermill.get("status"), papermill.get("duration")
        word = "failed" if papermill.get("exception") is True else word
    status = STATUSES.get(str(word), "")
    if not status and any(each.kind == "error" for each in outputs):
        status = "error"
    note = told.get("note") or told.get("reason") or ""
    return status, _seconds(seconds), _text(note)[:1000]


def _seconds(value: Any) -> float | None:
    usable = type(value) in (int, float) and 0 <= value < 2**33
    return float(value) if usable else None


def _started(metadata: Mapping[str, Any]) -> datetime | None:
    told = _object(metadata.get("runhook")).get("started_at")
    try:
        return datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    """A multi-line text: one string, or a list of them. Half surrogate pairs are made visible."""
    parts = value if isinstance(value, list) else [value]
    text = "".join(each for each in parts if isinstance(each, str))
    return text.encode("utf-8", "replace").decode()


text_of = _text
