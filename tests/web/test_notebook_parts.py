"""What the notebook page is made of: whatever a notebook holds, what comes out is of a few known
elements with known attributes."""

import base64
import json
import os
import re
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup
from starlette.requests import Request

from runhook.errors import Invalid
from runhook.web.notebook import code, files
from runhook.web.notebook.ansi import HEAD, LONGEST, MOST_CODES, terminal
from runhook.web.notebook.code import marked
from runhook.web.notebook.document import MOST_CELLS, MOST_OUTPUTS_IN_ALL, Notebook, parse
from runhook.web.notebook.images import picture
from runhook.web.notebook.markdown import rendered
from runhook.web.notebook.page import standalone
from runhook.web.notebook.room import LEFT_OUT, MOST_MARKED, MOST_PICTURED, MOST_SHOWN
from runhook.web.notebook.show import ShownCell, shown_cells
from runhook.web.view import render, templates

PROSE = set(
    "p h1 h2 h3 h4 h5 h6 strong em s code pre a ul ol li blockquote hr br table thead tbody tr th "
    "td span img".split()
)
PAGE = PROSE | {"article", "header", "div", "iframe"}
HARMLESS = re.compile(
    r"class|id|alt|title|rel|start|width|height|loading|sandbox|referrerpolicy|tabindex|data-mark|role|"
    r"aria-label"
)


class Elements(HTMLParser):
    """Collects what is not harmless."""

    def __init__(self, html: str, allowed: set[str]) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.text: list[str] = []
        self._allowed = allowed
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self._allowed:
            self.wrong.append(tag)
        for name, value in attrs:
            target = (value or "").strip().lower()
            if name == "href" and target.startswith(("http://", "https://", "mailto:", "#")):
                continue
            if name == "src" and target.startswith(("data:image/", "here")):
                continue
            if not HARMLESS.fullmatch(name):
                self.wrong.append(f"{tag} {name}={value}")

    def handle_decl(self, decl: str) -> None:
        self.wrong.append(decl)

    def handle_comment(self, data: str) -> None:
        self.wrong.append(data)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


PIECES = st.sampled_from(
    [
        *(
            "<script>",
            "</script>",
            "<img src=x onerror=1>",
            "<!--",
            "-->",
            '"',
            "'",
            "&",
            "`",
            "\n",
        ),
        *("[a](", "![a](", "javascript:", "data:text/html,", "data:image/svg+xml,", ")", "<", ">"),
        *(
            "attachment:",
            "https://",
            "|a|b|\n|:-|-:|\n|1|2|\n",
            "```",
            "~~~python\n",
            "$",
            "$$",
            "\\(",
        ),
        *(
            "# ",
            "- ",
            "> ",
            "*",
            "_",
            "[x]: javascript:1\n",
            "[x]",
            "&#106;avascript:",
            "\x00",
            "\\",
        ),
        *(
            "\x1b[31m",
            "\x1b[38;5;",
            "\x1b[48;2;1;2;3m",
            "m",
            "\x1b]8;;javascript:1\x07",
            "\r",
            "\x1b",
        ),
    ]
)
NASTY = st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join)


@settings(deadline=None)
@given(NASTY)
def test_markdown_makes_harmless_elements_only(source: str) -> None:
    attachments = {"a": {"image/png": source}, source[:9]: "x"}
    assert Elements(rendered(source, attachments), PROSE).wrong == []


@given(NASTY)
def test_a_terminal_makes_coloured_text_and_nothing_else(text: str) -> None:
    found = Elements(terminal(text), {"span"})
    assert found.wrong == []
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", "".join(found.text))


@settings(deadline=None)  # lexers are loaded when they are first asked for
@given(NASTY, st.sampled_from(["python", "r", "julia", "bash", "html", "none such", ""]))
def test_marked_code_shows_the_code(source: str, language: str) -> None:
    found = Elements(marked(source, language), {"span"})
    assert found.wrong == []
    shown = "".join(found.text).replace("\r", "\n")
    assert shown.split() == source.replace("\r", "\n").split()


def test_colours_and_progress_bars_look_as_on_a_terminal() -> None:
    assert terminal("\x1b[1;31ma\x1b[0mb") == '<span class="bold fg1">a</span>b'
    assert terminal("\x1b[38;5;28;01mdef\x1b[39;00m x") == '<span class="bold fg2">def</span> x'
    assert terminal("\x1b[38;2;250;10;10mr\x1b[38;5;240mg") == '<span class="fg1">r</span>g'
    assert (
        terminal("\x1b[91;43mx\x1b[49my")
        == '<span class="bg3 fg1">x</span><span class="fg1">y</span>'
    )
    assert terminal(" 0%|  |\r50%|# |\r100%|##|\n") == "100%|##|\n"
    assert terminal("a\r\nb") == "a\nb"
    assert terminal("\x1b[2J\x1b]0;title\x07\x07seen") == "seen"


