"""Every command of `sc` that has to do with jobs, as somebody types it who used it elsewhere."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.compat.conftest import Sc, environment_of
from tests.conftest import Api

RECIPE = """\
type: job
schema_version: 2025.10.01
spec:
  name: {name}
  description: made by the client
  image: community/saturncloud/saturn-python:2023.09.01
  instance_type: large
  command: {command}
  working_directory: /home/jovyan/workspace
  environment_variables: {{GREETING: hello}}
  scale: 1
  use_spot_instance: false
  start_dind: false
  retries: 0
"""


def written(folder: Path, name: str, command: str = "echo $GREETING", more: str = "") -> str:
    """A recipe's file."""
    path = folder / f"{name}.yaml"
    path.write_text(RECIPE.format(name=name, command=json.dumps(command)) + more)
    return str(path)


def id_of(api: Api, name: str) -> str:
    return str(api.request("GET", f"/api/recipes/job/{name}").json()["state"]["id"])


def runs_of(api: Api, name: str) -> list[dict[str, object]]:
    """The runs of a job, newest first."""
    return list(api.request("GET", f"/api/jobs/{id_of(api, name)}/runs").json()["runs"])


def finished(api: Api, name: str) -> dict[str, object]:
    """The newest run of a job, once it has ended."""
    return api.finished(runs_of(api, name)[0]["id"])


def started_file(meeting: Path) -> str:
    """A command that says that it runs, and waits to be let go."""
    return f"echo begun; touch {meeting}/begun; until [ -e {meeting}/go ]; do sleep 0.02; done"


def wait_for(path: Path) -> None:
    subprocess.run(
        ["bash", "-c", f"until [ -e {path} ]; do sleep 0.02; done"], check=True, timeout=60
    )


def test_the_command_as_it_is_installed(
    shared_api: Api, client_environment: Path, tmp_path: Path
) -> None:
    """The others run it by `many`."""
    command = [str(client_environment / "bin" / "sc"), "list", "job", "nothing-like-that"]
    environment = environment_of(shared_api, tmp_path)
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split()[:3] == ["owner", "name", "resource_type"]


def test_apply_list_and_get(sc: Sc, shared_api: Api, tmp_path: Path) -> None:
    said = sc.done("apply", written(tmp_path, "sc-one"))
    assert "Applied job sc-one for main/admin from recipe" in said.out
    job = id_of(shared_api, "sc-one")
    row = ["main/admin", "sc-one", "job", "stopped", "large", "1", job]
    assert sc.done("list", "job", "sc-one").rows == [row]
    assert sc.done("list", "jobs", "sc-o", "--owner", "main/admin").rows == [row]
    assert sc.done("list", "resource", "sc-one", "--owner", "admin").rows == [row]
    assert sc.done("list", "job", "sc-one", "-s", "stopped").rows == [row]
    assert sc.done("list", "job", "sc-one", "-s", "running", "-s", "error").rows == []
    assert sc.done("list", "workspace").rows == []
    assert sc.done("get", "job", "sc-one", "-o", "table").rows == [row]
    in_template = sc.done("list", "job", "sc-one", "--as-template", "-o", "json")
    assert [set(each) for each in json.loads(in_template.out)] == [
        {"schema_version", "type", "spec"}
    ]


def test_get_as_yaml_json_and_template_applies_again_and_stays_the_same(
    sc: Sc, shared_api: Api, tmp_path: Path
) -> None:
    sc.done("apply", written(tmp_path, "sc-forms"))
    given = yaml.safe_load((tmp_path / "sc-forms.yaml").read_text())
    as_json = json.loads(sc.done("get", "job", "sc-forms", "-o", "json").out)
    as_yaml = sc.done("get", "job", "sc-forms").out
    assert yaml.safe_load(as_yaml) == as_json
    assert as_json["spec"] == {**given["spec"], "owner": "main/admin"}
    again = tmp_path / "again.yaml"
    again.write_text(as_yaml)
    sc.done("apply", str(again))
    assert sc.done("get", "job", "sc-forms").out == as_yaml
    assert (
        len(
            shared_api.request("GET", f"/api/jobs/{as_json['state']['id']}/versions").json()[
                "versions"
            ]
        )
        == 1
    )
    template = yaml.safe_load(sc.done("get", "job", "sc-forms", "--as-template").out)
    assert template == {"schema_version": "2025.10.01", "type": "job", "spec": given["spec"]}


