"""Two executed notebooks beside each other, cell by cell: sources, outputs as text, how each cell
ended and how long it took (`metadata.runhook` of the runner, or `metadata.execution` of nbclient).

nbdime would be the tool, but it brings GitPython and a Jupyter server along, for a page of text.
"""

import difflib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runhook.model.comparison import diff, encodable

MOST_CELLS = 500
LONGEST_SHOWN = 200


@dataclass(frozen=True)
class Cell:
    """A cell of code: its place among all cells (from 1), source, outputs as text, status (empty if
    that is not known), and seconds."""

    number: int
    source: str
    outputs: str
    status: str
    seconds: float | None


@dataclass(frozen=True)
class CellPair:
    """A cell of both, or of one of them. Diffs are empty where there is none."""

    this: Cell | None
    other: Cell | None
    source: str
    outputs: str

    @property
    def same(self) -> bool:
        """Are sources and outputs the same?"""
        return bool(self.this and self.other) and not self.source and not self.outputs

    @property
    def title(self) -> str:
        """The first line of the source, shortened."""
        cell = self.this or self.other
        lines = cell.source.strip().splitlines() if cell else []
        return lines[0][:LONGEST_SHOWN] if lines else ""


def cells_of(notebook: Any) -> list[Cell]:
    """The cells of code, at most `MOST_CELLS`. ValueError if it is no notebook."""
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise ValueError("it has no list of cells")
    code = [(n, c) for n, c in enumerate(cells, 1) if isinstance(c, dict)]
    return [_cell(n, c) for n, c in code if c.get("cell_type") == "code"][:MOST_CELLS]


def _cell(number: int, cell: Mapping[str, Any]) -> Cell:
    about = _mapping(cell.get("metadata"))
    ours = _mapping(about.get("runhook"))
    seconds = ours.get("seconds")
    if type(seconds) not in (int, float):
        seconds = _seconds(_mapping(about.get("execution")))
    outputs = cell.get("outputs")
    listed = outputs if isinstance(outputs, list) else []
    text = "\n".join(line for each in listed for line in _output(_mapping(each)))
    return Cell(
        number,
        _text(cell.get("source")),
        text,
        _text(ours.get("status")),
        _usable(seconds),
    )


def _output(output: Mapping[str, Any]) -> Iterator[str]:
    """An output as text: of what is no text its type and size."""
    match output.get("output_type"):
        case "stream":
            yield _text(output.get("text")).rstrip("\n")
        case "error":
            yield f"{_text(output.get('ename'))}: {_text(output.get('evalue'))}"
        case "display_data" | "execute_result":
            data = _mapping(output.get("data"))
            if "text/plain" in data:
                yield _text(data["text/plain"])
            for name, value in sorted(data.items()):
                if name != "text/plain":
                    yield f"[{_text(name)}, {len(str(value))} characters, {_mark(value)}]"


def _usable(seconds: float | None) -> float | None:
    """None for what is no duration: JSON of Python's knows NaN and Infinity, a clock may jump."""
    return seconds if seconds is not None and 0 <= seconds < 2**33 else None


def _mark(value: Any) -> str:
    """A short mark that differs when the value does."""
    text = value if isinstance(value, str) else repr(value)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]


def _seconds(execution: Mapping[str, Any]) -> float | None:
    begin, end = (execution.get(name) for name in ("iopub.execute_input", "shell.execute_reply"))
    try:
        return (_instant(end) - _instant(begin)).total_seconds()
    except (ValueError, TypeError):
        return None


def _instant(text: Any) -> datetime:
    if not isinstance(text, str):
        raise ValueError("no instant")
    return datetime.fromisoformat(text)


def _text(value: Any) -> str:
    parts = value if isinstance(value, list) else [value]
    return encodable("".join(each for each in parts if isinstance(each, str)))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def compared(this: list[Cell], other: list[Cell]) -> list[CellPair]:
    """The cells of both, in order: those with the same source beside each other, changed ones
    beside what stood in their place."""
    matcher = difflib.SequenceMatcher(
        None, [each.source for each in other], [each.source for each in this], autojunk=False
    )
    found = []
    for _, a, b, c, d in matcher.get_opcodes():
        theirs, ours = other[a:b], this[c:d]
        for index in range(max(len(theirs), len(ours))):
            one = ours[index] if index < len(ours) else None
            two = theirs[index] if index < len(theirs) else None
            found.append(_pair(one, two))
    return found


def _pair(this: Cell | None, other: Cell | None) -> CellPair:
    one = this or Cell(0, "", "", "", None)
    two = other or Cell(0, "", "", "", None)
    return CellPair(this, other, diff(one.source, two.source), diff(one.outputs, two.outputs))
