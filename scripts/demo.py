"""What `scripts/demo` does, after its set-up. See there."""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from runhook.cli.client import Client
from runhook.cli.output import exit_code

ROOT = Path(__file__).parent.parent
DATA = ROOT / ".demo"
RUNHOOK = Path(sys.executable).with_name("runhook")
COMMAND = (
    "papermill materials/notebook-job-api/example.ipynb out.ipynb"
    " --stdout-file - --stderr-file - --kernel python3"
)


def make_repository() -> str:
    """A git repository called `materials` that holds the examples, as a person's would."""
    path = DATA / "remote" / "materials"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(ROOT / "examples", path)
    git = ["git", "-c", "user.name=Demo", "-c", "user.email=demo@localhost"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "Examples"]):
        subprocess.run([*git, *words], cwd=path, check=True, stdout=sys.stderr)
    return path.as_uri()


def start_server() -> tuple[subprocess.Popen[str], str]:
    """A server on a free port, and its address."""
    environment = {**os.environ, "RUNHOOK_GIT_ALLOW_FILE_URLS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    server = subprocess.Popen(
        [RUNHOOK, "up", "--data", DATA, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=(DATA / "server.log").open("ab"),
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert server.stdout
    for line in server.stdout:
        if ready := re.search(r"Runhook is ready at (\S+)", line):
            return server, ready[1]
    sys.exit(f"The server did not start; see {DATA / 'server.log'}")


def run_example(client: Client, token: str) -> int:
    """Define the job, start it by HTTP, show its log: the run's exit code."""
    recipe = {
        "type": "job",
        "spec": {
            "name": "notebook-job-api",
            "description": "The example: one notebook, started by one HTTP call.",
            "command": COMMAND,
            "extra_packages": {"pip": "papermill"},
            "git_repositories": [{"url": make_repository()}],
        },
    }
    job_id = client.apply(recipe)["state"]["id"]
    url = f"{client.url}/api/jobs/{job_id}/start"
    print(f"$ curl -X POST -H 'Authorization: token {token[:4]}…' {url}")
    run = client.start(job_id)
    for text in client.follow(run["id"]):
        print(text, end="", flush=True)
    ended = client.run(run["id"])
    reason = f": {ended['reason']}" if ended["reason"] else ""
    print(f"\nRun {ended['number']} {ended['state']}{reason}")
    link = client.sign_in_link(f"/dash/runs/{run['id']}")
    print(f"See it in a browser (the link works once): {link}", flush=True)
    return exit_code(ended)


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the example on a server of its own.")
    parser.add_argument("--once", action="store_true", help="end with the run's exit code")
    once = parser.parse_args().once
    DATA.mkdir(mode=0o700, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    server, url = start_server()
    try:
        command = [str(RUNHOOK), "token", "--data", str(DATA)]
        token = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        with Client(url, token) as client:
            code = run_example(client, token)
        if not once:
            print("The server stays up until Ctrl-C.", flush=True)
            server.wait()
        return code
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
