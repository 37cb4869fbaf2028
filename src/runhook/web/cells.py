"""The notebook of a run on its page: slices of its cells, single outputs, and the file to keep."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode

from starlette.responses import HTMLResponse, Response

from runhook.artifacts import Artifact
from runhook.errors import Invalid, NotFound
from runhook.services import results
from runhook.services.results import Left
from runhook.web.ask import Ask
from runhook.web.notebook.document import Cell, Notebook, Output, text_of
from runhook.web.notebook.files import addresses, read
from runhook.web.notebook.frames import FRAME_HEADERS, IMAGE_HEADERS, SVG, frame
from runhook.web.notebook.images import picture
from runhook.web.notebook.outputs import IMAGES
from runhook.web.notebook.page import standalone
from runhook.web.notebook.show import ShownCell, shown_cells

SLICE, MOST_NUMBERS = 100, 500


@dataclass(frozen=True)
class Viewer:
    """A slice of a notebook as a page shows it. `query` names which notebook this is in addresses;
    `sentence` says why there is none, or what is wrong with it."""

    path: str
    address: str
    others: Sequence[str]
    query: str
    hide_code: bool
    notebook: Notebook | None = None
    sentence: str = ""
    cells: Sequence[ShownCell] = ()
    first: int = 1

    @property
    def files(self) -> str:
        """The address below which the artifacts of the run are."""
        return f"/api{self.path.removeprefix('/dash')}/artifacts"

    @property
    def total(self) -> int:
        return len(self.notebook.cells) if self.notebook else 0

    @property
    def last(self) -> int:
        """The number of the last cell of this slice."""
        return self.first + len(self.cells) - 1

    @property
    def following(self) -> tuple[int, int] | None:
        """The numbers of the slice after this one."""
        return (
            (self.last + 1, min(self.last + SLICE, self.total)) if self.last < self.total else None
        )

    def link(self, **more: object) -> str:
        """A query string for this notebook."""
        return _query(self.query, **more)

    @property
    def toggled(self) -> str:
        """The same with the code hidden, or shown again."""
        rest = [(name, value) for name, value in parse_qsl(self.query) if name != "code"]
        return urlencode([*rest, *([] if self.hide_code else [("code", "hide")])])

    def of(self, address: str) -> str:
        """The same for another notebook of the attempt."""
        rest = [(name, value) for name, value in parse_qsl(self.query) if name != "notebook"]
        return urlencode([*rest, ("notebook", address)])


def _query(base: str, **more: object) -> str:
    return "&".join(each for each in (base, urlencode(more)) if each)


async def viewer(ask: Ask, left: Left, files: Sequence[Artifact], live: bool) -> Viewer | None:
    """The notebook that the query names, else the first there is; None if the run has none, and
    will have none that Runhook itself executes."""
    known = addresses(left, files)
    if not known or (left.run.pruned_at and not files):
        return None
    asked = ask.query("notebook")
    address = asked or known[0]
    try:
        made = await asyncio.to_thread(_viewer, ask, left, address)
    except NotFound as error:
        if not live and not asked:
            return None
        made = _empty(ask, left, address, "" if live else error.message)
    except Invalid as error:
        made = _empty(ask, left, address, error.message)
    others = [each for each in known if each != address]
    return replace(made, others=others)


def _empty(ask: Ask, left: Left, address: str, sentence: str) -> Viewer:
    return Viewer(
        f"/dash/runs/{left.run.id}",
        address,
        (),
        _base(ask, left, address),
        ask.query("code") == "hide",
        sentence=sentence,
    )


def _base(ask: Ask, left: Left, address: str) -> str:
    """What says in an address which notebook of which attempt is meant, and how it is shown."""
    own = bool(left.notebook) and addresses(left, ())[0] == address
    kept = {name: ask.query(name) for name in ("attempt", "code")}
    kept["notebook"] = "" if own else address
    return urlencode({name: value for name, value in kept.items() if value})


def _viewer(ask: Ask, left: Left, address: str) -> Viewer:
    notebook = read(left, ask.server.site, unquote_to_bytes(address))
    wanted = _number(ask, "cell", 1)
    first = (min(max(1, wanted), max(1, len(notebook.cells))) - 1) // SLICE * SLICE + 1
    return _slice(ask, left, address, notebook, range(first, first + SLICE))


def _slice(
    ask: Ask, left: Left, address: str, notebook: Notebook, numbers: Sequence[int]
) -> Viewer:
    base, path = _base(ask, left, address), f"/dash/runs/{left.run.id}"

    def place(cell: Cell, output: int) -> str:
        mark = cell.outputs[output].mark
        return f"{path}/output?{_query(base, cell=cell.number, output=output, v=mark)}"

    cells = shown_cells(notebook, numbers, place, place)
    first = cells[0].cell.number if cells else 1
    hide = ask.query("code") == "hide"
    return Viewer(path, address, (), base, hide, notebook, "", cells, first)


def _number(ask: Ask, name: str, default: int) -> int:
    text = ask.query(name)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


async def _found(ask: Ask) -> tuple[Left, str, Notebook]:
    """The notebook that the query names. NotFound if there is none."""
    run_id, number = ask.path("run_id"), _number(ask, "attempt", 0)
    left = await ask.read(lambda tx: results.left_by(tx, ask.caller, run_id, number))
    address = ask.query("notebook")
    if not address:
        address = addresses(left, ())[0] if left.notebook else ""
    if not address:
        raise NotFound(f"run {run_id} executed no notebook of its job")
    site = ask.server.site
    return left, address, await asyncio.to_thread(read, left, site, unquote_to_bytes(address))


async def cells(ask: Ask) -> Response:
    """A slice from cell `from` on, or the cells of each `number`, as a piece of the page."""
    left, address, notebook = await _found(ask)
    asked = [n for n in ask.request.query_params.getlist("number") if n.isascii() and n.isdigit()]
    numbers = [int(each) for each in asked[:MOST_NUMBERS] if len(each) < 10]
    first = max(1, _number(ask, "from", 1))
    wanted = numbers or range(first, first + SLICE)
    made = await asyncio.to_thread(_slice, ask, left, address, notebook, wanted)
    return ask.page("cells.html", viewer=made, slice=not numbers)


async def output(ask: Ask) -> Response:
    """One output: an image, or a document for a frame that cannot reach anything."""
    _, _, notebook = await _found(ask)
    number, position = _number(ask, "cell", 0), _number(ask, "output", 0)
    if not 0 < number <= len(notebook.cells):
        raise NotFound(f"the notebook has no cell {number}")
    outputs = notebook.cells[number - 1].outputs
    if position >= len(outputs):
        raise NotFound(f"cell {number} has no output {position}")
    return await asyncio.to_thread(_output, outputs[position], number)


def _output(output: Output, number: int) -> Response:
    document = frame(output)
    if document is not None:
        text = document.encode("utf-8", "replace")
        return HTMLResponse(text, headers=FRAME_HEADERS)
    if SVG in output.data:
        return Response(
            text_of(output.data[SVG]).encode("utf-8", "replace"),
            media_type=SVG,
            headers=IMAGE_HEADERS,
        )
    for kind in IMAGES:
        found = picture(output.data[kind]) if kind in output.data else None
        if found:
            return Response(found.data, media_type=found.media_type, headers=IMAGE_HEADERS)
    raise NotFound(f"that output of cell {number} is neither an image nor HTML")


async def download(ask: Ask) -> Response:
    """The notebook as one HTML file that needs no server; `?code=hide` leaves the code out."""
    left, address, notebook = await _found(ask)
    name = unquote_to_bytes(address).rpartition(b"/")[2].decode("utf-8", "replace")
    title = f"{name.removesuffix('.ipynb')} · run {left.run.number}"
    text = await asyncio.to_thread(standalone, notebook, title, ask.query("code") == "hide")
    file = urlencode({"": f"{name.removesuffix('.ipynb')}.html"})[1:].replace("+", "%20")
    return Response(
        text.encode("utf-8", "replace"),
        media_type="text/html; charset=utf-8",
        headers={
            "Content-Disposition": f"attachment; filename*=UTF-8''{file}",
            "Content-Security-Policy": f"sandbox; {IMAGE_HEADERS['Content-Security-Policy']}",
        },
    )
