"""Results, artifacts and contracts by the command line."""

import json
import zipfile
from pathlib import Path

import nbformat
import pytest

from tests.cli.test_cli import Shell, write_recipe
from tests.conftest import Api


@pytest.fixture
def shell(tmp_path: Path, shared_api: Api) -> Shell:
    return Shell(tmp_path, shared_api)


def test_waiting_prints_the_result_and_ends_as_the_run_ends(shell: Shell, tmp_path: Path) -> None:
    command = 'echo log; echo "[$n, 2]" > $RUNHOOK_RESULT; exit $code'
    spec = {"command": command, "parameters": {"n": 1, "code": 0}}
    shell("apply", write_recipe(tmp_path / "j", name="cli-waits", **spec))
    waited = shell("start", "cli-waits", "-p", "n=7", "--wait")
    assert json.loads(waited.stdout) == [7, 2]
    assert "succeeded" in waited.stderr
    assert waited.returncode == 0
    whole = shell("start", "cli-waits", "--wait", "--json")
    assert json.loads(whole.stdout)["result"] == [1, 2]
    failed = shell("start", "cli-waits", "-p", "code=5", "--wait")
    assert (failed.returncode, "exited with status 5" in failed.stderr) == (5, True)


def test_artifacts_are_listed_and_fetched(shell: Shell, tmp_path: Path) -> None:
    odd = "a%20b #é.txt"
    command = f'cd $RUNHOOK_ARTIFACTS; mkdir sub; printf one > "{odd}"; printf two > sub/b'
    shell("apply", write_recipe(tmp_path / "j", name="cli-leaves", command=command))
    run = json.loads(shell("start", "cli-leaves", "--wait", "--json").stdout)["id"]
    listed = json.loads(shell("artifacts", run, "--json").stdout)
    assert {each["path"]: each["size"] for each in listed} == {odd: 3, "sub/b": 3}
    assert odd in shell("artifacts", run).stdout
    assert shell("artifacts", run, "--get", odd, "-o", "-").stdout == "one"
    target = tmp_path / "fetched"
    assert shell("artifacts", run, "--get", "sub/b", "-o", str(target)).returncode == 0
    assert target.read_text() == "two"
    again = shell("artifacts", run, "--get", "sub/b", "-o", str(target))
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    missing = shell("artifacts", run, "--get", "nothing", "-o", str(tmp_path / "none"))
    assert "has no artifact nothing" in missing.stderr
    assert not (tmp_path / "none").exists()
    archive = tmp_path / "all.zip"
    assert shell("artifacts", run, "--zip", str(archive)).returncode == 0
    with zipfile.ZipFile(archive) as packed:
        assert sorted(packed.namelist()) == sorted([odd, "sub/b"])


def test_the_contract_of_a_local_notebook_is_printed_and_fits_a_recipe(
    shell: Shell, tmp_path: Path
) -> None:
    source = "year: int = 2026  # which year\nhome = os.environ['HOME']"
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    path = tmp_path / "report.ipynb"
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))
    head, *lines = shell("parameters", str(path)).stdout.splitlines()
    assert head.split() == ["NAME", "TYPE", "DEFAULT", "HELP"]
    assert lines[0].split() == ["year", "int", "2026", "which", "year"]
    schema = json.loads(shell("parameters", str(path), "--json").stdout)
    assert schema["properties"]["year"]["type"] == "integer"
    declared = json.loads(shell("parameters", str(path), "--recipe").stdout)
    assert declared == {"year": {"type": "int", "default": 2026, "help": "which year"}}
    recipe = write_recipe(tmp_path / "j", name="cli-typed", command="true", parameters=declared)
    assert shell("apply", recipe).returncode == 0
    assert "takes a whole number" in shell("start", "cli-typed", "-p", "year=x").stderr
    yaml = tmp_path / "dated.yaml"
    yaml.write_text(
        "name: dated\ncommand: 'true'\nparameters: {day: {type: date, default: 2026-01-31}}"
    )
    applied = shell("apply", str(yaml), "--json")
    assert json.loads(applied.stdout)["spec"]["parameters"]["day"]["default"] == "2026-01-31"
    path.write_text("{")
    assert "this is no notebook" in shell("parameters", str(path)).stderr
