"""Files that a job's patterns keep, by real runs."""

from tests.conftest import Api


def test_matched_files_are_kept_on_every_ending_and_links_are_not(shared_api: Api) -> None:
    key = shared_api.server.data / "keys" / "server.key"
    job = shared_api.apply(
        name="n4-patterns",
        artifacts=["*.csv", "out/**/*.png"],
        working_directory="place",
        start_script="mkdir -p place",
        command="mkdir -p out/deep; echo 1 > a.csv; echo 2 > out/deep/b.png; echo 3 > c.txt; "
        f"ln -s {key} stolen.csv; exit 3",
    )
    run = shared_api.finished(shared_api.start(job)["id"])
    assert (run["state"], run["exit_code"]) == ("failed", 3), run
    listed = shared_api.request("GET", f"/api/runs/{run['id']}/artifacts").json()["artifacts"]
    assert [each["path"] for each in listed] == ["a.csv", "out/deep/b.png"]
    path = f"/api/runs/{run['id']}/artifacts/out/deep/b.png"
    assert shared_api.request("GET", path).text == "2\n"


def test_a_pattern_that_leads_elsewhere_is_refused_beside_its_field(shared_api: Api) -> None:
    spec = {"name": "n4-wrong-pattern", "command": "true", "artifacts": ["ok", "../*"]}
    answer = shared_api.request("POST", "/api/jobs", json=spec)
    assert answer.status_code == 422
    assert "leaves the workspace" in answer.json()["details"]["artifacts.1"]
