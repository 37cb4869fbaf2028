"""Logs line by line, for clients that read one page."""

from tests.conftest import Api


def test_a_log_of_many_short_lines_leads_on(shared_api: Api) -> None:
    job = shared_api.apply(name="many-lines", command="seq 25000")
    assert shared_api.finished(shared_api.start(job)["id"])["state"] == "succeeded"
    path = f"/api/jobs/{job}/logs"
    first = shared_api.request("GET", path).json()
    assert len(first["logs"]) == 20_000
    rest = shared_api.request("GET", path, params={"next_key": first["next_key"]}).json()
    assert rest["next_key"] is None
    told = [line["content"] for line in first["logs"] + rest["logs"]]
    assert told == [str(number) for number in range(1, 25_001)]
