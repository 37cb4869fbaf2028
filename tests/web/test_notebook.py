"""The notebook of a run on its page, in a real browser: live, safe, long, and without scripts."""

import base64
import json
import re
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import Api, Repository
from tests.web.conftest import Visitor, visit

expect.set_options(timeout=20_000)  # seconds are nothing where several suites share two cores


def code(source: str, *outputs: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    told = {"outputs": list(outputs), "execution_count": 1}
    return {"cell_type": "code", "metadata": metadata, "source": source, **told}


def text(source: str, **more: Any) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source, **more}


def display(data: dict[str, Any]) -> dict[str, Any]:
    return {"output_type": "display_data", "metadata": {}, "data": data}


def left(api: Api, name: str, *cells: dict[str, Any]) -> str:
    """A command's run that left a notebook of these cells, as papermill does: its path."""
    job = api.apply(name=name, command="true")
    run = api.finished(api.start(job)["id"])
    attempt = run["attempts"][-1]["id"]  # type: ignore[index]
    folder = api.server.data / "attempts" / attempt[:2] / attempt / "artifacts"
    folder.mkdir(exist_ok=True)
    made = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "out.ipynb").write_text(json.dumps(made))
    return f"/dash/runs/{run['id']}"


def png(width: int, height: int) -> str:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + b"\x20\x60\xc0" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + parts).decode()


EVIL = "try { top.hacked = 1 } catch {} try { parent.hacked = 1 } catch {} window.hacked = 1"
LOUD = (
    f"<script>{EVIL}; document.title = 'ran'; document.body.dataset.seen = document.cookie</script>"
)
EVIL_SVG = f'<svg xmlns="http://www.w3.org/2000/svg" onload="{EVIL}"><script>{EVIL}</script></svg>'
HOSTILE = [
    text(f"# <script>{EVIL}</script>\n\n<img src=x onerror='{EVIL}'>"),
    text("[a](javascript:hacked=1) [b](JaVaScRiPt&colon;hacked=1) [c](data:text/html,<script>)"),
    text("![x](https://elsewhere.example/x.png) ![y](javascript:1) <a href=/api/auth/logout>z</a>"),
    text("[out](/api/auth/logout) [in](#cell-1) [web](https://example.org) $<b>_x_</b>$"),
    text("![p](attachment:a)", attachments={"a": {"image/png": "PHNjcmlwdD4=", "x": png(2, 2)}}),
    code("html", display({"text/html": f"<b id=inner>inside</b>{LOUD}"})),
    code("js", display({"application/javascript": f"{EVIL}; element.textContent = '</script>'"})),
    code("svg", display({"image/svg+xml": EVIL_SVG})),
    code("png that is HTML", display({"image/png": base64.b64encode(LOUD.encode()).decode()})),
    code("png that is SVG", display({"image/png": base64.b64encode(EVIL_SVG.encode()).decode()})),
    code("markdown", display({"text/markdown": f"<img src=x onerror='{EVIL}'>{LOUD}"})),
    code("latex", display({"text/latex": f"$<img src=x onerror='{EVIL}'>$"})),
    code("json", display({"application/json": {"</script><script>hacked=1</script>": LOUD}})),
    code("unknown", display({"text/x-<script>": LOUD})),
    code(f"'''{LOUD}'''", {"output_type": "stream", "name": LOUD, "text": f"\x1b[31m{LOUD}"}),
    code("error", {"output_type": "error", "ename": LOUD, "evalue": LOUD, "traceback": [LOUD]}),
    {"cell_type": "raw", "metadata": {}, "source": LOUD},
    {"cell_type": f"'{LOUD}", "metadata": {"runhook": {"status": f'"{LOUD}'}}, "source": LOUD},
    code("status", runhook={"status": '" onclick="hacked=1', "seconds": "1", "note": LOUD}),
    code("rubbish", {"output_type": 7}, {"data": 3}, {"output_type": "stream", "text": {"a": 1}}),
    {"source": 3, "outputs": {"a": 1}},
]


