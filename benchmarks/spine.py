"""Measures the main job on this machine and prints the table of docs/performance.md.

    .venv/bin/python benchmarks/spine.py [--only NAME]

Everything runs on the loopback interface against a server of its own, with data in a temporary
directory; repositories are local (file://). Ratios compare two things measured in the same run.
"""

import argparse
import http.client
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psutil

ROOT = Path(__file__).parent.parent
LINE = "hello from the benchmark"
Row = tuple[str, str, str]


class Server:
    """A server process with its own data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RUNHOOK_", "PYTHON"))
        }
        self.environment = {
            **kept,
            "HOME": str(data.parent),
            "PYTHONPATH": str(ROOT / "src"),
            "RUNHOOK_GIT_ALLOW_FILE_URLS": "1",
        }
        self.start_seconds = 0.0
        self._start()
        self.token = self._run("token", "--data", str(data)).strip()

    def _start(self) -> None:
        began = time.perf_counter()
        command = [sys.executable, "-m", "runhook", "up", "--data", str(self.data), "--port", "0"]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self.environment,
        )
        assert self.process.stdout
        for line in self.process.stdout:
            if ready := re.search(r"ready at (http://\S+)", line):
                self.url = ready[1]
                break
        self.start_seconds = time.perf_counter() - began

    def restart(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self._start()

    def _run(self, *words: str) -> str:
        command = [sys.executable, "-m", "runhook", *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, env=self.environment
        ).stdout

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        for process in psutil.process_iter(["cmdline", "cwd"]):
            if str(self.data) in " ".join(
                [*(process.info["cmdline"] or ()), process.info["cwd"] or ""]
            ):
                process.kill()


class Client:
    """One keep-alive connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        parts = urlsplit(server.url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)

    def fetch(self, method: str, path: str, body: object = None) -> bytes:
        text = json.dumps(body) if body is not None else None
        headers = {"Authorization": f"token {self._server.token}"}
        self._connection.request(method, path, text, headers)
        answer = self._connection.getresponse()
        data = answer.read()
        assert answer.status < 300, data
        return data

    def ask(self, method: str, path: str, body: object = None) -> dict[str, object]:
        return dict(json.loads(self.fetch(method, path, body)))

    def apply(self, **spec: object) -> str:
        recipe = self.ask("PUT", "/api/recipes", {"type": "job", "spec": spec})
        state = recipe["state"]
        assert isinstance(state, dict)
        return str(state["id"])

    def first_line(self, job_id: str) -> tuple[float, float]:
        """Seconds from the start call to the first byte of the log, and to the end, as a client
        on the stream sees them."""
        began = time.perf_counter()
        run = self.ask("POST", f"/api/jobs/{job_id}/start")["run"]
        assert isinstance(run, dict)
        headers = {"Authorization": f"token {self._server.token}"}
        self._connection.request("GET", f"/api/runs/{run['id']}/log?follow=1", headers=headers)
        stream = self._connection.getresponse()
        first = 0.0
        while line := stream.readline():
            if line.startswith(b"event: log") and not first:
                first = time.perf_counter() - began
            if line.startswith(b"event: end"):
                break
        ended = time.perf_counter() - began
        assert b'"state": "succeeded"' in stream.read()
        return first, ended


def make_repository(path: Path, files: int = 20) -> str:
    path.mkdir(parents=True)
    git = ["git", "-c", "user.name=b", "-c", "user.email=b@example.org"]
    for index in range(files):
        (path / f"file{index}.txt").write_text("x" * 1000)
    (path / "say.sh").write_text(f"echo {LINE}\n")
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *words], cwd=path, check=True)
    return path.as_uri()


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def quantile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def start_call(server: Server, client: Client) -> list[Row]:
    """Accepted and durable: with the queue held back by sleeping runs, and with runs executing."""
    sleeping = client.apply(name="sleeping", command="sleep 3600")
    for _ in range(64):
        client.ask("POST", f"/api/jobs/{sleeping}/start")
    job = client.apply(name="accepted", command="true")
    paced = fifty_callers(server, job, calls=20, pause=0.5)
    saturated = fifty_callers(server, job, calls=40)
    for each in (sleeping, job):
        client.ask("POST", f"/api/jobs/{each}/stop")
    wait_until_idle(client)
    beside = fifty_callers(server, job, calls=20)
    wait_until_idle(Client(server))
    return [
        row("start call, 50 callers, 100 calls per second, p50 / p99", paced, "queue held back"),
        row("start call, 50 callers without a pause, p50 / p99", saturated, "queue held back"),
        ("accepted starts per second", f"{rate(saturated):.0f}", "the same; synchronous=FULL"),
        ("accepted starts per second", f"{rate(beside):.0f}", "while runs execute beside them"),
    ]


