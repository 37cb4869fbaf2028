"""Text of others on a terminal: logs, and whatever else a run or a name may say.

A terminal obeys what it is sent (CVE-2009-4487 is one of many): a title, the clipboard, an answer
typed back into the shell. So colours (SGR, ECMA-48 section 8.3.117) are passed on and every other
sequence and control character is dropped. Files and pipes get the bytes as they are.
"""

import re
from typing import TextIO

SEQUENCE = re.compile(
    r"\x1b\[[0-9;:]*m"  # SGR: the only one that is kept
    r"|[\x1b\x9b](?:(?<=\x9b)|\[)[0-?]*[ -/]*[@-~]"  # CSI
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, …
    r"|\x1b[ -/]*[0-~]"  # other escapes
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"  # controls but tab, line feed, carriage return
)
KEPT = re.compile(r"\x1b\[[0-9;:]*m")
UNFINISHED = re.compile(
    r"(?:\x1b[ -/]*|[\x1b\x9b](?:(?<=\x9b)|\[)[0-?]*[ -/]*"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*\x1b?)\Z"
)
LONGEST = 4096
"""Characters of a sequence that is not complete yet; what is longer is no sequence."""


class Screen:
    """Writes text to `out`, if that is a terminal without what would steer it."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._safe = out.isatty()
        self._pending = ""

    def write(self, text: str) -> None:
        """Show `text`. A sequence may begin in one call and end in a later one."""
        if self._safe:
            text = self._pending + text
            cut = UNFINISHED.search(text, max(0, len(text) - LONGEST))
            self._pending = cut[0] if cut else ""
            text = harmless(text[: cut.start()] if cut else text)
        self._out.write(text)
        self._out.flush()


def harmless(text: str) -> str:
    """`text` with its colours and without any other control sequence."""
    return SEQUENCE.sub(lambda found: found[0] if KEPT.fullmatch(found[0]) else "", text)
