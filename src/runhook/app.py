"""Composition root: settings → database → executor → engine → ASGI application → server.

Nothing is decided here but who is given what. `serve` is `runhook up`.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from runhook.api.routes import starlette_routes
from runhook.api.saturn.absent import why
from runhook.bus import Bus
from runhook.disk import DiskGuard
from runhook.doctor import Facts, examine
from runhook.engine.dispatcher import Dispatcher
from runhook.engine.hints import listen
from runhook.engine.loop import run_loop, utc_now
from runhook.engine.pruner import Pruner
from runhook.engine.recovery import look_around
from runhook.engine.scheduler import Scheduler, Watchdog
from runhook.engine.sweeper import Sweeper
from runhook.engine.watcher import SWEEP_SECONDS, Watcher
from runhook.errors import Malformed, NotFound, RunhookError, SettingsError
from runhook.executors.local import LocalExecutor
from runhook.gate import Gate, error_response
from runhook.hosts import Hosts
from runhook.isolation import Isolation
from runhook.keys import Keys
from runhook.model.quantity import byte_count, seconds
from runhook.model.size import InstanceSize, sizes_of
from runhook.places import run_directory, sole_server
from runhook.ring import FILE as RING_FILE
from runhook.ring import Source
from runhook.rotation import Rotated, rotate
from runhook.runner.spec import Places, WarmSpec
from runhook.services import identities, links
from runhook.services.capacity import Capacity
from runhook.services.retention import Rules
from runhook.services.site import Finding, Server, Site
from runhook.settings import FIELDS, Settings, env_name, pools_of, proxies_of
from runhook.signon.configuration import sign_on_of
from runhook.store import sealed
from runhook.store.database import Database, Transaction, sqlite_url
from runhook.store.schema import prepare
from runhook.uses import Uses
from runhook.web.pages import error_page, page_routes
from runhook.wire import BoundedProtocol

logger = logging.getLogger("runhook")
WATCHDOG_SECONDS = 30.0
PRUNE_SECONDS = 60.0
GRACEFUL_SECONDS = 1
KEEP_ALIVE_SECONDS = 75


@dataclass(frozen=True)
class Runhook:
    """A server's parts, put together and ready to be served."""

    server: Server
    executor: LocalExecutor
    dispatcher: Dispatcher
    watcher: Watcher
    scheduler: Scheduler
    watchdog: Watchdog
    pruner: Pruner
    sweeper: Sweeper
    application: Gate


def open_database(settings: Settings, bus: Bus | None = None) -> Database:
    """The database of these settings, at the present revision."""
    settings.server_data.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = settings.database_url or sqlite_url(settings.server_data / "runhook.db")
    database = Database(url, bus)
    prepare(database.engine)
    return database


def ring_source(settings: Settings) -> Source:
    """Where the keys for what is encrypted at rest come from."""
    file = settings.server_data / "keys" / RING_FILE
    return Source(file, settings.secrets_key, settings.secrets_key_command)


def compose(settings: Settings, url: str) -> Runhook:
    """Everything for a server that people reach at `url`."""
    bus = Bus()
    database = open_database(settings, bus)
    ring = ring_source(settings).open(sealed.key_ids(database.engine))
    keys = Keys.open(settings.server_data / "keys", ring)
    sockets = run_directory(settings.server_data)
    rules, disk = _rules(settings), DiskGuard.of(settings.server_data, settings.server_disk_reserve)
    isolation = Isolation.of(settings.runs_isolation, settings.server_data, settings.runs_folders)
    isolation.prepare(settings.server_data)
    site = Site(
        attempts=settings.server_data / "attempts",
        places=_places(settings),
        grace=settings.runs_grace,
        hint_socket=str(sockets / "hints.sock"),
        url=url,
        capacity=Capacity(
            settings.runs_limit,
            pools_of(settings.runs_pools),
            lambda: isolation.refusal() or disk.reason(),
        ),
        isolation=isolation.spec,
        warm=_warm(settings, sockets),
        sizes=_sizes(settings),
    )
    executor = LocalExecutor(sockets)
    server = Server(
        database=database,
        bus=bus,
        keys=keys,
        site=site,
        organization=settings.server_organization,
        clock=utc_now,
        rules=rules,
        disk=disk,
        sign_on=sign_on_of(_section(settings, "oidc")),
        hosts=Hosts.of(url, settings.server_host, settings.server_hosts),
        health=partial(_health, settings, executor),
    )
    return Runhook(
        server=server,
        executor=executor,
        dispatcher=Dispatcher(database, executor, keys, site),
        watcher=Watcher(database, bus, executor, site),
        scheduler=Scheduler(database),
        watchdog=Watchdog(database),
        pruner=Pruner(database, site, rules),
        sweeper=Sweeper(database, site, rules, disk),
        application=Gate(_application(server), server, Uses(database)),
    )


