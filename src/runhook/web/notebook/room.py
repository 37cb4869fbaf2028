"""What one piece of a page may still hold and cost: a notebook may hold what is made to keep us
busy, or to grow when it is shown. What goes beyond is shown plainly, by its name, or not at all."""

MOST_MARKED, MOST_SHOWN, MOST_PICTURED = 300_000, 8_000_000, 8_000_000
"""Characters of source that are marked up, of HTML that is shown, and of data: URLs in it."""
LEFT_OUT = "[left out here, since the cells before it show so much; the notebook’s file has it]"


class Room:
    """What is left of these. Every question takes its share, whatever the answer is."""

    def __init__(self) -> None:
        self._marked, self._shown, self._pictured = MOST_MARKED, MOST_SHOWN, MOST_PICTURED

    def to_mark(self, text: str) -> bool:
        """May this be marked up?"""
        self._marked -= len(text)
        return self._marked >= 0

    def to_show(self, length: int) -> bool:
        """May so many characters be shown, or be made ready for it?"""
        self._shown -= length
        return self._shown >= 0

    def to_picture(self, length: int) -> bool:
        """May a data: URL of about so many characters be written into the HTML?"""
        if length > self._pictured:
            return False  # a smaller one may still fit
        self._pictured -= length
        self._shown += length  # the HTML that it is in will be charged as a whole
        return True
