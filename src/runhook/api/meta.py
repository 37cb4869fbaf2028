"""Handlers that describe the server and the API itself."""

from starlette.responses import HTMLResponse, Response

from runhook import __version__
from runhook.api.call import Call, Json
from runhook.api.document import document
from runhook.api.reference import page
from runhook.model.recipe import CONTRACT_VERSION


async def status(call: Call) -> Response:
    """`version` is that of the compatible contract: its clients compare it as text."""
    return Json({"status": "ok", "version": CONTRACT_VERSION, "runhook_version": __version__})


async def openapi(call: Call) -> Response:
    return Json(document(call.routes))


async def docs(call: Call) -> Response:
    """The document as a page."""
    return HTMLResponse(page(document(call.routes)))
