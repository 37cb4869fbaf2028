"""The handler of what a server offers, and its row of the table."""

import os
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from runhook.api.call import Call, Json, Route
from runhook.model.size import InstanceSize
from runhook.services.site import Server

MACHINE = "machine"
"""The one size of a server for which none were set: all of it."""


async def servers(call: Call) -> Response:
    """Sizes by name. Nothing shuts itself off here, and disks have no sizes to choose from: the
    lists are empty, since clients expect text in them where the contract has objects."""
    shown = {name: size_json(size) for name, size in offered(call.server).items()}
    return Json({"auto_shutoff": [], "disk_space": [], "sizes": shown})


def offered(server: Server) -> Mapping[str, InstanceSize]:
    """The sizes that recipes may ask for, by name: there is always one."""
    return server.site.sizes or {MACHINE: _machine()}


def _machine() -> InstanceSize:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return InstanceSize(MACHINE, os.cpu_count() or 1, memory)


def size_json(size: InstanceSize) -> dict[str, Any]:
    """An `InstanceSize` of the contract."""
    return {
        "name": size.name,
        "cores": size.whole_cores,
        "memory": f"{size.memory / 2**30:.3g}Gi",
        "gpu": 0,
        "gpu_type": None,
        "hardware_type": "CPU",
        "cloud": "none",
        "display": f"{size.name}: {size.shown}",
        "display_name": size.name,
        "price_per_hour": None,
        "description": "",
        "disabled": False,
        "disabled_message": "",
    }


ROUTES: tuple[Route, ...] = (
    Route("GET", "/api/info/servers", "user:read", servers, "The sizes that recipes may ask for."),
)