def test_what_is_not_there_and_what_is_wrong_end_with_a_sentence(sc: Sc, tmp_path: Path) -> None:
    said = sc("get", "job", "sc-nobody-made-this")
    assert said.code == 1
    assert "there is no job sc-nobody-made-this of main/admin here" in said.out
    assert "Traceback" not in said.err
    wrong = sc("apply", written(tmp_path, "sc-wrong", more="  no_such_field: 1\n"))
    assert wrong.code == 1
    assert "no_such_field" in wrong.out
    elsewhere = sc("apply", written(tmp_path, "sc-elsewhere"), SATURN_TOKEN="0" * 32)
    assert elsewhere.code == 1
    assert "token" in elsewhere.out
    outside = Path(written(tmp_path, "sc-outside"))
    outside.write_text(outside.read_text().replace("/home/jovyan/workspace", "/etc"))
    refused = sc("apply", str(outside))
    assert refused.code == 1
    assert "relative to the workspace" in refused.out


def test_start_pods_and_logs_of_a_run_that_lives_and_has_ended(
    sc: Sc, shared_api: Api, tmp_path: Path, meeting: Path
) -> None:
    said = sc.done("apply", written(tmp_path, "sc-live", started_file(meeting)), "--start")
    assert "Started job sc-live for main/admin" in said.out
    wait_for(meeting / "begun")
    live = sc.done("pods", "job", "sc-live").rows
    assert [row[1:3] for row in live] == [["running", "live"]]
    pod = live[0][0]
    assert pod.startswith("sc-live-")
    assert sc.done("pods", "job", "sc-live", "--source", "live", "-s", "running").rows[0][0] == pod
    assert sc.done("pods", "job", "sc-live", "--source", "live", "-s", "error").rows == []
    kept = sc.done("pods", "job", "sc-live", "--source", "historical").rows
    assert [row[:3] for row in kept] == [[pod, "running", "historical"]]
    for words in ([], ["--source", "live"], [pod], [pod, "--source", "live"], ["-a"], [pod, "-a"]):
        text = sc.done("logs", "job", "sc-live", *words).out
        assert f"Pod: {pod}" in text
        assert "Container: main" in text
        assert "begun" in text
        assert "Terminated" not in text
    listed = sc.done("list", "job", "sc-live", "-s", "running").rows
    assert [row[3] for row in listed] == ["running"]

    (meeting / "go").touch()
    finished(shared_api, "sc-live")
    ended = sc.done("pods", "job", "sc-live").rows
    assert [row[:3] for row in ended] == [[pod, "completed", "historical"]]
    assert len(ended[0]) == 5, "it has an end"
    assert sc.done("pods", "job", "sc-live", "--source", "live").rows == []
    for words in ([], ["--source", "historical"], [pod, "--source", "historical"]):
        text = sc.done("logs", "job", "sc-live", *words).out
        assert "Historical" in text
        assert "begun" in text
    by_name = sc.done("logs", "job", "sc-live", pod).out
    assert "begun" in by_name
    assert "Terminated 0 at" in by_name
    assert "begun" in sc.done("logs", "job", "sc-live", pod, "-a").out
    assert sc.done("logs", "job", "sc-live", "--source", "live").out == "\n"


def test_of_runs_that_ended_in_the_same_second_the_latest_is_shown(
    sc: Sc, shared_api: Api, tmp_path: Path
) -> None:
    sc.done("apply", written(tmp_path, "sc-quick", "echo $SATURN_JOB_RUN"))
    job = id_of(shared_api, "sc-quick")
    for _ in range(3):
        run = shared_api.finished(shared_api.start(job)["id"])
        assert f"sc-quick-{run['id']}\n" in sc.done("logs", "job", "sc-quick").out


def test_the_pod_of_another_job_is_not_shown(sc: Sc, shared_api: Api, tmp_path: Path) -> None:
    for name in ("sc-mine", "sc-other"):
        sc.done("apply", written(tmp_path, name), "--start")
        finished(shared_api, name)
    other = sc.done("pods", "job", "sc-other").rows[0][0]
    said = sc("logs", "job", "sc-mine", other)
    assert said.code == 1
    assert "Unable to find pod" in said.err
    assert sc("logs", "job", "sc-mine", other, "--source", "historical").code == 1


def test_a_run_that_is_tried_again_shows_the_attempt_before(
    sc: Sc, shared_api: Api, tmp_path: Path, meeting: Path
) -> None:
    second = f"if [ -e {meeting}/first ]; then {started_file(meeting)}; fi"
    command = f"{second}; touch {meeting}/first; echo failing; exit 3"
    path = Path(written(tmp_path, "sc-again", command))
    path.write_text(path.read_text().replace("retries: 0", "retries: 1"))
    sc.done("apply", str(path), "--start")
    wait_for(meeting / "begun")
    rows = sc.done("pods", "job", "sc-again").rows
    assert [row[1:3] for row in rows] == [["running", "live"], ["error", "historical"]]
    text = sc.done("logs", "job", "sc-again", "-a").out
    assert "Container: main (previous)" in text
    assert text.index("failing") < text.index("begun")
    assert "Terminated 3 at" in text
    assert "failing" in sc.done("logs", "job", "sc-again", rows[1][0]).out
    (meeting / "go").touch()
    assert finished(shared_api, "sc-again")["state"] == "failed"
    assert [row[3] for row in sc.done("list", "job", "sc-again", "-s", "error").rows] == ["error"]


