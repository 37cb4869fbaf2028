"""A newcomer's first command, on a fresh clone and with an empty home."""

import subprocess
from pathlib import Path

from tests.conftest import ROOT, clean_environment


def test_the_demo_runs_from_a_fresh_clone(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    # with what is new in the working tree: the test speaks of that, too
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.split(b"\0")
    for name in filter(None, listed):
        source, target = ROOT / name.decode(), clone / name.decode()
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            target.chmod(source.stat().st_mode)
    home = tmp_path / "home"
    home.mkdir()
    environment = clean_environment(home)
    del environment["PYTHONPATH"]
    answer = subprocess.run(
        [clone / "scripts" / "demo", "--once"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr
    assert "INFO:root:Job is successfully running!" in answer.stdout
    assert "Run 1 succeeded" in answer.stdout
    assert "/dash/sign-in?link=" in answer.stdout
    data = clone / ".demo"
    left = subprocess.run(["pgrep", "-f", f"up --data {data}"], capture_output=True, check=False)
    assert left.stdout == b""
