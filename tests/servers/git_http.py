"""A git server over http on this machine: `git http-backend` behind a small threaded server."""

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


@dataclass
class GitHttp:
    """Serves the bare repositories below `root`, at `url`/name.git.

    With `login` (user, password) it asks for it; `authorizations` are the headers it was given.
    `redirect_to`, if set, answers every request with a redirect there. `requests` are the paths it
    was asked for.
    """

    root: Path
    url: str = ""
    login: tuple[str, str] | None = None
    redirect_to: str | None = None
    requests: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)

    @property
    def questions(self) -> int:
        """How often somebody asked for the list of refs or fetched: visits, not requests."""
        return sum("info/refs" in request for request in self.requests)


@contextmanager
def serving_git(root: Path, login: tuple[str, str] | None = None) -> Iterator[GitHttp]:
    """Serve while this lasts, on a free port of the loopback interface."""
    git = GitHttp(root, login=login)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"git": git}))
    server.daemon_threads = True
    git.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield git
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    git: GitHttp

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.git.requests.append(self.path)
        body = self._body()
        given = self.headers.get("Authorization", "")
        if given:
            self.git.authorizations.append(given)
        if self.git.redirect_to:
            self._send(302, {"Location": self.git.redirect_to + self.path}, b"")
        elif self.git.login and given != _basic(*self.git.login):
            self._send(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"who are you?")
        else:
            self._run_backend(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _run_backend(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.git.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        ended = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
        )
        head, _, content = ended.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = int(headers.pop("Status", "200").split()[0])
        self._send(status, headers, content)

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Tests look at `requests` instead."""


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
