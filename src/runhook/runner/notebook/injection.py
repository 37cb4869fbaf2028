"""Parameters put into a notebook: a cell that assigns them, as papermill does it.

Secret ones are no literals: the cell takes them from the environment variables of their names.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import nbformat
from nbformat import NotebookNode

from runhook.runner.notebook.document import tags
from runhook.runner.notebook.language import language_of
from runhook.runner.notebook.literals import assignment, comment, from_variable
from runhook.runner.notebook.sources import give_ids

INJECTED = "injected-parameters"
NONE: Mapping[str, bool] = {}


def inject(
    notebook: NotebookNode, parameters: Mapping[str, Any], secret: Mapping[str, bool] = NONE
) -> list[str]:
    """Put the values into a cell after the one tagged `parameters`, else at the top (papermill's
    convention). Values are written as literals; nothing is evaluated. `secret` says of each secret
    parameter whether it is a text.

    Returns the names of those that cannot be written in the notebook's language: environment
    variables have them all.
    """
    cells = notebook.cells
    cells[:] = [cell for cell in cells if INJECTED not in tags(cell)]
    language = language_of(notebook)
    lines = dict(_lines(language, parameters, secret))
    written = [line for line in lines.values() if line is not None]
    if written:
        source = "\n".join([comment(language), *written])
        metadata = {"tags": [INJECTED]}
        cell = nbformat.v4.new_code_cell(source, metadata=metadata, id=INJECTED)  # type: ignore[no-untyped-call]
        places = [index for index, each in enumerate(cells) if "parameters" in tags(each)]
        cells.insert(places[0] + 1 if places else 0, cell)
        give_ids(notebook)
    return [name for name, line in lines.items() if line is None and language != "bash"]


def _lines(
    language: str, parameters: Mapping[str, Any], secret: Mapping[str, bool]
) -> Iterator[tuple[str, str | None]]:
    for name, value in parameters.items():
        yield name, assignment(language, name, value)
    for name, text in secret.items():
        yield name, from_variable(language, name, text)