Calls = tuple[float, list[float]]


def row(what: str, calls: Calls, how: str) -> Row:
    times = calls[1]
    return what, f"{ms(quantile(times, 0.5))} / {ms(quantile(times, 0.99))}", how


def rate(calls: Calls) -> float:
    return len(calls[1]) / calls[0]


def fifty_callers(server: Server, job: str, calls: int, pause: float = 0.0) -> Calls:
    """Seconds in all, and of each call. The callers are one other process, so that they do not
    share the server's interpreter (but they do share its two cores)."""
    program = f"""
import http.client, json, random, threading, time
times = []
headers = {{"Authorization": "token {server.token}"}}
def call():
    c = http.client.HTTPConnection({urlsplit(server.url).hostname!r}, {urlsplit(server.url).port})
    time.sleep(random.random() * {pause})
    for _ in range({calls}):
        t = time.perf_counter()
        c.request("POST", "/api/jobs/{job}/start", headers=headers)
        r = c.getresponse(); r.read(); assert r.status == 200
        times.append(time.perf_counter() - t)
        time.sleep(max(0, {pause} - times[-1]))
threads = [threading.Thread(target=call) for _ in range(50)]
t = time.perf_counter()
[x.start() for x in threads]; [x.join() for x in threads]
print(json.dumps([time.perf_counter() - t, times]))
"""
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, capture_output=True, text=True, check=True)
    total, times = json.loads(output.stdout)
    return total, times


def wait_until_idle(client: Client) -> None:
    while client.ask("GET", "/api/runs?state=queued,starting,running&page_size=1")["runs"]:
        time.sleep(0.05)


def first_output(server: Server, client: Client, scratch: Path) -> list[Row]:
    """POST → first line, checkout and environment unchanged, against doing the same by hand."""
    url = make_repository(scratch / "remotes" / "materials")
    job = client.apply(
        name="first-line", command="bash materials/say.sh", git_repositories=[{"url": url}]
    )
    client.first_line(job)
    clone = scratch / "by-hand"
    subprocess.run(["git", "clone", "-q", "--bare", url, clone], check=True)
    ours, ends, hands = [], [], []
    for index in range(60):
        first, ended = client.first_line(job)
        ours.append(first)
        ends.append(ended)
        hands.append(_by_hand(clone, scratch / f"tree{index}"))
    pair = [a / b for a, b in zip(ours, hands, strict=True)]
    return [
        (
            "command job: POST → first line, p50 / p90",
            f"{ms(quantile(ours, 0.5))} / {ms(quantile(ours, 0.9))}",
            "git repository of 20 files, unchanged",
        ),
        ("command job: POST → outcome, p50", ms(quantile(ends, 0.5)), ""),
        ("the same by hand (git fetch, checkout, bash), p50", ms(quantile(hands, 0.5)), ""),
        ("ratio to by hand, median of pairs", f"{statistics.median(pair):.2f}", ""),
    ]


def _by_hand(clone: Path, tree: Path) -> float:
    began = time.perf_counter()
    tree.mkdir()
    subprocess.run(
        ["git", "-C", clone, "fetch", "-q", "origin", "+refs/heads/*:refs/heads/*"], check=True
    )
    subprocess.run(
        ["git", "-C", clone, f"--work-tree={tree}", "checkout", "-q", "-f", "main"], check=True
    )
    subprocess.run(["bash", tree / "say.sh"], check=True, stdout=subprocess.DEVNULL)
    took = time.perf_counter() - began
    shutil.rmtree(tree)
    return took