def test_what_is_too_long_keeps_its_beginning_and_its_end() -> None:
    shown = terminal("a" * LONGEST + "the end")
    assert shown.startswith("a" * HEAD)
    assert shown.endswith("the end")
    assert "7 characters are left out" in shown
    assert len(shown) < LONGEST + 200


def test_formulas_links_and_tables_read_as_meant() -> None:
    html = rendered('$a_1 + b_2$ costs $5 and $6, [x](https://e.org "t")\n\n|a|\n|-:|\n|1|')
    assert '<code class="math">$a_1 + b_2$</code>' in html
    assert "$5 and $6" in html
    assert 'rel="noopener noreferrer nofollow"' in html
    assert '<td class="to-right">1</td>' in html
    assert '<pre><code class="language-python">' in rendered("```python\nx = 1\n```")


def test_images_are_what_their_bytes_say() -> None:
    jpeg = "/9j/4AAQSkZJRgABAQAAAQABAAD/wAARCAAFAAcDASIAAhEBAxEB"
    found = picture(jpeg)
    assert found is not None
    assert (found.media_type, found.size) == ("image/jpeg", (7, 5))
    gif = picture("R0lGODlhAwAEAAAAACw=")
    assert gif is not None
    assert (gif.media_type, gif.size) == ("image/gif", (3, 4))
    for wrong in ("PHN2Zz4=", "", "A", None, 3, ["iVBORw0KGgo", {}], "é"):
        made = picture(wrong)
        assert made is None or (made.media_type, made.size) == ("image/png", None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NASTY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NASTY, inner, max_size=3),
    max_leaves=5,
)
KINDS = st.sampled_from(
    ["text/plain", "text/html", "image/png", "image/svg+xml", "text/markdown", "text/latex",
     "application/json", "application/javascript", "application/vnd.jupyter.widget-view+json"]
)  # fmt: skip
OUTPUT = st.fixed_dictionaries(
    {},
    optional={
        "output_type": st.sampled_from(["stream", "error", "display_data"]) | JSON,
        "data": st.dictionaries(KINDS, JSON, max_size=3) | JSON,
        **dict.fromkeys(("name", "text", "ename", "evalue", "traceback", "metadata"), JSON),
    },
)
TOLD = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("status", "seconds", "started_at", "note"), JSON)
)
CELL = st.fixed_dictionaries(
    {"cell_type": st.sampled_from(["code", "markdown", "raw"]) | JSON},
    optional={
        "source": JSON,
        "outputs": st.lists(OUTPUT, max_size=3) | JSON,
        "metadata": st.fixed_dictionaries({"runhook": TOLD, "papermill": TOLD}) | JSON,
        "attachments": JSON,
        "execution_count": JSON,
    },
)


@settings(max_examples=60, deadline=None)
@given(st.lists(CELL, max_size=3), JSON)
def test_whatever_a_notebook_holds_the_page_is_harmless(cells: object, metadata: object) -> None:
    notebook = parse(json.dumps({"cells": cells, "metadata": metadata}).encode())
    shown = shown_cells(notebook, [1, 2, 3], lambda *_: "here", lambda *_: "here")
    macro = templates().get_template("notebook.html").module.cell  # type: ignore[attr-defined]
    html = Markup("").join(macro(each) for each in shown)
    assert Elements(html, PAGE).wrong == []
    standalone(notebook, "title", hide_code=False).encode("utf-8", "replace")


@given(JSON | st.dictionaries(st.sampled_from(["cells", "metadata"]), JSON))
def test_what_is_no_notebook_is_refused_with_a_sentence(value: object) -> None:
    data = json.dumps(value).encode()
    if isinstance(value, dict) and isinstance(value.get("cells"), list):
        assert len(parse(data).cells) == len(value["cells"])
        return
    with pytest.raises(Invalid, match="no notebook"):
        parse(data)


@pytest.mark.parametrize("data", [b"", b"[" * 100_000, b"\xff\xfe", b'{"cells": 3}'])
def test_what_is_not_even_json_is_refused_too(data: bytes) -> None:
    with pytest.raises(Invalid, match="no notebook"):
        parse(data)


