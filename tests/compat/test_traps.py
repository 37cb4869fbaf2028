"""What the published schema says and the published client breaks on: the answers themselves."""

import json

import pytest
import requests

from runhook.model.pod import parsed, pod_name, run_name
from tests.conftest import Api

RUN = "5f" * 16


@pytest.mark.parametrize("job", ["report", "Weekly_Report.2", "x" * 128, "...", "a--b-"])
def test_names_of_pods_are_names_in_a_cluster_and_lead_back(job: str) -> None:
    name = pod_name(job, RUN, 12)
    assert len(name) <= 63
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not name.startswith("-")
    assert parsed(name) == (RUN, 12)
    assert parsed(run_name(job, RUN)) == (RUN, None)
    assert parsed(f"by-its-old-name-{RUN}-12") == (RUN, 12)


@pytest.mark.parametrize(
    "name", ["", "x", RUN[1:], f"{RUN}-0", f"{RUN}-x", f"{RUN}-1\n", f"_{RUN}"]
)
def test_what_is_no_name_leads_nowhere(name: str) -> None:
    assert parsed(name) is None


def run_of(api: Api, **spec: object) -> dict[str, object]:
    run = api.start(api.apply(**spec))
    return api.finished(run["id"])


def test_a_status_says_a_version_that_clients_take_for_a_new_one(shared_api: Api) -> None:
    answer = requests.get(f"{shared_api.server.url}/api/status", timeout=20).json()
    assert answer["version"] >= "2026.02.01"


def test_a_run_that_waits_has_a_pod_with_a_start(shared_api: Api) -> None:
    job = shared_api.apply(name="trap-waiting", command="sleep 600", max_running=1)
    runs = [shared_api.start(job), shared_api.start(job)]
    query = {"workload_type": "job", "workload_id": job}
    found = shared_api.request("GET", "/api/active/pods", params=query).json()["pod_summaries"]
    assert len(found) == 2
    assert all(pod["started_at"] for pod in found)
    waiting = next(pod for pod in found if pod["controller_uid"] == runs[1]["id"])
    assert waiting["status"] == "pending"
    assert waiting["container_summaries"][0]["status"] == "waiting"
    assert waiting["labels"]["saturncloud.io/resource-id"] == job
    path = f"/api/active/pods/{waiting['name']}"
    assert shared_api.request("GET", path).json()["name"] == waiting["name"]
    assert shared_api.request("GET", f"{path}/logs").json() == {"logs": ""}
    ended = shared_api.request("POST", f"/api/jobs/{job}/stop/{waiting['labels']['job-name']}")
    assert ended.status_code == 200
    assert shared_api.run(runs[1]["id"])["state"] == "cancelled"
    assert shared_api.run(runs[0]["id"])["state"] != "cancelled"
    shared_api.request("POST", f"/api/jobs/{job}/stop")
    shared_api.finished(runs[0]["id"])
    other = shared_api.apply(name="trap-other", command="true")
    foreign = shared_api.request("POST", f"/api/jobs/{other}/stop/{waiting['labels']['job-name']}")
    assert foreign.status_code == 404


def test_an_ended_run_is_found_by_name_and_its_history_has_ends(shared_api: Api) -> None:
    run = run_of(shared_api, name="trap-ended", command="echo one; echo two; exit 3")
    job = run["job_id"]
    (kept,) = shared_api.request("GET", f"/api/jobs/{job}/history").json()["pods"]
    assert kept["end_time"]
    assert kept["status"] == "error"
    pod = shared_api.request("GET", f"/api/active/pods/{kept['pod_name']}").json()
    main = pod["container_summaries"][0]
    assert (main["name"], main["status"], main["exit_code"]) == ("main", "error", 3)
    assert main["finished_at"]
    assert pod["labels"]["job-name"] == kept["label_job_name"]
    by_run = shared_api.request("GET", f"/api/active/pods/{run['id']}").json()
    assert by_run["name"] == pod["name"]
    missing = shared_api.request("GET", f"/api/active/pods/{pod['name'][:-1]}7")
    assert missing.status_code == 404
    wrong = shared_api.request(
        "GET", f"/api/active/pods/{pod['name']}/logs", params={"container_name": "other"}
    )
    assert wrong.status_code == 404