def test_start_debug_stop_and_restart(
    sc: Sc, shared_api: Api, tmp_path: Path, meeting: Path
) -> None:
    sc.done("apply", written(tmp_path, "sc-stop", started_file(meeting)))
    assert sc.done("start", "job", "sc-stop", "--debug").out == "Started job sc-stop\n"
    wait_for(meeting / "begun")
    (first,) = runs_of(shared_api, "sc-stop")
    restarted = sc.done("restart", "job", "sc-stop", "--debug", "--owner", "main/admin")
    assert restarted.out == "Restarted job sc-stop for main/admin in debug mode\n"
    assert shared_api.finished(first["id"])["state"] == "cancelled"
    assert len(runs_of(shared_api, "sc-stop")) == 2
    assert sc.done("restart", "job", "sc-stop").code == 0
    assert sc.done("stop", "job", "sc-stop").out == "Stopped job sc-stop\n"
    assert finished(shared_api, "sc-stop")["state"] == "cancelled"
    assert {run["state"] for run in runs_of(shared_api, "sc-stop")} == {"cancelled"}
    assert [row[3] for row in sc.done("list", "job", "sc-stop").rows] == ["stopped"]


def test_schedule_and_disable(sc: Sc, shared_api: Api, tmp_path: Path) -> None:
    sc.done("apply", written(tmp_path, "sc-clock"))
    job = id_of(shared_api, "sc-clock")
    refused = sc("schedule", "sc-clock")
    assert refused.code == 1
    assert "has no schedule" in refused.out
    said = sc.done("schedule", "sc-clock", "30 6 * * 1")
    assert said.out == "Scheduled job sc-clock\n"
    shown = shared_api.request("GET", f"/api/jobs/{job}").json()
    assert shown["scheduled"] is True
    assert shown["cron_schedule_options"]["schedule"] == "30 6 * * 1"
    assert sc.done("schedule", "sc-clock", "--disable").out == "Unscheduled job sc-clock\n"
    assert shared_api.request("GET", f"/api/jobs/{job}").json()["scheduled"] is False
    sc.done("schedule", "sc-clock")
    assert shared_api.request("GET", f"/api/jobs/{job}").json()["scheduled"] is True
    sc.done("schedule", "sc-clock", "@every 4h")
    wrong = sc("schedule", "sc-clock", "* * nonsense")
    assert wrong.code == 1
    assert "five fields" in wrong.out


def test_clone_and_delete(sc: Sc, shared_api: Api, tmp_path: Path) -> None:
    sc.done("apply", written(tmp_path, "sc-original"))
    sc.done("clone", "job", "sc-original", "job", "sc-copy", "--command", "echo copied")
    copy = shared_api.request("GET", "/api/recipes/job/sc-copy").json()["spec"]
    original = shared_api.request("GET", "/api/recipes/job/sc-original").json()["spec"]
    assert copy == {**original, "name": "sc-copy", "command": "echo copied"}
    again = sc("clone", "job", "sc-original", "job", "sc-copy", "--command", "echo copied")
    assert again.code == 1
    assert "already has a job called sc-copy" in again.out
    nothing = sc("clone", "job", "sc-original", "job", "sc-empty")
    assert nothing.code == 1
    assert "give either a command or a notebook" in nothing.out
    assert sc.done("delete", "job", "sc-copy").out == "Deleted job sc-copy\n"
    assert sc("get", "job", "sc-copy").code == 1


def test_options(sc: Sc) -> None:
    sizes = sc.done("options").out
    assert "'cores':" in sizes
    assert "'name': 'machine'" in sizes
    assert sc.done("options", "--glob", "mach*").out == sizes
    for kind in ("auto_shutoff", "disk_space"):
        assert sc.done("options", "--option-type", kind).out == ""
        assert sc.done("options", "--option-type", kind, "--glob", "*").out == ""


@pytest.mark.parametrize("form", ["list", "text"])
def test_a_list_of_commands_runs_each(sc: Sc, shared_api: Api, tmp_path: Path, form: str) -> None:
    name, lines = f"sc-list-{form}", ["echo one $SATURN_JOB_RANK", "echo two $SATURN_JOB_RANK"]
    recipe = yaml.safe_load(Path(written(tmp_path, name)).read_text())
    recipe["spec"]["command"] = lines if form == "list" else json.dumps(lines)
    (tmp_path / "several.yaml").write_text(yaml.safe_dump(recipe))
    sc.done("apply", str(tmp_path / "several.yaml"), "--start")
    assert finished(shared_api, name)["state"] == "succeeded"
    text = sc.done("logs", "job", name).out
    assert "[0] one 0" in text
    assert "[1] two 1" in text
    assert (
        json.loads(shared_api.request("GET", f"/api/recipes/job/{name}").json()["spec"]["command"])
        == lines
    )