@pytest.fixture
def watched(chromium: Browser, shared_api: Api) -> Iterator[tuple[Visitor, list[str]]]:
    """A visitor, and what the page itself reported: violations of its policy, dialogs, requests to
    others. (What frames try is theirs, and comes to nothing.)"""
    context = chromium.new_context()
    page, reports = context.new_page(), list[str]()
    page.expose_function("reportViolation", lambda what: reports.append(what))
    page.add_init_script(
        "if (top === window) document.addEventListener('securitypolicyviolation', "
        "(e) => reportViolation(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sourceFile))"
    )
    page.on("dialog", lambda each: (reports.append(each.message), each.dismiss()))
    own = shared_api.server.url
    page.on(
        "request", lambda r: None if r.url.startswith((own, "data:")) else reports.append(r.url)
    )
    yield Visitor(page, shared_api), reports
    context.close()


def nothing_ran(page: Page) -> None:
    assert page.evaluate("window.hacked") is None
    assert "ran" not in page.title().split()
    assert page.locator("main script, main [onload], main [onerror], main [onclick]").count() == 0
    assert page.locator("#notebook [style], main svg.evil, main object, main embed").count() == 0
    sources = page.locator("main iframe").evaluate_all("each => each.map(f => f.sandbox.value)")
    assert set(sources) == {"allow-scripts"}


def test_a_hostile_notebook_does_nothing_to_the_page(
    watched: tuple[Visitor, list[str]],
) -> None:
    visitor, reports = watched
    path = left(visitor.api, "hostile-notebook", *HOSTILE)
    visitor.sign_in()
    visitor.go(path)
    page = visitor.page
    page.locator("#cell-6 iframe").scroll_into_view_if_needed()
    inside = page.frame_locator("#cell-6 iframe")
    expect(inside.locator("#inner")).to_have_text("inside")
    assert inside.locator("body").get_attribute("data-seen") is None  # it has no cookies to read
    page.locator("#cell-7 iframe").scroll_into_view_if_needed()
    expect(page.frame_locator("#cell-7 iframe").locator("#output")).to_have_text("</script>")
    page.locator("#cell-21").scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    nothing_ran(page)
    assert reports == []
    links = page.locator(".prose a[href]").evaluate_all(
        "all => all.map(a => a.getAttribute('href'))"
    )
    assert links == ["#cell-1", "https://example.org"]
    assert page.locator("#cell-5 img").get_attribute("src").startswith("data:image/png")
    expect(page.locator("#cell-4 .math")).to_have_text("$<b>_x_</b>$")
    for number in (9, 10):  # what is no image is none, whatever it is called
        assert page.locator(f"#cell-{number} img").count() == 0
    addresses = page.locator("main iframe, #cell-8 img").evaluate_all("all => all.map(e => e.src)")
    for address in addresses:  # opened by itself, a document has no more power than in its frame
        page.goto(address)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("self.origin") == "null"
        assert (
            page.evaluate("(() => { try { return document.cookie } catch { return 'none' } })()")
            == "none"
        )
    reports.clear()  # those were of the documents, when they stood alone
    download = visitor.api.request("GET", f"{path}/notebook.html?notebook=out.ipynb")
    assert download.headers["Content-Disposition"].startswith("attachment")
    assert "sandbox" in download.headers["Content-Security-Policy"]
    page.goto("about:blank")
    page.set_content(download.text)
    page.wait_for_load_state("networkidle")
    nothing_ran(page)
    assert reports == []


def test_what_is_said_to_be_an_image_is_told_by_its_bytes(shared_api: Api) -> None:
    cells = [
        code("a", display({"image/png": base64.b64encode(b"<script>alert(1)</script>").decode()})),
        code("b", display({"image/jpeg": png(3, 2)})),
        code("c", display({"text/plain": "x"})),
    ]
    path = left(shared_api, "image-bytes", *cells)
    for cell, expected in ((1, 404), (2, 200), (3, 404), (4, 404), (0, 404)):
        query = {"notebook": "out.ipynb", "cell": cell, "output": 0}
        answer = shared_api.request("GET", f"{path}/output", params=query)
        assert answer.status_code == expected
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        if expected == 200:
            assert answer.headers["Content-Type"] == "image/png"
            assert "sandbox" in answer.headers["Content-Security-Policy"]
    for query in (
        "notebook=../../spec.json",
        "notebook=%2e%2e%2fx",
        "notebook=nope.ipynb",
        "cell=1",
    ):
        assert shared_api.request("GET", f"{path}/cells?{query}").status_code == 404