def throughput(server: Server, client: Client, scratch: Path) -> list[Row]:
    """No-op runs to their ends, checkout included, with a queue that never empties."""
    url = (scratch / "remotes" / "materials").as_uri()
    job = client.apply(name="noop", command="true", git_repositories=[{"url": url}])
    count = 600
    began = time.perf_counter()
    for _ in range(count):
        client.ask("POST", f"/api/jobs/{job}/start")
    wait_until_idle(client)
    seconds = time.perf_counter() - began
    assert not client.ask("GET", f"/api/jobs/{job}/runs?state=failed,lost,timed_out")["runs"]
    return [
        (
            "no-op runs to their end, per second",
            f"{count / seconds:.0f}",
            f"{count} runs, queue, checkout, log, result included",
        )
    ]


def log_speed(server: Server, client: Client, scratch: Path) -> list[Row]:
    """1 GB of output, against the same program writing to a file. Which goes first alternates, and
    the disk is let come to rest before each: else it measures whose pages are written back."""
    command = "yes 'a line of forty characters, just as it is' | head -c 1000000000"
    job = client.apply(name="chatty", command=command)
    plain = scratch / "plain.log"
    memory = 0

    def ours() -> float:
        nonlocal memory
        run = client.ask("POST", f"/api/jobs/{job}/start")["run"]
        assert isinstance(run, dict)
        wait_until_idle(client)
        memory = max(memory, psutil.Process(server.process.pid).memory_info().rss)
        bars = client.ask("GET", f"/api/runs/{run['id']}")["waterfall"]
        assert isinstance(bars, list)
        for path in server.data.glob("attempts/*/*/log"):
            path.unlink()
        return float(next(bar["seconds"] for bar in bars if bar["name"] == "command"))

    def by_hand() -> float:
        began = time.perf_counter()
        with plain.open("wb") as target:
            subprocess.run(["bash", "-c", command], stdout=target, check=True)
        took = time.perf_counter() - began
        plain.unlink()
        return took

    ratios = []
    for index in range(6):
        measured = {}
        for measure in (ours, by_hand) if index % 2 else (by_hand, ours):
            os.sync()
            measured[measure] = measure()
        ratios.append(measured[by_hand] / measured[ours])
    return [
        (
            "1 GB of output: speed against `> file`, median of 6 pairs",
            f"{statistics.median(ratios):.2f}",
            f"from {min(ratios):.2f} to {max(ratios):.2f}: the disk is shared",
        ),
        ("server memory after it", f"{memory / 2**20:.0f} MiB", "resident"),
    ]


def start_and_memory(server: Server) -> list[Row]:
    starts = []
    for _ in range(3):
        server.restart()
        starts.append(server.start_seconds)
    time.sleep(1)
    rss = psutil.Process(server.process.pid).memory_full_info().rss
    return [
        (
            "start to ready, median",
            f"{statistics.median(starts):.2f} s",
            "existing data, bytecode compiled",
        ),
        ("idle server, resident", f"{rss / 2**20:.0f} MiB", ""),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="one of the measures")
    only = parser.parse_args().only
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        server = Server(scratch / "data")
        try:
            Client(server).first_line(Client(server).apply(name="warm-up", command="true"))
            measures: dict[str, Callable[[], list[Row]]] = {
                "start-call": lambda: start_call(server, Client(server)),
                "first-output": lambda: first_output(server, Client(server), scratch),
                "throughput": lambda: throughput(server, Client(server), scratch),
                "log": lambda: log_speed(server, Client(server), scratch),
                "start": lambda: start_and_memory(server),
            }
            for measure_name, measure in measures.items():
                if only in (None, measure_name):
                    rows += measure()
        finally:
            server.stop()
    print(
        f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        "isolation: processes only\n"
    )
    print("| what | measured | how |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