def test_the_words_of_papermill_are_understood() -> None:
    told = [{"status": "completed", "duration": 1.5}, {"status": "failed", "exception": True}]
    told += [{"status": "pending"}, {"status": "completed", "exception": True}]
    cells = [{"cell_type": "code", "metadata": {"papermill": each}} for each in told]
    found = parse(json.dumps({"cells": cells}).encode()).cells
    assert [cell.status for cell in found] == ["ok", "error", "pending", "error"]
    assert found[0].seconds == 1.5


def notebook_of(*cells: dict[str, Any]) -> Notebook:
    return parse(json.dumps({"cells": cells}).encode())


def shown_of(*cells: dict[str, Any]) -> list[ShownCell]:
    notebook = notebook_of(*cells)
    numbers = range(1, len(cells) + 1)
    return shown_cells(notebook, numbers, lambda *_: "here", lambda *_: "here")


def code_cell(*outputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"cell_type": "code", "source": "", "outputs": list(outputs), **more}


def display(kind: str, value: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {kind: value}}


def gif(length: int) -> str:
    return base64.b64encode(b"GIF89a" + bytes(length)).decode()


def test_an_attachment_is_written_once_and_then_only_named() -> None:
    ways = "![](attachment:a) ![x](attachment:a) ![y](a) ![](attachment:%61) ![z][r]\n\n[r]: a"
    html = rendered(ways, {"a": {"image/gif": gif(3000)}})
    assert html.count("<img") == 1
    assert html.count("[image: ") == 4


