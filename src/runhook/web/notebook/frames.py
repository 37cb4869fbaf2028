"""Documents for what a notebook wrote as HTML, JavaScript or SVG: the only place where such things
are, each in a frame of its own that has no origin, reaches no host, and knows nothing of the page
around it but that it may tell it its height.

Two things hold it, and each would do alone: the `sandbox` of the frame, and the policy that its
document brings, so that opening its address by itself gives it no more.
"""

from runhook.web.notebook.document import Output, text_of

SANDBOX = "allow-scripts"
CONTENT = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; media-src data: blob:; form-action 'none'; "
    "base-uri 'none'"
)
FRAME_HEADERS = {
    "Content-Security-Policy": f"sandbox {SANDBOX}; {CONTENT}; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
}
IMAGE_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:; frame-ancestors 'none'",
}
HTML, SVG = "text/html", "image/svg+xml"
SCRIPTS = ("application/javascript", "text/javascript")
FRAMED = (HTML, *SCRIPTS)
STYLE = """
:root { color-scheme: light dark; }
body { margin: 0; display: flow-root; font: 14px/1.45 system-ui, sans-serif; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
table.dataframe { border: 0; }
.dataframe th, .dataframe td { border: 0; padding: .3em .8em; text-align: right; }
.dataframe thead th { border-bottom: 1px solid GrayText; }
.dataframe tbody tr:nth-child(even) { background: light-dark(#f2f4f7, #232832); }
img, svg { max-width: 100%; }
"""
REPORT = """
new ResizeObserver(() => parent.postMessage(
  { runhookHeight: Math.ceil(document.body.getBoundingClientRect().height) }, "*"
)).observe(document.body);
"""
ELEMENT = (
    '<div id="output"></div><script>window.element = document.getElementById("output")</script>'
)


def frame(output: Output) -> str | None:
    """The document of an output that only a frame may hold; None if it is none."""
    for kind in FRAMED:
        if kind in output.data:
            return _document(kind, text_of(output.data[kind]))
    return None


def _document(kind: str, text: str) -> str:
    inside = text if kind == HTML else _script(text)
    return (
        '<!doctype html><html><head><meta charset="utf-8">'
        f"<style>{STYLE}</style></head><body>{inside}<script>{REPORT}</script></body></html>"
    )


def _script(text: str) -> str:
    """A script with the `element` to write to that Jupyter gives it. It cannot end before its
    end."""
    safe = text.replace("</", "<\\/").replace("<!--", "<\\!--")
    return f"{ELEMENT}<script>{safe}</script>"


def height(output: Output) -> int:
    """About how high a frame will be, in pixels, so that little moves when it has told it."""
    text = text_of(output.data.get(HTML))
    rows = text.count("<tr")
    if rows and "<script" not in text:
        return min(600, 24 + 27 * rows)
    return 400 if "<script" in text or len(text) > 20_000 else 60
