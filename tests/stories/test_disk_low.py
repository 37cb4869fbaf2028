"""A disk that is nearly full starts nothing, says so, and loses nothing."""

from tests.conftest import Api, MakeServer


def test_nothing_starts_while_the_disk_is_low_and_what_waited_starts_after(
    make_server: MakeServer,
) -> None:
    server = make_server(RUNHOOK_SERVER_DISK_RESERVE="900TB").start()
    api = Api(server, server.token())
    job = api.apply(name="waits", command="echo at last", schedules=[{"cron": "@every 10s"}])
    refused = api.request("POST", f"/api/jobs/{job}/start")
    assert refused.status_code == 503
    assert "less than the reserve" in refused.json()["message"]
    past = {"from": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:10Z"}
    form = {"name": "never", "command": "true", "then": "start"}
    for path, more in (
        (f"/api/jobs/{job}/backfill", {"json": past}),
        ("/dash/jobs/new", {"data": form}),
        (f"/dash/resources/job/{job}/backfill", {"data": {k: v[:16] for k, v in past.items()}}),
    ):
        assert api.request("POST", path, **more).status_code == 503, path
    assert not api.request("GET", "/api/jobs?name=never").json()["jobs"]
    found: list[dict[str, object]] = []
    while not found:  # what the clock wants is kept
        path = f"/api/jobs/{job}/runs?state=queued"
        found = api.request("GET", path).json()["runs"]
    waiting = api.run(found[0]["id"])
    assert "less than the reserve" in str(waiting["waiting"])
    server.stop()
    server.environment.pop("RUNHOOK_SERVER_DISK_RESERVE")
    server.start()
    assert api.finished(found[0]["id"])["state"] == "succeeded"
