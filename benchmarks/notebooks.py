"""Measures notebooks, warm and cold, against papermill's command, and prints the table of
docs/performance.md.

    .venv/bin/python benchmarks/notebooks.py [--only NAME]

The server, its isolation as the machine gives it, papermill in an environment of its own made by
uv. What is compared takes turns, so that other work on the machine meets both.
"""

import argparse
import itertools
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from spine import Client, Row, Server, ms, quantile, wait_until_idle

STACK = "pandas matplotlib scikit-learn"
HELLO = ("print('hello')",)
WORK = (
    "import time\nimport pandas as pd, matplotlib.pyplot as plt\n"
    "from sklearn.linear_model import LinearRegression",
    "frame = pd.DataFrame({'x': range(100), 'y': range(100)})\n"
    "LinearRegression().fit(frame[['x']], frame['y'])\nframe.plot(); plt.show()",
    "until = time.perf_counter() + 1.0\nwhile time.perf_counter() < until: pass\nprint('done')",
)
SLEEPER = ("import time\nprint('on', flush=True)", "time.sleep(0.5)")


def make_repository(folder: Path) -> str:
    folder.mkdir(parents=True)
    for name, cells in (("hello", HELLO), ("work", WORK), ("sleeper", SLEEPER)):
        empty: dict[str, object] = {
            "cell_type": "code",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
        made = [{**empty, "id": f"cell{n}", "source": source} for n, source in enumerate(cells)]
        book = {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        (folder / f"{name}.ipynb").write_text(json.dumps(book), encoding="utf-8")
    git = ["git", "-c", "user.name=b", "-c", "user.email=b@example.org"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *words], cwd=folder, check=True)
    return folder.as_uri()


class Papermill:
    """Its command, in an environment that holds what the jobs' environments hold."""

    def __init__(self, folder: Path) -> None:
        uv = Path(sys.executable).with_name("uv")
        venv = folder / "papermill"
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, venv], check=True)
        words: list[str | Path] = [
            uv,
            "pip",
            "install",
            "-q",
            "--compile-bytecode",
            "--python",
            venv / "bin/python",
        ]
        subprocess.run([*words, "papermill", "ipykernel==7.4.0", *STACK.split()], check=True)
        self._program = venv / "bin" / "papermill"
        self._environment = {"PATH": f"{venv}/bin:{os.defpath}", "HOME": str(folder)}

    def run(self, notebook: Path) -> tuple[float, float]:
        """Seconds to the first output, as `--log-output` shows it, and to the end."""
        began = time.perf_counter()
        words: list[str | Path] = [self._program, notebook, "/dev/null"]
        words += ["--log-output", "--no-progress-bar"]
        words += ["--kernel", "python3"]
        first = 0.0
        with subprocess.Popen(
            words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=self._environment
        ) as process:
            assert process.stderr
            for line in process.stderr:
                if not first and re.fullmatch(rb"(hello|done|on)\s*", line):
                    first = time.perf_counter() - began
        assert process.returncode == 0
        return first, time.perf_counter() - began


class Jobs:
    """The jobs that are measured; each is run until it starts as it should."""

    def __init__(self, server: Server, url: str) -> None:
        self.server, self.client, self._url = server, Client(server), url

    def make(self, name: str, notebook: str, warm: bool, stack: bool = False) -> str:
        packages = {"extra_packages": {"pip": STACK}} if stack else {}
        job = self.client.apply(
            name=name,
            notebook=f"nb/{notebook}.ipynb",
            warm=warm,
            git_repositories=[{"url": self._url, "path": "nb"}],
            **packages,
        )
        for _ in range(6):
            self.client.first_line(job)
            self.wait_for_spare()
        assert self.note(job) == ("warm" if warm else ""), self.note(job)
        return job

    def wait_for_spare(self) -> None:
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            told = self.told()
            if all(each["spare"] for each in told):
                return
            time.sleep(0.02)

    def told(self) -> list[dict[str, object]]:
        from runhook.places import run_directory  # noqa: PLC0415  after the path is set
        from runhook.runner.warm import keeper  # noqa: PLC0415

        return keeper.told(str(run_directory(self.server.data) / "warm.sock"))

    def note(self, job: str) -> str:
        runs = self.client.ask("GET", f"/api/jobs/{job}/runs?page_size=1")["runs"]
        assert isinstance(runs, list)
        run = self.client.ask("GET", f"/api/runs/{runs[0]['id']}")
        bars = run["waterfall"]
        assert isinstance(bars, list)
        return next(str(bar["note"] or "") for bar in bars if bar["name"] == "notebook")


def turns(
    count: int, **measures: Callable[[], tuple[float, float]]
) -> dict[str, list[list[float]]]:
    """Each of them so often, taking turns: their first outputs and their ends."""
    found: dict[str, list[list[float]]] = {name: [[], []] for name in measures}
    for _ in range(count):
        for name, measure in measures.items():
            first, ended = measure()
            found[name][0].append(first)
            found[name][1].append(ended)
    return found


def shown(values: list[list[float]]) -> str:
    first, ended = values
    fastest = f"fastest {ms(min(first))} / {ms(min(ended))}"
    return f"{ms(quantile(first, 0.5))} / {ms(quantile(ended, 0.5))}; {fastest}"


def warm_run(jobs: Jobs, job: str) -> Callable[[], tuple[float, float]]:
    def run() -> tuple[float, float]:
        jobs.wait_for_spare()
        return jobs.client.first_line(job)

    return run


