"""A server that is attacked: everything may be asked of it, nothing that it is told runs, and its
own words are read afterwards."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from hypothesis import HealthCheck, Phase, settings

from tests.conftest import Api, _maker

QUEUE_ONLY = {"RUNHOOK_RUNS_LIMIT": "0"}
SLOWEST = 5.0
"""Seconds that any one answer may take, on a machine with other things to do."""
MOST_GROWTH = 96 * 1024 * 1024
NOBODY = "0" * 32


def bounded(examples: int) -> settings:
    """The same cases every time, or, under scripts/soak, that many times as many others."""
    soak = int(os.environ.get("RUNHOOK_SOAK", "0"))
    return settings(
        max_examples=examples * max(1, soak),
        derandomize=not soak,
        print_blob=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@dataclass
class Attacked:
    """The server, a session that is signed in, and the ids that its answers have told so far."""

    api: Api
    session: requests.Session = field(default_factory=requests.Session)
    known: dict[str, list[str]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.api.server.url

    @property
    def process(self) -> psutil.Process:
        assert self.api.server.process
        return psutil.Process(self.api.server.process.pid)

    def words(self) -> str:
        """What the server wrote to its standard error."""
        return (self.api.server.data.parent / "server.err").read_text(errors="replace")

    def seed(self) -> None:
        """One of everything that there can be, made again if it was removed."""
        job = self.api.apply(
            name="seed",
            command="true",
            parameters={"text": "a", "number": 1},
            schedules=[{"cron": "0 3 1 1 *"}],
            triggers=[{"webhook": "pushed", "source": "generic"}],
        )
        run = self.api.start(job)["id"]
        self.known |= {"job_id": [job], "run_id": [str(run)]}

    def learn(self, answer: Any) -> None:
        """Remember ids and names in a JSON answer, to ask for them by every route there is."""
        for value in answer.values() if isinstance(answer, dict) else answer:
            if isinstance(value, (dict, list)):
                self.learn(value)
        for name in ("id", "name") if isinstance(answer, dict) else ():
            if isinstance(answer.get(name), str) and answer[name]:
                self.known["any"] = [*self.known.get("any", []), answer[name]][-40:]

    def id_for(self, parameter: str, which: int) -> str:
        """A value for a part of a path that may lead somewhere."""
        found = self.known.get(parameter) or self.known.get("any") or [NOBODY]
        return found[which % len(found)]

    def path(self, template: str, which: int = 0) -> str:
        """A route's path with values that may lead somewhere."""
        return re.sub(r"\{(\w+)(:\w+)?\}", lambda each: self.id_for(each[1], which), template)

    def renew(self) -> None:
        """Sign in again, and get the token again: an attack may well have ended both."""
        if self.api.request("GET", "/api/user").status_code != 200:
            self.api.token = self.api.server.token()
        self.sign_in()

    def sign_in(self) -> None:
        self.session.cookies.clear()
        form = {"token": self.api.token}
        answer = self.post("/dash/sign-in", data=form)
        assert answer.status_code == 303, answer.text
        self.session.headers["X-CSRF-Token"] = answer.headers["X-CSRF-Token"]

    def post(self, path: str, **more: Any) -> requests.Response:
        """A form sent by a page of the server's own."""
        headers = {"Sec-Fetch-Site": "same-origin"} | more.pop("headers", {})
        return self.session.post(
            self.url + path, headers=headers, allow_redirects=False, timeout=SLOWEST, **more
        )


@contextmanager
def unharmed(attacked: Attacked) -> Iterator[None]:
    """Whatever happens inside: no traceback, no growth, every descriptor given back."""
    told = len(attacked.words())
    before, open_before = attacked.process.memory_info().rss, attacked.process.num_fds()
    yield
    answer = requests.get(attacked.url + "/api/status", timeout=SLOWEST)
    assert answer.status_code == 200
    assert "Traceback" not in attacked.words()[told:], attacked.words()[told:]
    assert attacked.process.memory_info().rss - before < MOST_GROWTH
    attacked.session.close()
    limit = time.monotonic() + 20
    while attacked.process.num_fds() > open_before + 4:  # pooled database connections
        assert time.monotonic() < limit, attacked.process.open_files()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[Attacked]:
    """A server for one module's attacks. It queues what is started and never runs it."""
    for make in _maker(tmp_path_factory.mktemp("attacked"), shared_cache):
        server = make(**QUEUE_ONLY).start()
        made = Attacked(Api(server, server.token()))
        made.seed()
        made.sign_in()
        yield made
