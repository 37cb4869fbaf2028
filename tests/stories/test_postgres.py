"""The same server on PostgreSQL."""

import signal
import threading

from tests.conftest import Api, MakeServer
from tests.servers.postgres import running_postgres


def test_a_server_on_postgresql_runs_survives_and_keeps_keys_apart(make_server: MakeServer) -> None:
    with running_postgres() as postgres:
        server = make_server(RUNHOOK_DATABASE_URL=postgres.new_database()).start()
        api = Api(server, server.token())
        job = api.apply(name="on-postgres", command="echo $RUNHOOK_RUN_ID; sleep 0.2", retries=1)
        same: list[object] = []
        key = {"Idempotency-Key": "once"}
        callers = [
            threading.Thread(target=lambda: same.append(api.start(job, headers=key)["id"]))
            for _ in range(8)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert len(set(same)) == 1
        others = [api.start(job)["id"] for _ in range(5)]
        port = server.port
        server.kill(signal.SIGKILL)
        server.start(port)
        for run_id in (same[0], *others):
            assert api.finished(run_id)["state"] == "succeeded"
            assert api.log(run_id).endswith(f"{run_id}\n")
        assert not (server.data / "runhook.db").exists()
        server.stop()
