"""A notebook as one HTML file: it needs no server, loads nothing, and is as safe as on its page."""

import base64

from runhook.web.notebook.document import Cell, Notebook, text_of
from runhook.web.notebook.frames import SVG, frame
from runhook.web.notebook.images import picture
from runhook.web.notebook.outputs import IMAGES
from runhook.web.notebook.show import shown_cells
from runhook.web.view import STATIC, templates

STYLES = ("runhook.css", "notebook.css")


def standalone(notebook: Notebook, title: str, hide_code: bool) -> str:
    """The file's text. Images are in it, and each frame's document in the frame."""
    numbers = range(1, len(notebook.cells) + 1)
    style = "\n".join((STATIC / name).read_text(encoding="utf-8") for name in STYLES)
    cells = shown_cells(notebook, numbers, _document, _image)
    values = {"title": title, "style": style, "cells": cells, "hide_code": hide_code}
    return templates().get_template("notebook_file.html").render(values)


def _document(cell: Cell, number: int) -> str:
    return frame(cell.outputs[number]) or ""


def _image(cell: Cell, number: int) -> str:
    data = cell.outputs[number].data
    if SVG in data:
        text = text_of(data[SVG]).encode("utf-8", "replace")
        return f"data:{SVG};base64,{base64.b64encode(text).decode()}"
    found = next((picture(data[kind]) for kind in IMAGES if picture(data.get(kind))), None)
    return found.address if found else ""