def hello(jobs: Jobs, papermill: Papermill, folder: Path) -> list[Row]:
    warm, cold = jobs.make("hello-warm", "hello", True), jobs.make("hello-cold", "hello", False)
    found = turns(
        10,
        warm=warm_run(jobs, warm),
        cold=lambda: jobs.client.first_line(cold),
        papermill=lambda: papermill.run(folder / "hello.ipynb"),
    )
    half = {name: quantile(values[0], 0.5) for name, values in found.items()}
    ends = {name: quantile(values[1], 0.5) for name, values in found.items()}
    best = {name: min(values[0]) for name, values in found.items()}
    return [
        ("hello, warm: POST → first output / ended, p50", shown(found["warm"]), "10 turns"),
        ("hello, warm: the same, p90", f"{ms(quantile(found['warm'][0], 0.9))} / "
         f"{ms(quantile(found['warm'][1], 0.9))}", ""),
        ("hello, cold: POST → first output / ended, p50", shown(found["cold"]), ""),
        ("hello, papermill: command → first output / ended, p50", shown(found["papermill"]), ""),
        ("papermill's first output ÷ warm", f"{half['papermill'] / half['warm']:.1f}", "p50"),
        ("the same of the fastest", f"{best['papermill'] / best['warm']:.1f}", ""),
        ("cold ÷ papermill, ended", f"{ends['cold'] / ends['papermill']:.2f}", ""),
    ]  # fmt: skip


def work(jobs: Jobs, papermill: Papermill, folder: Path) -> list[Row]:
    warm = jobs.make("work-warm", "work", True, stack=True)
    cold = jobs.make("work-cold", "work", False, stack=True)
    papermill.run(folder / "work.ipynb")
    found = turns(
        5,
        warm=warm_run(jobs, warm),
        cold=lambda: jobs.client.first_line(cold),
        papermill=lambda: papermill.run(folder / "work.ipynb"),
    )
    ends = {name: quantile(values[1], 0.5) for name, values in found.items()}
    memory = max(int(str(each["memory"])) for each in jobs.told())
    return [
        ("pandas, pyplot, sklearn and 1.0 s of work: ended, warm", ms(ends["warm"]), "5 turns"),
        ("the same, cold / papermill", f"{ms(ends['cold'])} / {ms(ends['papermill'])}", ""),
        ("cold ÷ papermill", f"{ends['cold'] / ends['papermill']:.2f}", ""),
        ("its warm parent with a kernel that waits", f"{memory / 2**20:.0f} MiB", "proportional"),
    ]


def sustained(jobs: Jobs, papermill: Papermill, folder: Path) -> list[Row]:
    job = jobs.make("sustained", "hello", True)
    jobs.wait_for_spare()
    count = 100
    began = time.perf_counter()
    for _ in range(count):
        jobs.client.ask("POST", f"/api/jobs/{job}/start")
    wait_until_idle(jobs.client)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    threads = [
        threading.Thread(target=papermill.run, args=(folder / "hello.ipynb",)) for _ in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    theirs = 8 / (time.perf_counter() - began)
    notes = notes_of(jobs, job, count)
    return [
        ("hello runs to their end, a second, sustained", f"{count / seconds:.1f}",
         f"{count} runs queued at once, {notes.count('warm')} of them warm"),
        ("papermill, eight at a time, a second", f"{theirs:.1f}", ""),
    ]  # fmt: skip


def notes_of(jobs: Jobs, job: str, count: int) -> list[str]:
    runs = jobs.client.ask("GET", f"/api/jobs/{job}/runs?page_size={min(count, 100)}")["runs"]
    assert isinstance(runs, list)
    found = []
    for run in runs:
        bars = jobs.client.ask("GET", f"/api/runs/{run['id']}")["waterfall"]
        assert isinstance(bars, list)
        found += [str(bar["note"]) for bar in bars if bar["name"] == "notebook"]
    return found


def twelve(jobs: Jobs, papermill: Papermill, folder: Path) -> list[Row]:
    job = jobs.make("twelve", "sleeper", True)
    jobs.wait_for_spare()
    began = time.perf_counter()
    ids = []
    for _ in range(12):
        run = jobs.client.ask("POST", f"/api/jobs/{job}/start")["run"]
        assert isinstance(run, dict)
        ids.append(str(run["id"]))
    wait_until_idle(jobs.client)
    seconds = time.perf_counter() - began
    starts = []
    for each in ids:
        run = jobs.client.ask("GET", f"/api/runs/{each}")
        bars = run["waterfall"]
        assert isinstance(bars, list)
        begun = float(next(bar["start"] for bar in bars if bar["name"] == "first_output"))
        starts.append(_instant(str(run["created_at"])) + begun)
    swaps = sum(a > b for a, b in itertools.pairwise(starts))
    places = jobs_at_once()
    ideal = 0.5 * 12 / places
    return [
        ("twelve of half a second each, at once: all ended after", f"{seconds:.2f} s",
         f"{places} at a time, so {ideal:.1f} s would be ideal; ratio {seconds / ideal:.2f}"),
        ("first outputs that came before that of an earlier start", str(swaps), "of 11"),
    ]  # fmt: skip


def _instant(text: str) -> float:
    from datetime import datetime  # noqa: PLC0415

    return datetime.fromisoformat(text).timestamp()


def jobs_at_once() -> int:
    """The default of runs.limit."""
    return max(4, 2 * (os.cpu_count() or 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="one of the measures")
    only = parser.parse_args().only
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print("| what | measured | how |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = scratch / "remotes" / "nb"
        url = make_repository(folder)
        papermill = Papermill(scratch)
        server = Server(scratch / "data")
        jobs = Jobs(server, url)
        try:
            for measure in (hello, work, sustained, twelve):
                if only in (None, measure.__name__):
                    for row in measure(jobs, papermill, folder):
                        print(f"| {' | '.join(row)} |", flush=True)
        finally:
            server.stop()
    load = statistics.fmean(os.getloadavg())
    print(
        f"\n{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {load:.1f}"
    )


if __name__ == "__main__":
    main()
