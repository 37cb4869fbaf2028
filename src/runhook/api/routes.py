"""The API as one table: where, who handles it, what it takes and gives.

The table makes the routes, the document at /api/openapi.json and the tests that replay every
route, so nothing can be served that is not in it. Who may do what is decided by the services; who
is asking was decided by the gate before any handler runs.
"""

from collections.abc import Mapping
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Path

from runhook.api import (
    audit,
    comparisons,
    contracts,
    events,
    git,
    hooks,
    inspections,
    jobs,
    log,
    meta,
    owners,
    people,
    recipes,
    replays,
    results,
    retention,
    run_tokens,
    runs,
    saturn,
    schedules,
    secrets,
    tokens,
    users,
)
from runhook.api.call import DESCENDING, PAGING, PUBLIC, Call, Query, Route
from runhook.services.site import Server

NAME = Query("name", "Part of the name.")
TAGS = Query("tags", "A tag that they have, key:value.")
STATES = Query("state", "States, separated by commas, such as failed,lost.")
TRIGGERS = Query("trigger", "Triggers, separated by commas, such as api,schedule.")
ENFORCE = Query("enforce_unknown", "false: leave out what is not known.", "boolean")
LOG = (
    Query("offset", "Begin at this byte.", "integer"),
    Query("attempt", "Which attempt; default: the latest.", "integer"),
    Query("follow", "A stream of events that ends with the attempt.", "boolean"),
)