def test_the_images_of_a_piece_of_a_page_have_an_end() -> None:
    attachments = {"a": {"image/gif": gif(MOST_PICTURED // 4)}}
    cell = {"cell_type": "markdown", "source": "![big](attachment:a)", "attachments": attachments}
    found = [each.source for each in shown_of(*[cell] * 5)]
    assert ["<img" in each for each in found] == [True, True, False, False, False]
    assert "[image: big (attachment:a)]" in found[2]


def test_what_sources_are_rendered_to_has_an_end() -> None:
    table = "|" * 3000 + "\n" + "|-" * 3000 + "|\n" + "|\n" * 20_000
    tabled = {"cell_type": "markdown", "source": table}
    found = [each.source for each in shown_of(*[tabled] * 9, code_cell(source="+" * 40_000))]
    assert sum(map(len, found)) < MOST_SHOWN + 1000
    raw = shown_of(*[{"cell_type": "raw", "source": "x" * 90_000}] * 100)
    assert raw[0].source == "x" * 90_000
    assert raw[-1].source == LEFT_OUT


def test_a_link_that_is_referred_to_often_makes_no_huge_page() -> None:
    for target in (f"https://e.org/{'a' * 20_000}", f"https://e.org '{'a' * 20_000}'"):
        assert len(rendered(f"[x]: {target}\n\n{'[x] ' * 6000}")) < 5_000_000


def test_a_notebook_of_too_many_cells_is_refused_with_a_sentence() -> None:
    with pytest.raises(Invalid, match=f"no more than {MOST_CELLS}"):
        notebook_of(*[{}] * (MOST_CELLS + 1))


def test_outputs_have_an_end_in_all_and_are_counted_beyond_it() -> None:
    cells = [{"outputs": [{}] * 200}] * (MOST_OUTPUTS_IN_ALL // 200 + 1)
    found = notebook_of(*cells).cells
    assert (len(found[-2].outputs), found[-2].more_outputs) == (200, 0)
    assert (len(found[-1].outputs), found[-1].more_outputs) == (0, 200)


def test_only_what_can_be_shown_is_kept_of_an_output() -> None:
    both = {"text/plain": ["a", "b"], "application/x-huge": {"a": ["b"] * 1000}}
    kept = notebook_of(code_cell(display("", 0) | {"data": both})).cells[0].outputs[0].data
    assert kept == {"text/plain": "ab"}
    (unknown,) = shown_of(code_cell(display("application/x-huge", {"a": 1})))[0].outputs
    assert unknown.html == "[application/x-huge: cannot be shown here]"


def test_the_cache_knows_what_a_parsed_notebook_takes() -> None:
    small = notebook_of(*[{}] * 5000)  # of some 20 kB
    assert files.size(small) > 4_000_000
    assert files.size(notebook_of({"source": "é✓" * 1000})) > 4000


def test_a_file_is_parsed_once_and_does_not_hold_up_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go, parsed = threading.Event(), threading.Event(), list[bytes]()

    def slow(data: bytes) -> Notebook:
        parsed.append(data)
        if b"slow" in data:
            entered.set()
            assert go.wait(30)
        return parse(data)

    monkeypatch.setattr(files, "parse", slow)
    kept, found = files._Kept(), list[Notebook]()

    def look(name: str) -> None:
        with open(tmp_path / name, "rb") as file:
            found.append(kept.of(file.fileno(), os.fstat(file.fileno())))

    for name in ("slow", "quick"):
        (tmp_path / name).write_text(json.dumps({"cells": [{"source": name}]}))
    threads = [threading.Thread(target=look, args=("slow",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert entered.wait(30)
    look("quick")
    assert found[0].cells[0].source == "quick"
    go.set()
    for thread in threads:
        thread.join(30)
    assert len(parsed) == 2
    assert found[1] is found[2] is found[3]


def test_halves_of_surrogate_pairs_are_nowhere_on_the_page() -> None:
    half = "\ud800"
    told = {"runhook": {"status": "error", "note": half}}
    outputs = [display("application/json", {half: half}), display(half, 1)]
    shown = shown_of(code_cell(*outputs, metadata=told))
    macro = templates().get_template("notebook.html").module.cell  # type: ignore[attr-defined]
    macro(shown[0]).encode()
    metadata = {"language_info": {"name": half}}
    parse(json.dumps({"cells": [], "metadata": metadata}).encode()).language.encode()


@pytest.mark.parametrize("depth", [*range(300, 1000, 25), 20_000])
def test_however_deep_a_notebook_is_nested_it_is_shown_or_refused(depth: int) -> None:
    value = "[" * depth + "]" * depth
    text = json.dumps({"cells": [code_cell(display("application/json", "VALUE"))]})
    try:
        notebook = parse(text.replace('"VALUE"', value).encode())
    except Invalid as error:
        assert "no notebook" in error.message  # noqa: PT017  either will do
        return
    assert shown_cells(notebook, [1], lambda *_: "", lambda *_: "")[0].outputs[0].html


def test_of_a_sequence_of_many_colours_only_the_first_count() -> None:
    assert terminal(f"\x1b[{'0;' * MOST_CODES}31mx") == "x"
    assert terminal(f"\x1b[{'0;' * (MOST_CODES - 1)}31mx") == '<span class="fg1">x</span>'
    for cut in ("38", "38;2;1;2", "48;5"):
        assert terminal(f"\x1b[{cut}mx") == "x"


def test_markdown_of_outputs_is_marked_up_to_an_end() -> None:
    many = [display("text/markdown", "*a* " * 10_000)] * 9
    kinds = [each.kind for each in shown_of(code_cell(*many))[0].outputs]
    assert kinds == ["markdown"] * (MOST_MARKED // 40_000) + ["text"] * 2


def test_text_that_shows_nothing_takes_its_room_too() -> None:
    stream = {"output_type": "stream", "text": "\x1b[1m" * 25_000}
    outputs = shown_of(code_cell(*[stream] * 100))[0].outputs
    assert [outputs[0].html, outputs[-1].html] == ["", LEFT_OUT]


def test_a_jpeg_of_endless_segments_has_no_size() -> None:
    frame = b"\xff\xc0\x00\x11\x08\x00\x05\x00\x07" + bytes(9)
    for count, size in ((10, (7, 5)), (100_000, None)):
        data = b"\xff\xd8" + b"\xff\xe0\x00\x02" * count + frame
        found = picture(base64.b64encode(data).decode())
        assert found is not None
        assert found.size == size


def test_huge_json_is_told_and_small_json_laid_out() -> None:
    outputs = [display("application/json", {"a": [1]}), display("application/json", ["x" * 2**20])]
    small, huge = (each.html for each in shown_of(code_cell(*outputs))[0].outputs)
    assert small == "{\n  &#34;a&#34;: [\n    1\n  ]\n}"
    assert re.fullmatch(r"\[application/json of \d+ characters: too long .*\]", huge)


def test_only_short_code_is_kept_in_memory() -> None:
    before = code._kept.cache_info().misses
    marked("long = 1\n" * 1000, "python")
    assert code._kept.cache_info().misses == before
    marked("short = 'never marked before'", "python")
    assert code._kept.cache_info().misses == before + 1


def test_half_a_surrogate_pair_anywhere_costs_no_page() -> None:
    request = Request({"type": "http", "path": "/", "headers": [], "state": {}})
    page = render(request, "error.html", 422, error=Invalid("a\ud800b"))
    assert b"?b" in page.body