LIVE = """
import os, time
print("first line")
while not os.path.exists({gate!r}):
    time.sleep(0.02)
print("second line")
"""


def native(api: Api, repository: Repository, name: str, *cells: Any) -> dict[str, object]:
    """Start a native notebook; its run."""
    made = nbformat.v4.new_notebook(cells=cells)
    repository.commit({"report.ipynb": nbformat.writes(made)})
    repositories = [{"url": repository.url}]
    job = api.apply(name=name, notebook="materials/report.ipynb", git_repositories=repositories)
    return api.start(job)


def test_a_notebook_is_followed_cell_by_cell_until_it_fails(
    visitor: Visitor, repository: Repository, meeting: Path
) -> None:
    gate, new = meeting / "go", nbformat.v4.new_code_cell
    run = native(
        visitor.api,
        repository,
        "follows-cells",
        nbformat.v4.new_markdown_cell("## What it does"),
        new(
            "from IPython.display import HTML, display\ndisplay(HTML('<i>kept</i>'))\nprint('one')"
        ),
        new(LIVE.format(gate=str(gate))),
        new("def fails():\n    1 / 0\nfails()"),
        new("print('never')"),
    )
    visitor.sign_in()
    visitor.go(f"/dash/runs/{run['id']}")
    page = visitor.page
    expect(page.locator("#cell-3")).to_have_class(re.compile("running"), timeout=90_000)
    expect(page.locator("#cell-3 .output")).to_contain_text("first line")
    expect(page.locator("#progress")).to_contain_text("cell 3 of 5")
    expect(page.locator("#cell-5")).to_have_class(re.compile("pending"))
    visitor.go("/dash")
    expect(page.get_by_role("row", name="follows-cells")).to_contain_text("cell 3 of 5")
    visitor.go(f"/dash/runs/{run['id']}")
    frame = page.locator("#cell-2 iframe")
    frame.scroll_into_view_if_needed()
    expect(frame.content_frame.locator("i")).to_have_text("kept")
    page.evaluate(
        "document.querySelector('#cell-2 iframe').same = document.querySelector('#cell-3').same = 1"
    )
    gate.touch()
    expect(page.locator("#cell-4")).to_have_class(re.compile("error"))
    expect(page.locator("#cell-3 .output")).to_contain_text("second line")
    expect(page.locator("#cell-4 .error pre")).to_contain_text(
        "ZeroDivisionError: division by zero"
    )
    expect(page.locator("#cell-4 .error pre .fg1").first).to_be_visible()
    expect(page.locator("#cell-5")).to_contain_text("never ran")
    expect(page.get_by_role("status")).to_have_text("failed")
    expect(page.get_by_role("link", name="Cell 4 failed")).to_be_visible()
    expect(page.locator("#progress")).to_have_count(0)
    kept = "[document.querySelector('#cell-2 iframe').same, document.querySelector('#cell-3').same]"
    assert page.evaluate(kept) == [1, 1]  # what did not change was left alone


def test_five_hundred_cells_come_in_slices_as_one_scrolls(visitor: Visitor) -> None:
    cells = [
        code(f"x = {number}", {"output_type": "stream", "text": "line\n" * 5})
        for number in range(500)
    ]
    path = left(visitor.api, "many-cells", *cells)
    visitor.sign_in()
    visitor.go(path)
    page = visitor.page
    expect(page.locator("article.cell")).to_have_count(100)
    shift = (
        "new Promise(done => { let sum = 0; new PerformanceObserver(list => list.getEntries()"
        ".forEach(e => { sum += e.hadRecentInput ? 0 : e.value })).observe({type: 'layout-shift', "
        "buffered: true}); requestAnimationFrame(() => requestAnimationFrame(() => done(sum))) })"
    )
    assert page.evaluate(shift) < 0.1
    for _ in range(60):
        page.mouse.wheel(0, 4000)
        if page.locator("article.cell").count() == 500:
            break
        page.wait_for_load_state("networkidle")
    expect(page.locator("article.cell")).to_have_count(500)
    assert [
        int(each) for each in page.locator("article.cell > header a").all_text_contents()
    ] == list(range(1, 501))
    page.goto("about:blank")
    visitor.go(f"{path}#cell-450")
    expect(page.locator("#cell-450")).to_be_in_viewport()
    assert page.locator("article.cell").count() < 500


