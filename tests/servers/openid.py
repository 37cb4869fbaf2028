"""Sign-in providers: a real one from a package, in its own process; and one of ours, which does
whatever a test wants to see refused."""

import base64
import hashlib
import hmac
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import requests
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "runhook at test", "s3cret/with+signs"
STARTS_WITHIN_SECONDS = 30


@dataclass
class MockProvider:
    """oidc-provider-mock."""

    issuer: str

    def put(self, subject: str, **claims: object) -> None:
        """What it says of somebody from now on."""
        answer = requests.put(f"{self.issuer}/users/{quote(subject)}", json=claims, timeout=20)
        assert answer.status_code == 204, answer.text


@contextmanager
def mock_provider(log: Path) -> Iterator[MockProvider]:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "--require-nonce", "true"], stderr=output)
        try:
            _wait(f"http://127.0.0.1:{port}", process, log)
            yield MockProvider(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(20)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    limit = time.monotonic() + STARTS_WITHIN_SECONDS
    while time.monotonic() < limit and process.poll() is None:
        try:
            requests.get(f"{url}/.well-known/openid-configuration", timeout=5).raise_for_status()
            return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError(f"the provider did not start: {log.read_text()}")


@dataclass
class Wish:
    """How the token of one code differs from a good one."""

    nonce: str
    challenge: str
    claims: dict[str, object] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    algorithm: str = "RS256"
    key: Any = None
    kid: str | None = "first"
    token: str | None = None
    userinfo: dict[str, object] = field(default_factory=dict)


class OwnProvider(ThreadingHTTPServer):
    """Hands out a token for each code as wished, to whoever proves the code challenge."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.issuer = f"http://127.0.0.1:{self.server_address[1]}"
        self.key = RSAKey.generate_key(2048, {"kid": "first"})
        self.published = [self.key]
        self.discovery: dict[str, object] = {}
        self.codes: dict[str, Wish] = {}
        self.access: dict[str, Wish] = {}
        self.asked: list[str] = []

    def metadata(self) -> dict[str, object]:
        names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
        found = {name: f"{self.issuer}/{name}" for name in names}
        return {"issuer": self.issuer, **found, **self.discovery}

    def token(self, wish: Wish) -> str:
        if wish.token is not None:
            return wish.token
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "subject-1",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": wish.nonce,
            **wish.claims,
        }
        claims = {name: value for name, value in claims.items() if name not in wish.without}
        header = {"alg": wish.algorithm, **({"kid": wish.kid} if wish.kid else {})}
        if wish.algorithm in ("none", "HS256", "HS512"):
            return self._forged(header, claims)
        return jwt.encode(header, claims, wish.key or self.key, algorithms=[wish.algorithm])

    def _forged(self, header: dict[str, object], claims: dict[str, object]) -> str:
        """Unsigned; or the classic confusion, the public key, which all know, as a shared one."""
        parts = [_encoded(json.dumps(each).encode()) for each in (header, claims)]
        if header["alg"] == "none":
            return ".".join([*parts, ""])
        digest = {"HS256": hashlib.sha256, "HS512": hashlib.sha512}[str(header["alg"])]
        key = self.key.as_pem(private=False)
        return ".".join([*parts, _encoded(hmac.digest(key, ".".join(parts).encode(), digest))])


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    server: OwnProvider

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].rpartition("/")[2]
        self.server.asked.append(name)
        if name == "openid-configuration":
            self._answer(self.server.metadata())
        elif name == "jwks_uri":
            keys = [key.as_dict(private=False) for key in self.server.published]
            self._answer({"keys": [{"kty": "new kind"}, *keys]})
        elif name == "userinfo_endpoint":
            wish = self.server.access[self.headers["Authorization"].removeprefix("Bearer ")]
            subject = wish.claims.get("sub", "subject-1")
            self._answer({"sub": subject, "preferred_username": "somebody", **wish.userinfo})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        wish = self.server.codes.pop(form["code"], None)  # each is good once
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        proof = _encoded(digest)
        login = f"{quote(CLIENT_ID, safe='').replace('%20', '+')}:{quote(CLIENT_SECRET, safe='')}"
        expected = "Basic " + base64.b64encode(login.encode()).decode()
        if self.headers["Authorization"] != expected:
            self._answer({"error": "invalid_client"}, 401)
        elif wish is None or wish.challenge != proof:
            self._answer({"error": "invalid_grant"}, 400)
        else:
            self.server.access[form["code"]] = wish
            tokens = {"id_token": self.server.token(wish), "access_token": form["code"]}
            self._answer({"token_type": "Bearer", **tokens})

    def _answer(self, value: object, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def own_provider() -> Iterator[OwnProvider]:
    with OwnProvider() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(20)


def oidc_settings(issuer: str, **more: str) -> dict[str, str]:
    """Settings of a server that signs people in there."""
    values = {"issuer": issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **more}
    return {f"RUNHOOK_OIDC_{name.upper()}": value for name, value in values.items()}
