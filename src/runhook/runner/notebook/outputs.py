"""What a kernel publishes, made fit for a notebook: streams that read as on a terminal, and nothing
so large that the notebook could not be shown. What is too large is whole among the artifacts.
"""

import base64
import binascii
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import nbformat
from nbformat import NotebookNode

from runhook.runner.limits import shown
from runhook.runner.masking import Masker
from runhook.runner.notebook.client import Message
from runhook.runner.notebook.spill import Spill
from runhook.runner.notebook.terminal import TerminalText

STREAM = 100_000
"""Characters of a stream that are kept of its beginning, and of its end."""
STREAM_WITHOUT_ROOM = 1000
LARGEST = 4 * 1024 * 1024
"""Characters of one kind of a display; of a line of a traceback, a sixteenth."""
MOST_OUTPUTS = 500
DISPLAYS = ("display_data", "execute_result", "update_display_data")
ENDINGS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/svg+xml": "svg",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
    "application/json": "json",
}

Output = NotebookNode


class Outputs:
    """The outputs of all cells of a notebook. `room` says whether so many characters more may
    stand in it, and counts them. What is cut is masked before."""

    def __init__(self, spill: Spill, masker: Masker, room: Callable[[int], bool]) -> None:
        self._spill = spill
        self._masker = masker
        self._room = room
        self._streams: dict[int, list[tuple[Output, TerminalText]]] = {}
        self._files: dict[str, str] = {}
        self._full: set[int] = set()

    def stream(self, outs: list[Output], index: int, name: str, text: str) -> None:
        """Text that goes on a stream of the cell. It continues the last output if that is the same
        stream; or an earlier one whose line is still open, as that of a progress bar is while
        something else is written."""
        known = self._streams.setdefault(index, [])
        found = _continued(outs, known, name)
        if found is None:
            known[:] = [pair for pair in known if any(pair[0] is out for out in outs)]
            found = self._begin(outs, index, name)
            known.append(found)
        found[1].feed(text)

    def refresh(self, index: int) -> None:
        """Bring what the streams of the cell look like into its outputs: not done with every piece
        of text, since there may be thousands between two looks."""
        for output, terminal in self._streams.get(index, ()):
            output["text"] = terminal.text

    def _begin(self, outs: list[Output], index: int, name: str) -> tuple[Output, TerminalText]:
        file = f"cell-{index + 1}-{'stderr' if name == 'stderr' else 'stdout'}.txt"
        most = STREAM if self._room(1) else STREAM_WITHOUT_ROOM
        spilled = partial(self._spill.append, file)
        terminal = TerminalText(most, most, spilled, self._masker)
        output = nbformat.from_dict({"output_type": "stream", "name": name, "text": ""})  # type: ignore[no-untyped-call]
        outs.append(output)
        return output, terminal

    def bounded(self, outs: list[Output], message: Message, index: int) -> Message | None:
        """A display or an error with everything in it that is not too large; None if the cell has
        more outputs than a notebook can show."""
        kind, content = message["msg_type"], message["content"]
        if kind == "error":
            lines = [self._cut(line, index) for line in content["traceback"]]
            told = {"evalue": self._cut(content["evalue"], index), "traceback": lines}
            return {**message, "content": {**content, **told}}
        if kind in DISPLAYS:
            if kind != "update_display_data" and len(outs) >= MOST_OUTPUTS:
                self._leave_out(outs, content, index)
                return None
            return {**message, "content": {**content, "data": self._data(content, index)}}
        return message

    def _data(self, content: dict[str, Any], index: int) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        gone = []
        for kind, value in content["data"].items():
            size = _size(value)
            if size <= LARGEST and self._room(size):
                kept[kind] = value
            else:
                where = self._spill.keep(self._file(content, kind, index), _bytes(kind, value))
                gone.append(f"{shown(size)} of {kind} are left out here: {where}")
        if gone:
            kept["text/plain"] = "\n".join([kept.get("text/plain", ""), *gone]).strip()
        return kept

    def _file(self, content: dict[str, Any], kind: str, index: int) -> str:
        """A name; the same for what replaces a display."""
        display = (content.get("transient") or {}).get("display_id")
        number = len(self._files) + 1
        key = f"{display}\n{kind}" if display else str(number)
        ending = ENDINGS.get(kind, "json" if kind.endswith("json") else "txt")
        return self._files.setdefault(key, f"cell-{index + 1}-output-{number}.{ending}")

    def _leave_out(self, outs: list[Output], content: dict[str, Any], index: int) -> None:
        """Keep a display beyond what is shown as a line of JSON."""
        line = json.dumps(content["data"], default=str)
        where = self._spill.append(f"cell-{index + 1}-more.jsonl", f"{line}\n")
        if index not in self._full:
            self._full.add(index)
            told = f"more than {MOST_OUTPUTS} outputs: what follows is left out here, {where}\n"
            self.stream(outs, index, "stderr", told)

    def _cut(self, text: str, index: int) -> str:
        if len(text) <= LARGEST // 16:
            return text
        where = self._spill.append(f"cell-{index + 1}-error.txt", f"{text}\n")
        masked, half = self._masker.mask_text(text), LARGEST // 64
        return f"{masked[:half]}\n… left out here: {where} …\n{masked[-half:]}"

    def finish(self) -> None:
        """Nothing follows."""
        for index, known in self._streams.items():
            for _, terminal in known:
                terminal.finish()
            self.refresh(index)
        self._spill.close()


def _continued(
    outs: list[Output], known: list[tuple[Output, TerminalText]], name: str
) -> tuple[Output, TerminalText] | None:
    """The stream's last output, if text that follows belongs there."""
    pair = next((each for each in reversed(known) if each[0]["name"] == name), None)
    if pair is None:
        return None
    only_streams = True
    for after, out in enumerate(reversed(outs)):
        if out is pair[0]:
            follows = not after or (only_streams and pair[1].open) or len(outs) >= MOST_OUTPUTS
            return pair if follows else None
        only_streams = only_streams and out["output_type"] == "stream"
    return None


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(json.dumps(value, default=str))


def _bytes(kind: str, value: Any) -> bytes:
    """As a file: pictures are base64 in messages, everything else is text or JSON."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if kind.startswith("image/") and kind != "image/svg+xml":
        try:
            return base64.b64decode(text)
        except binascii.Error:
            pass
    return text.encode("utf-8", "replace")