ROUTES: tuple[Route, ...] = (
    Route("GET", "/api/status", PUBLIC, meta.status, "Is the server there? (public)"),
    Route("GET", "/api/openapi.json", PUBLIC, meta.openapi, "This document. (public)"),
    Route(
        "GET",
        "/api/docs",
        PUBLIC,
        meta.docs,
        "This document as a page. (public)",
        media_type="text/html",
    ),
    Route(
        "POST",
        "/api/auth/login",
        PUBLIC,
        users.login,
        "Sign in: a session cookie.",
        body="Login",
        status=204,
    ),
    Route("GET", "/api/auth/logout", PUBLIC, users.logout, "Sign out.", status=302),
    Route("GET", "/api/user", "user:read", users.get, "Your account."),
    Route("GET", "/api/user/token", "user:token", users.token, "Your user token."),
    Route(
        "POST",
        "/api/user/token",
        "user:token",
        users.rotate_token,
        "A new user token; the old one ends.",
    ),
    Route(
        "POST",
        "/api/user/sign-in-link",
        "user:token",
        users.sign_in_link,
        "A one-time link that signs your browser in.",
        body="SignInLink",
        status=201,
    ),
    Route(
        "GET",
        "/api/jobs",
        "jobs:read",
        jobs.list_jobs,
        "Jobs, by name.",
        answer="JobList",
        queries=(NAME, TAGS, *owners.QUERIES, *PAGING, DESCENDING),
    ),
    Route(
        "POST",
        "/api/jobs",
        "jobs:write",
        jobs.create,
        "Create a job.",
        body="JobSpec",
        answer="Job",
        status=201,
    ),
    Route("GET", "/api/jobs/{job_id}", "jobs:read", jobs.get, "A job.", answer="Job"),
    Route(
        "PATCH",
        "/api/jobs/{job_id}",
        "jobs:write",
        jobs.change,
        "Change some fields of a job.",
        body="JobSpec",
        answer="Job",
    ),
    Route(
        "DELETE",
        "/api/jobs/{job_id}",
        "jobs:write",
        jobs.delete,
        "Remove a job with its runs.",
        status=204,
        queries=(Query("allow_active", "Cancel active runs first.", "boolean"),),
    ),
    Route(
        "POST",
        "/api/jobs/{job_id}/start",
        "jobs:start",
        jobs.start,
        "Start a run. An empty body will do.",
        body="Start",
        body_required=False,
        answer="Job",
        queries=(
            Query("wait", "Answer when the run has ended, or after so many seconds.", "integer"),
        ),
        also=(202,),  # it has not ended yet
    ),
    Route(
        "POST",
        "/api/jobs/{job_id}/stop",
        "runs:cancel",
        jobs.stop,
        "Cancel every active run.",
        answer="Job",
    ),
    Route(
        "POST",
        "/api/jobs/{job_id}/schedule",
        "jobs:write",
        jobs.schedule,
        "Let schedules go on.",
        answer="Job",
    ),
    Route(
        "POST",
        "/api/jobs/{job_id}/unschedule",
        "jobs:write",
        jobs.unschedule,
        "Pause schedules.",
        answer="Job",
    ),
    Route(
        "GET",
        "/api/jobs/{job_id}/versions",
        "jobs:read",
        jobs.versions,
        "Versions of the definition.",
    ),
    Route(
        "GET",
        "/api/jobs/{job_id}/runs",
        "runs:read",
        runs.list_runs_of_job,
        "Runs of a job, newest first.",
        answer="RunList",
        queries=(STATES, TRIGGERS, *PAGING),
    ),
    Route(
        "GET",
        "/api/runs",
        "runs:read",
        runs.list_runs,
        "Runs of all jobs, newest first.",
        answer="RunList",
        queries=(STATES, TRIGGERS, *PAGING),
    ),
    Route("GET", "/api/runs/{run_id}", "runs:read", runs.get, "A run.", answer="Run"),
    Route(
        "GET",
        "/api/runs/{run_id}/log",
        "runs:read",
        runs.log,
        "The log of a run: bytes, or a stream of events.",
        queries=LOG,
        media_type="text/plain",
    ),
    Route(
        "GET",
        "/api/runs/{run_id}/lock",
        "runs:read",
        runs.lock,
        "The packages a run had.",
        media_type="text/plain",
    ),
    Route(
        "POST", "/api/runs/{run_id}/cancel", "runs:cancel", runs.cancel, "End a run.", answer="Run"
    ),
    Route(
        "POST",
        "/api/runs/{run_id}/release",
        "runs:cancel",
        runs.release,
        "Let the kernel go that is held of a failed run.",
        answer="Run",
    ),
    Route(
        "GET",
        "/api/recipes",
        "jobs:read",
        recipes.list_recipes,
        "Jobs as recipes.",
        answer="RecipeList",
        queries=(
            Query("type", "Only 'job' finds any."),
            NAME,
            *owners.QUERIES,
            Query("as_template", "Without owner and state.", "boolean"),
            *PAGING,
            DESCENDING,
        ),
    ),
    Route(
        "POST",
        "/api/recipes",
        "jobs:write",
        recipes.create,
        "Create a job from a recipe.",
        body="Recipe",
        answer="Recipe",
        status=201,
        queries=(ENFORCE,),
    ),
    Route(
        "PUT",
        "/api/recipes",
        "jobs:write",
        recipes.apply,
        "Create or change a job from a recipe.",
        body="Recipe",
        answer="Recipe",
        status=201,
        queries=(ENFORCE,),
    ),
    Route(
        "GET",
        "/api/recipes/{recipe_type}/{name}",
        "jobs:read",
        recipes.get,
        "A job as a recipe.",
        answer="Recipe",
        queries=(*owners.QUERIES, Query("as_template", "Without owner and state.", "boolean")),
    ),
    *users.ROUTES,
    *people.ROUTES,
    *schedules.ROUTES,
    *git.ROUTES,
    *hooks.ROUTES,
    *retention.ROUTES,
    *tokens.ROUTES,
    *run_tokens.ROUTES,
    *audit.ROUTES,
    *secrets.ROUTES,
    *contracts.ROUTES,
    *results.ROUTES,
    *events.ROUTES,
    *log.ROUTES,
    *replays.ROUTES,
    *comparisons.ROUTES,
    *inspections.ROUTES,
    *saturn.ROUTES,
)


def starlette_routes(server: Server) -> list[Path]:
    """The table as routes of the application, one for each path, so that a wrong method is told
    all the right ones."""
    by_path: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, {})[route.method] = route
    literal_first = sorted(by_path.items(), key=lambda each: "{" in each[0])
    return [
        Path(path, partial(_handle, server, methods), methods=list(methods))
        for path, methods in literal_first
    ]


async def _handle(server: Server, methods: Mapping[str, Route], request: Request) -> Response:
    method = "GET" if request.method == "HEAD" else request.method
    call = Call(request, server, ROUTES)
    return call.finish(await methods[method].handler(call))
