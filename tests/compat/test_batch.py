"""`sc split` and `sc batch`: many commands cut in parts, run as one job, on local storage."""

import json
import shutil
from pathlib import Path

import yaml

from tests.compat.conftest import Sc
from tests.compat.test_sc import finished, written
from tests.conftest import Api


def batch_in(folder: Path, count: int = 5) -> dict[str, object]:
    """Commands that each leave a file; the last one fails."""
    last = count - 1
    commands = [f"echo number {n}; exit {int(n == last) * 3}" for n in range(count)]
    return {
        "nprocs": 2,
        "remote_output_path": f"file://{folder}/out",
        "runs": [{"cmd": command} for command in commands],
    }


def test_split_makes_a_recipe_with_a_list_of_commands_that_runs(
    sc: Sc, shared_api: Api, tmp_path: Path, meeting: Path, client_environment: Path
) -> None:
    batch = batch_in(meeting)
    (tmp_path / "batch.json").write_text(json.dumps(batch))
    recipe = written(tmp_path, "sc-batch")
    commands, synced = meeting / "commands", meeting / "synced"
    said = sc.done(
        *("split", recipe, str(tmp_path / "batch.json"), "--scale", "2", "--batch-size", "2"),
        *("--local-commands-directory", str(commands)),
        *("--remote-commands-directory", str(meeting / "remote")),
        *("--file-syncs-base-dir-url", f"file://{synced}"),
    )
    assert "including 5 runs" in said.out or "including 5 incomplete runs" in said.out
    made = yaml.safe_load((commands / "recipe.yaml").read_text())
    assert [Path(line.split()[2]).name for line in made["spec"]["command"]] == [
        *("0.json", "1.json", "2.json")
    ]
    shutil.copytree(client_environment, meeting / "client", symlinks=True)
    program = f"{meeting}/client/bin/python -m saturn_client.cli.commands"  # where runs see it
    lines = [line.replace("sc", program, 1) for line in made["spec"]["command"]]
    made["spec"]["command"] = lines
    (commands / "recipe.yaml").write_text(yaml.safe_dump(made))
    sc.done("apply", str(commands / "recipe.yaml"), "--start")
    run = finished(shared_api, "sc-batch")
    assert run["state"] == "succeeded", shared_api.log(run["id"])
    codes = [(meeting / "out" / str(n) / "status_code").read_text() for n in range(5)]
    assert codes == ["0", "0", "0", "0", "3"]
    assert (meeting / "out" / "1" / "stdout").read_text() == "number 1\n"
    summary = sc.done("summarize-batch", str(tmp_path / "batch.json"))
    assert [row[0] for row in summary.rows].count("completed") == 4
    assert [row[0] for row in summary.rows].count("error") == 1


def test_batch_runs_commands_here(sc: Sc, tmp_path: Path) -> None:
    (tmp_path / "batch.json").write_text(json.dumps(batch_in(tmp_path, 3)))
    said = sc.done("batch", str(tmp_path / "batch.json"))
    assert "number 0" in said.out
    codes = [(tmp_path / "out" / str(n) / "status_code").read_text() for n in range(3)]
    assert codes == ["0", "0", "3"]


def test_split_asks_the_server_for_the_cores_of_a_size(sc: Sc, tmp_path: Path) -> None:
    batch = {name: each for name, each in batch_in(tmp_path).items() if name != "nprocs"}
    (tmp_path / "batch.json").write_text(json.dumps(batch))
    said = sc.done(
        *("split", written(tmp_path, "sc-cores"), str(tmp_path / "batch.json")),
        *("--instance-type", "machine", "--local-commands-directory", str(tmp_path / "commands")),
        *("--file-syncs-base-dir-url", f"file://{tmp_path}/synced"),
    )
    assert "defaulting nprocs to vCPU" in said.out
    assert "using scale of 1 from the recipe" in said.out