def test_without_scripts_code_is_hidden_and_slices_are_links(
    visitor_without_scripts: Visitor,
) -> None:
    visitor = visitor_without_scripts
    cells = [code("secret_sauce()", {"output_type": "stream", "text": "shown"})] * 150
    failed = code(
        "broken()", {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["E: v"]}
    )
    path = left(visitor.api, "plain-notebook", *cells, failed, code("rest()"))
    visitor.sign_in()
    visitor.go(path)
    page = visitor.page
    expect(page.get_by_text("secret_sauce()").first).to_be_visible()
    page.get_by_role("link", name="Hide code").click()
    expect(page.get_by_text("secret_sauce()")).to_have_count(0)
    page.get_by_role("link", name="Cells 101 to 152 of 152").click()
    expect(page.locator("#cell-101")).to_be_in_viewport()
    expect(page.get_by_text("secret_sauce()")).to_have_count(0)
    expect(page.get_by_text("broken()")).to_be_visible()  # of what failed the code is shown
    page.get_by_role("link", name="Show code").click()
    page.get_by_role("link", name="Cell 151 failed").click()
    expect(page.locator("#cell-151 .error")).to_contain_text("E: v")


def test_the_file_to_keep_holds_everything_and_needs_no_server(
    visitor: Visitor, tmp_path: Path
) -> None:
    cells = [
        text("# Title"),
        code("plot()", display({"image/png": png(40, 30)})),
        code("table()", display({"text/html": "<table><tr><td>cell</td></tr></table>"})),
    ]
    path = left(visitor.api, "file-to-keep", *cells)
    for query, shown in (("", 1), ("&code=hide", 0)):
        answer = visitor.api.request("GET", f"{path}/notebook.html?notebook=out.ipynb{query}")
        file = tmp_path / f"kept{shown}.html"
        file.write_text(answer.text)
        visitor.page.goto(file.as_uri())
        page = visitor.page
        expect(page.get_by_role("heading", name="Title")).to_be_visible()
        expect(page.locator("#cell-3 iframe").content_frame.get_by_text("cell")).to_be_visible()
        assert page.locator("img").evaluate("image => image.naturalWidth") == 40
        assert page.get_by_text("plot()").count() == shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_does_not_scroll_sideways(
    chromium: Browser, shared_api: Api, scheme: str
) -> None:
    wide = "long_name = " + " + ".join(["another_long_name"] * 20)
    cells = [code(wide, {"output_type": "stream", "text": "x" * 500}), text("word" * 90)]
    path = left(shared_api, "narrow-notebook", *cells)
    for visitor in visit(
        chromium, shared_api, viewport={"width": 360, "height": 640}, color_scheme=scheme
    ):
        visitor.sign_in()
        visitor.go(path)
        assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_notebook_that_is_not_masked_yet_is_not_shown(shared_api: Api, meeting: Path) -> None:
    gate, made = meeting / "go", json.dumps({"cells": [text("VALUE")], "nbformat": 4})
    command = (
        f"printf '%s' '{made}' | sed \"s/VALUE/$key/\" > $RUNHOOK_ARTIFACTS/out.ipynb; "
        f"touch {meeting}/done; while [ ! -e {gate} ]; do sleep 0.05; done"
    )
    secret = {"type": "str", "secret": True}
    job = shared_api.apply(name="unmasked-notebook", command=command, parameters={"key": secret})
    run = shared_api.start(job, json={"parameters": {"key": "hunter-two"}})
    path = f"/dash/runs/{run['id']}"
    limit = time.monotonic() + 60
    while not (meeting / "done").exists():
        assert time.monotonic() < limit
        threading.Event().wait(0.02)
    for each in ("", "/cells", "/output", "/notebook.html"):
        query = {"notebook": "out.ipynb", "cell": 1}
        answer = shared_api.request("GET", f"{path}{each}", params=query)
        assert answer.status_code == (404 if each else 200)
        assert "hunter-two" not in answer.text
    gate.touch()
    shared_api.finished(run["id"])
    shown = shared_api.request("GET", f"{path}/cells?notebook=out.ipynb").text
    assert 'id="cell-1"' in shown
    assert "hunter-two" not in shown
