"""Retention over HTTP and by the command line: pins, and having it gone."""

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import Api, LiveServer, MakeServer

LINES = "for i in $(seq 100); do echo a line of the log; done"


def shell(api: Api, *words: str) -> subprocess.CompletedProcess[str]:
    """`runhook WORDS` as the caller."""
    command = [sys.executable, "-m", "runhook", "--url", api.server.url, "--token", api.token]
    environment = api.server.environment
    return subprocess.run([*command, *words], capture_output=True, text=True, env=environment)


def told(api: Api, run_id: object, fact: str) -> dict[str, object]:
    """The run once the pruner has written this fact down."""
    for _ in range(2000):
        run = api.run(run_id)
        if run[fact] is not None:
            return run
        api.request("POST", "/api/retention/prune")
    raise AssertionError("the pruner has not come by")


def directory(server: LiveServer, run: dict[str, object]) -> Path:
    (attempt,) = run["attempts"]  # type: ignore[misc]
    return server.data / "attempts" / attempt["id"][:2] / attempt["id"]  # type: ignore[index]


def test_a_pinned_run_stays_and_an_unpinned_one_goes_with_its_files_alone(
    make_server: MakeServer,
) -> None:
    server = make_server(RUNHOOK_RETENTION_SIZE="2kB").start()
    api = Api(server, server.token())
    job = api.apply(name="kept", command=LINES)
    runs = [api.start(job)["id"] for _ in range(2)]
    for _ in range(2):
        pinned = api.request("POST", f"/api/runs/{runs[0]}/pin")
        assert (pinned.status_code, pinned.json()["pinned"]) == (200, True)
    kept, gone = (api.finished(run) for run in runs)
    gone = told(api, gone["id"], "pruned_at")
    assert (gone["state"], gone["kept_bytes"], gone["number"]) == ("succeeded", 0, 2)
    assert api.log(gone["id"]) == "" and not directory(server, gone).exists()
    kept = told(api, kept["id"], "kept_bytes")
    assert int(str(kept["kept_bytes"])) > 1800 and directory(server, kept).exists()
    assert len(api.log(kept["id"])) == 1800

    assert shell(api, "unpin", str(kept["id"])).stdout == "run 1 is not pinned\n"
    assert not directory(server, told(api, kept["id"], "pruned_at")).exists()
    late = shell(api, "pin", str(kept["id"]))
    assert late.returncode == 1
    assert "cannot pin run 1 because its files were removed on" in late.stderr


def test_the_command_line_shows_what_would_go_before_it_goes(server: LiveServer) -> None:
    api = Api(server, server.token())
    lost = server.data / "attempts" / "ab" / ("ab" * 16)
    lost.mkdir(parents=True)
    (lost / "log").write_bytes(b"x" * 5000)
    subprocess.run(["touch", "--date", "2 days ago", lost], check=True)
    dry = shell(api, "prune", "--dry-run")
    assert f"attempts/{lost.name}  5.0 kB  no run knows it" in dry.stdout
    assert "5.0 kB would go;" in dry.stderr
    assert lost.exists()
    assert json.loads(shell(api, "prune", "--dry-run", "--json").stdout)["bytes"] == 5000
    assert "5.0 kB is being removed;" in shell(api, "prune").stderr
    for _ in range(2000):
        if not api.request("GET", "/api/retention").json()["leftovers"]:
            break
    assert not lost.exists()
