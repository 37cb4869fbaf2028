"""The table of the pages: where, which action it is (of `model.access`), and who handles it."""

from functools import partial

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from runhook.defences import FORM_FIELD, require_form_token, require_same_origin
from runhook.errors import RunhookError, TooManyRequests
from runhook.gate import headers_of
from runhook.services.site import Server
from runhook.web import (
    account,
    audit,
    cells,
    compare,
    example,
    git,
    job_tabs,
    jobs,
    log,
    log_live,
    new_job,
    overview,
    people,
    reproduce,
    runs,
    secrets,
    session,
    sso,
    stream,
    tokens,
)
from runhook.web.ask import Ask, Handler
from runhook.web.view import STATIC, render, static

JOB, RUN = "/dash/resources/job/{job_id}", "/dash/runs/{run_id}"
PAGES: tuple[tuple[str, str, str, Handler], ...] = (
    ("GET", "/dash/sign-in", "public", session.sign_in_page),
    ("POST", "/dash/sign-in", "public", session.enter),
    ("GET", "/dash/sign-in/sso", "public", sso.begin),
    ("GET", sso.CALLBACK, "public", sso.callback),
    ("GET", sso.ACCOUNT, "user:read", sso.account_page),
    ("POST", sso.ACCOUNT, "user:write", sso.begin_link),
    ("POST", f"{sso.ACCOUNT}/delete", "user:write", sso.unlink),
    ("POST", "/dash/sign-out", "user:read", session.leave),
    ("GET", "/dash", "jobs:read", jobs.list_page),
    ("GET", "/dash/live", "jobs:read", stream.live_jobs),
    ("GET", "/dash/jobs/new", "jobs:write", jobs.new_page),
    ("POST", "/dash/jobs/new", "jobs:write", jobs.create),
    ("POST", "/dash/jobs/example", "jobs:write", example.make_example),
    ("GET", JOB, "jobs:read", jobs.job_page),
    ("GET", f"{JOB}/live", "jobs:read", stream.live_job),
    ("POST", f"{JOB}/start", "jobs:start", jobs.start),
    ("POST", f"{JOB}/stop", "runs:cancel", jobs.stop),
    ("POST", f"{JOB}/pause", "jobs:write", jobs.pause),
    ("POST", f"{JOB}/token", "jobs:start", jobs.make_token),
    ("POST", f"{JOB}/backfill", "jobs:start", jobs.backfill),
    ("GET", f"{JOB}/edit", "jobs:write", jobs.edit_page),
    ("POST", f"{JOB}/edit", "jobs:write", jobs.change),
    ("GET", f"{JOB}/delete", "jobs:write", jobs.delete_page),
    ("POST", f"{JOB}/delete", "jobs:write", jobs.delete),
    ("GET", RUN, "runs:read", runs.run_page),
    ("GET", f"{RUN}/live", "runs:read", stream.live_run),
    ("GET", f"{RUN}/cells", "runs:read", cells.cells),
    ("GET", f"{RUN}/output", "runs:read", cells.output),
    ("GET", f"{RUN}/notebook.html", "runs:read", cells.download),
    ("GET", f"{RUN}/log/lines", "runs:read", log.log_page),
    ("GET", f"{RUN}/log/live", "runs:read", log_live.log_live),
    ("GET", f"{RUN}/compare", "runs:read", compare.choose),
    ("GET", f"{RUN}/compare/{{other_id}}", "runs:read", compare.compare_page),
    ("POST", f"{RUN}/cancel", "runs:cancel", runs.cancel),
    ("POST", f"{RUN}/release", "runs:cancel", runs.release),
    ("POST", f"{RUN}/again", "jobs:start", runs.again),
    ("POST", f"{RUN}/replay", "jobs:start", reproduce.replay),
    ("POST", f"{RUN}/pin", "runs:write", runs.pin),
    ("GET", "/dash/git", "git:read", git.git_page),
    ("POST", "/dash/git/credentials", "git:write", git.add_credential),
    ("POST", "/dash/git/credentials/{credential_id}/delete", "git:write", git.delete_credential),
    ("POST", "/dash/git/hosts/{host_id}/confirm", "hosts:write", git.confirm_host),
    ("POST", "/dash/git/hosts/{host_id}/delete", "hosts:write", git.delete_host),
    ("GET", "/dash/secrets", "secrets:read", secrets.secrets_page),
    ("POST", "/dash/secrets", "secrets:write", secrets.add_secret),
    ("POST", "/dash/secrets/{secret_id}", "secrets:write", secrets.change_secret),
    ("POST", "/dash/secrets/{secret_id}/delete", "secrets:write", secrets.delete_secret),
    ("GET", "/dash/tokens", "user:token", tokens.tokens_page),
    ("POST", "/dash/tokens", "user:token", tokens.make),
    ("POST", "/dash/tokens/{token_id}/revoke", "user:token", tokens.revoke),
    ("GET", "/dash/audit", "audit:read", audit.audit_page),
    *job_tabs.PAGES,
    *new_job.PAGES,
    *overview.PAGES,
    *people.PAGES,
    *account.PAGES,
)


def page_routes(server: Server) -> list[BaseRoute]:
    """The pages as routes, with the static files and the ways in."""
    by_path: dict[str, dict[str, tuple[str, Handler]]] = {}
    for method, path, action, handler in PAGES:
        by_path.setdefault(path, {})[method] = (action, handler)
    return [
        *(
            Route(path, partial(_handle, server, methods), methods=list(methods))
            for path, methods in by_path.items()
        ),
        Route("/", _home),
        Route("/favicon.ico", _favicon),
        Mount("/static", _Static(directory=STATIC)),
    ]


async def _handle(
    server: Server, methods: dict[str, tuple[str, Handler]], request: Request
) -> Response:
    """The one place that every form passes: it must be one of ours, before its handler runs."""
    action, handler = methods["GET" if request.method == "HEAD" else request.method]
    ask = Ask(request, server)
    if request.method == "POST" and action == "public":
        require_same_origin(request)
    elif request.method == "POST":
        require_form_token(request, (await ask.form()).get(FORM_FIELD))
    return ask.finish(await handler(ask))


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
    answer = render(request, "error.html", error.status, error=error)
    answer.headers.update(headers_of(error) if isinstance(error, TooManyRequests) else {})
    return answer