def test_a_log_is_read_whole_or_by_pages_of_lines(shared_api: Api) -> None:
    run = run_of(shared_api, name="trap-lines", command="seq 1 250; printf 'no end'")
    job = run["job_id"]
    whole = shared_api.request("GET", f"/api/jobs/{job}/logs").json()
    texts = [line["content"] for line in whole["logs"]]
    assert texts[-251:] == [*map(str, range(1, 251)), "no end"]
    assert whole["next_key"] is None
    assert {line["container_name"] for line in whole["logs"]} == {"main"}
    assert all(line["timestamp"].endswith("+00:00") for line in whole["logs"])
    pages, query = [], {"page_size": "100", "pod_name": whole["logs"][0]["pod_name"]}
    while True:
        page = shared_api.request("GET", f"/api/jobs/{job}/logs", params=query).json()
        pages.append([line["content"] for line in page["logs"]])
        if not page["next_key"]:
            break
        query["next_key"] = page["next_key"]
    assert [len(each) for each in pages] == [100, 100, len(texts) - 200]
    assert [line for each in pages for line in each] == texts
    tail = shared_api.request(
        "GET", f"/api/active/pods/{query['pod_name']}/logs", params={"page_size": 2}
    ).json()
    assert tail["logs"] == "250\nno end"
    for key in ("x", query.get("next_key", "") + "x", "W10="):
        path = f"/api/jobs/{job}/logs"
        assert shared_api.request("GET", path, params={"next_key": key}).status_code == 422


def test_a_run_knows_where_it_is_and_who_it_is(shared_api: Api) -> None:
    command = (
        'python3 -c "import os, json; print(json.dumps({name: text for name, text in '
        "os.environ.items() if name[:7] == 'SATURN_' and name != 'SATURN_TOKEN'}))\"; "
        'test "$SATURN_TOKEN" = "$RUNHOOK_TOKEN" && echo same'
    )
    run = run_of(shared_api, name="trap-variables", command=command)
    said = shared_api.log(run["id"]).splitlines()
    assert said[-1] == "same"
    assert json.loads(said[-2]) == {
        "SATURN_BASE_URL": shared_api.server.url,
        "SATURN_ORG": "main",
        "SATURN_USERNAME": "admin",
        "SATURN_JOB_RUN": f"trap-variables-{run['id']}",
        "SATURN_JOB_LEADER": "localhost",
        "SATURN_JOB_SCALE": "1",
        "SATURN_JOB_RANK": "0",
    }


def test_the_jobs_own_variables_win_over_those(shared_api: Api) -> None:
    own = {"SATURN_TOKEN": "of another server", "SATURN_BASE_URL": "https://else.example.org"}
    command = 'echo "$SATURN_TOKEN $SATURN_BASE_URL"'
    run = run_of(shared_api, name="trap-own", command=command, environment_variables=own)
    assert "of another server https://else.example.org\n" in shared_api.log(run["id"])


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"debug_mode": true}'])
@pytest.mark.parametrize("verb", ["start", "restart"])
def test_a_start_takes_whatever_clients_send(shared_api: Api, verb: str, body: bytes) -> None:
    job = shared_api.apply(name=f"trap-{verb}", command="true", parameters={"x": 1})
    headers = {"Content-Type": "application/json"}
    answer = shared_api.request("POST", f"/api/jobs/{job}/{verb}", data=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["run"]["parameters"] == {"x": 1}
    shared_api.finished(answer.json()["run"]["id"])
    wrong = shared_api.request("POST", f"/api/jobs/{job}/{verb}", json={"debug_mode": "yes"})
    assert wrong.status_code == 422
    assert "debug_mode" in wrong.json()["details"]


def test_other_kinds_of_work_have_no_pods_and_no_recipes(shared_api: Api) -> None:
    for kind in ("workspace", "deployment", "dask"):
        query = {"workload_type": kind, "workload_id": "0" * 32}
        found = shared_api.request("GET", "/api/active/pods", params=query).json()
        assert found["pod_summaries"] == []
    wrong = shared_api.request("GET", "/api/active/pods", params={"workload_type": "x"})
    assert wrong.status_code == 422
    assert (
        shared_api.request("GET", "/api/recipes", params={"type": "image"}).json()["recipes"] == []
    )