def _warm(settings: Settings, sockets: Path) -> WarmSpec | None:
    """What warm starts may take; None if they are switched off."""
    attempts = str(settings.server_data / "attempts")
    try:
        memory = 0 if settings.warm_memory in ("0", "off") else byte_count(settings.warm_memory)
        idle = seconds(settings.warm_idle)
    except ValueError as error:
        raise SettingsError(f"cannot start: [warm] memory or idle: {error}") from None
    if not memory or settings.warm_parents < 1:
        return None
    address = str(sockets / "warm.sock")
    return WarmSpec(address, attempts, memory, settings.warm_parents, idle)


def _sizes(settings: Settings) -> dict[str, InstanceSize]:
    try:
        return sizes_of(settings.runs_sizes)
    except ValueError as error:
        raise SettingsError(f"cannot start: {env_name('runs_sizes')}: {error}") from None


async def _health(settings: Settings, executor: LocalExecutor) -> list[Finding]:
    """What stops runs, first of all the executor, then what `runhook doctor` says."""
    health = await executor.check()
    sentence = "runs can start" if health.usable else health.reason
    own = Finding(f"executor {executor.name}", "ok" if health.usable else "broken", sentence)
    found = await asyncio.to_thread(examine, facts_of(settings))
    return [own, *(Finding(each.name, each.state, each.sentence) for each in found)]


def facts_of(settings: Settings) -> Facts:
    """What the doctor asks for."""
    return Facts(
        data=settings.server_data,
        database_url=settings.database_url,
        host=settings.server_host,
        url=settings.server_url,
        isolation=settings.runs_isolation,
        disk_reserve=settings.server_disk_reserve,
        folders=settings.runs_folders,
    )


def _places(settings: Settings) -> Places:
    return Places(
        cache=str(settings.server_data / "cache"),
        allow_file_urls=settings.git_allow_file_urls,
        git_timeout=settings.git_timeout,
        download_python=settings.environments_download_python,
        index_url=settings.environments_index_url,
        environment_timeout=settings.environments_timeout,
    )


def _rules(settings: Settings) -> Rules:
    return Rules.of(_section(settings, "retention"))


def _section(settings: Settings, section: str) -> dict[str, Any]:
    """The settings of a section by their keys."""
    prefix = f"{section}_"
    names = [name for name in FIELDS if name.startswith(prefix)]
    return {name.removeprefix(prefix): getattr(settings, name) for name in names}


def _application(server: Server) -> Starlette:
    return Starlette(
        routes=[*starlette_routes(server), *page_routes(server)],
        exception_handlers={
            RunhookError: _on_error,
            HTTPException: _on_http_error,
            ClientDisconnect: _on_disconnect,
            Exception: _on_failure,
        },
    )


def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RunhookError)
    if request.url.path.startswith("/api"):
        return error_response(error)
    return error_page(request, error)


def _on_http_error(request: Request, error: Exception) -> Response:
    """A path that is not there, or not for this method, or a form that is none."""
    assert isinstance(error, HTTPException)
    path, hint = request.url.path, why(request.url.path)
    missing: RunhookError = NotFound(
        f"there is no {path} here", hint=hint or "See /api/docs for what there is."
    )
    if error.status_code == 405:
        missing = MethodNotAllowed(f"{request.method} cannot be used on {path}", hint=hint)
    if error.status_code == 400:
        missing = Malformed(f"cannot read this request: {error.detail}")
    response = _on_error(request, missing)
    response.headers.update(error.headers or {})
    return response


class MethodNotAllowed(NotFound):
    """The path is there, but not for this method."""

    code, status = "method_not_allowed", 405


def _on_disconnect(request: Request, error: Exception) -> Response:
    """Somebody hung up before the request was whole: nobody hears this, and it is no failure."""
    return _on_error(request, Malformed("the request ended before it was whole"))


def _on_failure(request: Request, error: Exception) -> Response:
    return _on_error(request, RunhookError(hint="The server's log says more."))


@asynccontextmanager
async def running(parts: Runhook) -> AsyncIterator[None]:
    """The engine at work for as long as the block lasts. Runs go on after it."""
    with contextlib.ExitStack() as stack:
        await listen(parts.server.site.hint_socket, parts.watcher.tell, stack)
        found = await look_around(parts.server.database, parts.executor, parts.server.site)
        if found.sentence:
            logger.info(found.sentence)
        async with asyncio.TaskGroup() as tasks:
            work = [
                tasks.create_task(each) for each in (_check(parts.executor), *_loops(parts, stack))
            ]
            try:
                yield
            finally:
                for task in work:
                    task.cancel()
        parts.watcher.close()
        await parts.executor.close()


