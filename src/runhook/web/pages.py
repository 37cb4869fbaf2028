"""The table of the pages: where, which action it is (of `model.access`), and who handles it."""

from functools import partial

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from runhook.errors import RunhookError
from runhook.services.site import Server
from runhook.web import git, jobs, runs, session, stream
from runhook.web.ask import Ask, Handler
from runhook.web.view import STATIC, render, static

JOB, RUN = "/dash/resources/job/{job_id}", "/dash/runs/{run_id}"
PAGES: tuple[tuple[str, str, str, Handler], ...] = (
    ("GET", "/dash/sign-in", "public", session.sign_in_page),
    ("POST", "/dash/sign-in", "public", session.sign_in),
    ("POST", "/dash/sign-out", "user:read", session.sign_out),
    ("GET", "/dash", "jobs:read", jobs.list_page),
    ("GET", "/dash/live", "jobs:read", stream.live_jobs),
    ("GET", "/dash/jobs/new", "jobs:write", jobs.new_page),
    ("POST", "/dash/jobs/new", "jobs:write", jobs.create),
    ("GET", JOB, "jobs:read", jobs.job_page),
    ("GET", f"{JOB}/live", "jobs:read", stream.live_job),
    ("POST", f"{JOB}/start", "jobs:start", jobs.start),
    ("POST", f"{JOB}/stop", "runs:cancel", jobs.stop),
    ("POST", f"{JOB}/pause", "jobs:write", jobs.pause),
    ("POST", f"{JOB}/backfill", "jobs:start", jobs.backfill),
    ("GET", f"{JOB}/edit", "jobs:write", jobs.edit_page),
    ("POST", f"{JOB}/edit", "jobs:write", jobs.change),
    ("GET", f"{JOB}/delete", "jobs:write", jobs.delete_page),
    ("POST", f"{JOB}/delete", "jobs:write", jobs.delete),
    ("GET", RUN, "runs:read", runs.run_page),
    ("GET", f"{RUN}/live", "runs:read", stream.live_run),
    ("POST", f"{RUN}/cancel", "runs:cancel", runs.cancel),
    ("POST", f"{RUN}/again", "jobs:start", runs.again),
    ("POST", f"{RUN}/pin", "runs:write", runs.pin),
    ("GET", "/dash/git", "git:read", git.git_page),
    ("POST", "/dash/git/credentials", "git:write", git.add_credential),
    ("POST", "/dash/git/credentials/{credential_id}/delete", "git:write", git.delete_credential),
    ("POST", "/dash/git/hosts/{host_id}/confirm", "hosts:write", git.confirm_host),
    ("POST", "/dash/git/hosts/{host_id}/delete", "hosts:write", git.delete_host),
)


def page_routes(server: Server) -> list[BaseRoute]:
    """The pages as routes, with the static files and the ways in."""
    by_path: dict[str, dict[str, Handler]] = {}
    for method, path, _, handler in PAGES:
        by_path.setdefault(path, {})[method] = handler
    return [
        *(
            Route(path, partial(_handle, server, methods), methods=list(methods))
            for path, methods in by_path.items()
        ),
        Route("/", _home),
        Route("/favicon.ico", _favicon),
        Mount("/static", _Static(directory=STATIC)),
    ]


async def _handle(server: Server, methods: dict[str, Handler], request: Request) -> Response:
    method = "GET" if request.method == "HEAD" else request.method
    ask = Ask(request, server)
    return ask.finish(await methods[method](ask))


async def _home(request: Request) -> Response:
    return RedirectResponse("/dash", status_code=303)


async def _favicon(request: Request) -> Response:
    return RedirectResponse(static("favicon.svg"))


class _Static(StaticFiles):
    """Static files; one asked for with its mark never changes."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        if b"v=" in scope.get("query_string", b""):
            answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer


def error_page(request: Request, error: RunhookError) -> Response:
    """What went wrong, and what to do about it."""
    return render(request, "error.html", error.status, error=error)
