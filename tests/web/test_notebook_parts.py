"""What the notebook page is made of: whatever a notebook holds, what comes out is of a few known
elements with known attributes."""

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from runhook.errors import Invalid
from runhook.web.notebook.ansi import HEAD, LONGEST, terminal
from runhook.web.notebook.code import marked
from runhook.web.notebook.document import parse
from runhook.web.notebook.images import picture
from runhook.web.notebook.markdown import rendered
from runhook.web.notebook.page import standalone
from runhook.web.notebook.show import shown_cells
from runhook.web.view import templates

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
