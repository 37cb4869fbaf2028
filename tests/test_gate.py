"""The gate, asked for what is no request; requests are asked of real servers elsewhere."""

from typing import Any, cast

import pytest

from runhook.gate import Gate

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("kind", "passes", "answers"),
    [
        ("lifespan", True, []),
        ("websocket", False, [{"type": "websocket.close", "code": 1008}]),
        ("webtransport", False, []),
    ],
)
async def test_only_the_servers_own_start_passes_unasked(
    kind: str, passes: bool, answers: list[Any]
) -> None:
    passed, sent = [], []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["type"])

    async def receive() -> Any:
        return {"type": f"{kind}.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    gate = Gate(application, cast("Any", None), cast("Any", None))
    await gate({"type": kind, "path": "/api/jobs"}, receive, send)
    assert (passed, sent) == ([kind] if passes else [], answers)