def _loops(parts: Runhook, stack: contextlib.ExitStack) -> Iterator[Coroutine[None, None, None]]:
    """Each loop with the hints that wake it, and how long a lost hint may delay it."""
    bus = parts.server.bus
    loops = (
        ("dispatcher", parts.dispatcher.tick, ("queued", "ended"), parts.dispatcher.wait),
        ("watcher", parts.watcher.tick, ("attempts", "cancel"), lambda: SWEEP_SECONDS),
        ("scheduler", parts.scheduler.tick, ("schedules",), parts.scheduler.wait),
        ("watchdog", parts.watchdog.tick, (), lambda: WATCHDOG_SECONDS),
        ("pruner", parts.pruner.tick, ("deleted", "prune"), lambda: PRUNE_SECONDS),
        ("sweeper", parts.sweeper.tick, ("prune",), parts.sweeper.wait),
    )
    for name, tick, topics, wait in loops:
        yield run_loop(name, tick, stack.enter_context(bus.subscribe(*topics)), wait)


async def _check(executor: LocalExecutor) -> None:
    """Say early why nothing could run; it also starts the runner parent before it is needed."""
    health = await executor.check()
    if not health.usable:
        logger.error(health.reason)


def administrator_token(settings: Settings) -> str:
    """The first administrator's user token; makes the account and the key if there are none."""

    async def get() -> str:
        keys = Keys.open(settings.server_data / "keys")
        async with open_database(settings) as database:
            user, _ = await database.write(
                lambda tx: identities.ensure_administrator(
                    tx, keys, settings.server_organization, utc_now()
                )
            )
        return keys.user_token(user.id, user.token_rotation)

    return asyncio.run(get())


def rotate_key(settings: Settings) -> Rotated:
    """Have everything that is encrypted at rest encrypted with a new key; no server may run."""

    async def work() -> Rotated:
        async with open_database(settings) as database:
            source = ring_source(settings)
            return await rotate(source, settings.server_data, database, utc_now())

    return asyncio.run(work())


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; the runs that live then go on and are found again."""
    for name in (each.name for each in FIELDS.values() if not each.repr):
        os.environ.pop(env_name(name), None)  # it is read: no runner is to inherit a secret
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for chatty in ("alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    proxies = proxies_of(settings.server_proxies)
    with (
        sole_server(settings.server_data),
        _listening(settings.server_host, settings.server_port) as listener,
    ):
        url = settings.server_url.rstrip("/") or _url_of(listener)
        asyncio.run(_serve(compose(settings, url), listener, url, proxies))


async def _serve(parts: Runhook, listener: socket.socket, url: str, proxies: Sequence[str]) -> None:
    config = uvicorn.Config(
        parts.application,
        http=BoundedProtocol,
        log_config=None,
        access_log=False,
        lifespan="off",
        # said in any case: uvicorn would believe 127.0.0.1, and so every run with network
        proxy_headers=bool(proxies),
        forwarded_allow_ips=",".join(proxies),
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    server = _HttpServer(config)
    async with parts.server.database:
        link_token = await _first_sign_in(parts.server)
        async with running(parts):
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            while not server.started and not serving.done():
                await asyncio.sleep(0.005)
            _announce(url, link_token)
            await serving


class _HttpServer(uvicorn.Server):
    """Stops at SIGINT and SIGTERM without raising them again: what is around it closes in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def _announce(url: str, link_token: str | None) -> None:
    """Say where the server is and, until somebody has signed in, how to."""
    print(f"Runhook is ready at {url}", flush=True)
    print(f"  pages  {url}/dash\n  API    {url}/api/docs", flush=True)
    if link_token:
        print(f"  Sign in, once, with  {links.url(url, link_token)}", flush=True)


async def _first_sign_in(server: Server) -> str | None:
    """Make sure that there is an account: a one-time token for it until somebody is signed in."""

    def work(tx: Transaction) -> str | None:
        user, _ = identities.ensure_administrator(
            tx, server.keys, server.organization, server.clock()
        )
        return identities.first_sign_in(tx, user, server.clock())

    return await server.database.write(work)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # the protocol is named because asyncio turns Nagle's delay off only where it is
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port"
        ) from None
    listener.listen(2048)
    return listener


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104  asked for by whoever set the host
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
