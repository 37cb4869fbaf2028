"""`runhook audit` against a real server."""

import csv
import json
from pathlib import Path

from tests.cli.test_cli import Shell
from tests.conftest import Api


def test_entries_are_listed_by_filters_and_exported_whole(tmp_path: Path, shared_api: Api) -> None:
    shell = Shell(tmp_path, shared_api)
    job = shared_api.apply(name="audited-by-cli", command="true", description="two\u2028lines")
    shared_api.apply(name="audited-by-cli", command="false", description="two\u2028lines")
    listed = shell("audit", "--text", "audited-by-cli").stdout.splitlines()
    assert [line.split("  ")[-3].strip() for line in listed[1:]] == ["job.changed", "job.created"]
    words = ("--object", job, "--action", "job.c", "-n", "1", "--from", "2020-01-01", "--json")
    (entry,) = json.loads(shell("audit", *words).stdout)
    assert (entry["action"], entry["before"]) == ("job.changed", {"command": "true"})

    file = tmp_path / "log.csv"
    ended = shell("audit", "--object", job, "--export", str(file))
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    with file.open(newline="") as text:
        assert [row["action"] for row in csv.DictReader(text)] == ["job.created", "job.changed"]
    assert shell("audit", "--export", str(tmp_path / "log.jsonl")).returncode == 0
    told = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert entry in told
    assert sorted(each["id"] for each in told) == [each["id"] for each in told]


def test_an_export_that_fails_is_a_sentence_and_leaves_no_file(
    tmp_path: Path, shared_api: Api
) -> None:
    shell = Shell(tmp_path, shared_api)
    file = tmp_path / "log.jsonl"
    for words in (
        ("audit", "--until", "tomorrow", "--export", str(file)),
        ("audit", "--export", str(tmp_path / "no" / "folder.jsonl")),
        ("--url", "http://127.0.0.1:9", "audit", "--export", str(file)),
    ):
        ended = shell(*words)
        assert ended.returncode == 1, words
        assert ended.stderr.startswith("Error: "), ended.stderr
        assert "Traceback" not in ended.stderr
    assert [path.name for path in tmp_path.iterdir() if "jsonl" in path.name] == []
