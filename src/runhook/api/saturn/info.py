"""Handlers of what the compatible contract asks of a server, and of jobs in general; and their rows
of the table."""

from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from runhook.api.call import Call, Json, Query, Route
from runhook.api.saturn.sizes import offered, size_json
from runhook.api.shapes import job_json
from runhook.errors import Invalid
from runhook.model.recipe import CONTRACT_VERSION
from runhook.services import jobs, pods
from runhook.services.access import require_scope
from runhook.store.database import Transaction

RESOURCES = ("job", "workspace", "deployment", "dask")
FEATURES = (
    "is_multicluster allow_deployment_public_access is_enterprise hotjar_user_tracking "
    "network_filesystem_enabled dind_enabled token_factory_enabled_global apply_requires_confirm "
    "hide_resource_creation_bar populate_examples user_tracking"
).split()
"""Switches of things that are not there."""


async def info(call: Call) -> Response:
    """An `AppInfo`."""
    require_scope(call.caller, "user:read")
    domain = urlsplit(call.server.site.url).netloc
    answer: dict[str, Any] = {
        **dict.fromkeys(FEATURES, False),
        "hide_invitations": True,
        "cloud_provider": "none",
        "customer_name": call.server.organization,
        "stripe_public_key": None,
        "version": CONTRACT_VERSION,
        "auth0": {"enabled": False, "connections": {}, "disable_native_login": False},
        "git_repo_clone_dir": "/home/jovyan/workspace",
        "app_serving_domain": domain,
        "whitelabel": {
            "enabled": True,
            "brand_name": "Runhook",
            "logo_icon_url": "",
            "logo_full_url": "",
            "primary_color": "",
            "support_email": "",
            "website_url": "",
        },
    }
    return Json(answer)


async def of_jobs(call: Call) -> Response:
    """A `JobServerInfo`: the sizes, of which the first is the default; there are no images."""
    require_scope(call.caller, "user:read")
    sizes = [size_json(size) for size in offered(call.server).values()]
    answer = {
        "server_options": {"size": sizes},
        "default_images": {},
        "default_sizes": {"CPU": sizes[0]},
    }
    return Json(answer)


async def active(call: Call) -> Response:
    """Jobs that have runs which live or wait. Nothing else is ever active here."""
    kind = call.query("resource_type") or "job"
    if kind not in RESOURCES:
        sentence = f"write one of {', '.join(RESOURCES)}"
        raise Invalid("cannot list what is active", details={"resource_type": sentence})

    def work(tx: Transaction) -> list[dict[str, Any]]:
        require_scope(call.caller, "jobs:read")
        found = {pod.job.id: pod.job for pod in pods.active(tx, call.caller)}
        return [job_json(call.server, view) for view in jobs.views(tx, list(found.values()))]

    shown = await call.read(work) if kind == "job" else []
    return Json({"resources": shown, "prev_key": None, "next_key": None})


ROUTES: tuple[Route, ...] = (
    Route("GET", "/api/info", "user:read", info, "What the server is and has."),
    Route("GET", "/api/jobs/info", "user:read", of_jobs, "The sizes that jobs may ask for."),
    Route(
        "GET",
        "/api/active/resources",
        "runs:read",
        active,
        "Jobs with runs that live or wait.",
        queries=(Query("resource_type", "Only 'job' finds any."),),
    ),
)
