"""What a stream of text looks like after its carriage returns and backspaces: one line of progress
stays one line, however often it is written. Long texts are bounded, their middle is left out.

What is going to be cut is masked before: of a secret that was cut, nobody would know the halves.
"""

import re
from collections.abc import Callable

from runhook.runner.masking import Masker, Stream

LONGEST_LINE = 64 * 1024
CONTROL = re.compile(r"([\r\n\b]|\x1b\[[02]?K)")
MOVES = re.compile(r"[\r\b]|\x1b\[[02]?K")
ERASE_LINE = "\x1b[2K"


class TerminalText:
    """Text as a terminal would show it. `\\r` and `\\b` move back, what follows overwrites; erasing
    to the end of a line and of a whole line (ECMA-48, EL) is understood, nothing else is.

    Up to `head` characters of the beginning and about `tail` of the end are kept. `spilled` is
    called with everything, in order, from the moment on when something has to be left out; it
    answers with a sentence that says where it is. What `masker` knows is in nothing that may be
    cut or spilled; in `text` an end that is still open may hold it, so that is masked as a whole.
    """

    def __init__(self, head: int, tail: int, spilled: Callable[[str], str], masker: Masker) -> None:
        self._most_head, self._most_tail = head, tail
        self._spilled = spilled
        self._stream = Stream(masker)
        self._head = self._tail = self._line = ""
        self._at = 0
        self._left_out = 0
        self._where = ""

    def feed(self, text: str) -> None:
        """Text that follows; it may be cut anywhere, also between `\\r` and what overwrites."""
        if self._at == len(self._line) and not MOVES.search(text):
            whole, newline, rest = text.rpartition("\n")
            if newline:
                self._commit(self._line + whole + newline)
                self._line, self._at = "", 0
            self._write(rest)
            return
        for piece in CONTROL.split(text):
            self._act(piece)

    def _act(self, piece: str) -> None:
        match piece:
            case "\n":
                self._commit(self._line + "\n")
                self._line, self._at = "", 0
            case "\r":
                self._at = 0
            case "\b":
                self._at = max(0, self._at - 1)
            case _ if piece == ERASE_LINE:
                self._line, self._at = "", 0
            case _ if piece.startswith("\x1b[") and piece.endswith("K"):
                self._line = self._line[: self._at]
            case _:
                self._write(piece)

    def _write(self, piece: str) -> None:
        end = self._at + len(piece)
        self._line = self._line[: self._at] + piece + self._line[end:]
        self._at = end
        if len(self._line) > LONGEST_LINE:
            self._commit(self._line)
            self._line, self._at = "", 0

    def _commit(self, text: str) -> None:
        """Nothing changes in this any more. What may be the beginning of a secret is held back
        until it is known what follows."""
        self._keep(self._stream.feed(_encoded(text)).decode("utf-8", "surrogatepass"))

    def _keep(self, text: str) -> None:
        if self._where:
            self._spilled(text)
        room = self._most_head - len(self._head)
        if not self._tail and room > 0:
            self._head += text[:room]
            text = text[room:]
        self._tail += text
        if len(self._tail) > 2 * self._most_tail:
            if not self._where:
                self._where = self._spilled(self._head + self._tail)
            self._left_out += len(self._tail) - self._most_tail
            self._tail = self._tail[-self._most_tail :]

    def finish(self) -> None:
        """Nothing follows: what is spilled is complete."""
        if self._where:
            rest = self._stream.feed(_encoded(self._line)) + self._stream.flush()
            self._line, self._at = "", 0
            if rest:
                self._keep(rest.decode("utf-8", "surrogatepass"))

    @property
    def open(self) -> bool:
        """Is its last line not ended?"""
        return bool(self._line)

    @property
    def text(self) -> str:
        """What is to be shown."""
        end = self._stream.held.decode("utf-8", "surrogatepass") + self._line
        if not self._left_out:
            return self._head + self._tail + end
        gap = f"\n… {self._left_out} characters are left out here: {self._where} …\n"
        return self._head + gap + self._tail + end


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
