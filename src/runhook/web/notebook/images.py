"""Images of a notebook: what they are is told by their first bytes, never by what they are said to
be, so nothing else is ever given out as an image."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from runhook.web.notebook.document import text_of

KINDS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
LARGEST_SIDE = 20_000
MOST_SEGMENTS = 1000
"""Of a JPEG before its frame header; an image has some ten, one that is made to keep us busy has
millions."""


@dataclass(frozen=True)
class Picture:
    """Bytes of an image that browsers show and nothing more."""

    data: bytes
    media_type: str

    @property
    def address(self) -> str:
        """As a data: URL."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode()}"

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels, if its head tells them."""
        sides = None
        if self.media_type == "image/png" and self.data[12:16] == b"IHDR":
            sides = (_number(self.data[16:20]), _number(self.data[20:24]))
        elif self.media_type == "image/gif":
            sides = (_number(self.data[7:5:-1]), _number(self.data[9:7:-1]))
        elif self.media_type == "image/jpeg":
            sides = _jpeg(self.data)
        usable = sides and all(0 < side < LARGEST_SIDE for side in sides)
        return sides if usable else None


def picture(value: Any) -> Picture | None:
    """The image that is written in base64; None if it is none of those that browsers only show."""
    try:
        data = base64.b64decode(text_of(value), validate=False)
    except (binascii.Error, ValueError):
        return None
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Picture(data, "image/webp")
    kind = next((kind for head, kind in KINDS if data.startswith(head)), None)
    return Picture(data, kind) if kind else None


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _jpeg(data: bytes) -> tuple[int, int] | None:
    """From the frame header (ITU T.81, B.2.2)."""
    at = 2
    for _ in range(MOST_SEGMENTS):
        if at + 9 >= len(data) or data[at] != 0xFF:
            return None
        marker, length = data[at + 1], _number(data[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _number(data[at + 7 : at + 9]), _number(data[at + 5 : at + 7])
        at += 2 + length
    return None
