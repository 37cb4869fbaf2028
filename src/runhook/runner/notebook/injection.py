"""Parameters put into a notebook: a cell that assigns them, as papermill does it."""

from collections.abc import Mapping
from typing import Any

import nbformat
from nbformat import NotebookNode

from runhook.runner.notebook.document import give_ids, tags

INJECTED = "injected-parameters"


def inject(notebook: NotebookNode, parameters: Mapping[str, Any]) -> None:
    """Put the values into a cell after the one tagged `parameters`, else at the top (papermill's
    convention). Values are written as literals; nothing is evaluated."""
    cells = notebook.cells
    cells[:] = [cell for cell in cells if INJECTED not in tags(cell)]
    if not parameters:
        return
    source = "\n".join(["# Parameters", *(f"{n} = {v!r}" for n, v in parameters.items())])
    metadata = {"tags": [INJECTED]}
    cell = nbformat.v4.new_code_cell(source, metadata=metadata, id=INJECTED)  # type: ignore[no-untyped-call]
    places = [index for index, each in enumerate(cells) if "parameters" in tags(each)]
    cells.insert(places[0] + 1 if places else 0, cell)
    give_ids(notebook)
