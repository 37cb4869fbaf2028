"""What the OpenAPI document promises, held against the real server: schemathesis makes requests
that follow the document and requests that break it, for every operation there is."""

import json
import re
import time
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS

from runhook.api.call import Route
from runhook.api.document import document
from runhook.api.routes import ROUTES
from tests.security.attacked import SLOWEST, Attacked, attacked, bounded, unharmed

__all__ = ["attacked"]
EXAMPLES = 24
SCHEMA = schemathesis.openapi.from_dict(document(ROUTES))
PROMISES = CHECKS.get_by_names(
    ["content_type_conformance", "response_schema_conformance", "status_code_conformance"]
)


def test_the_document_is_openapi_3_1() -> None:
    SCHEMA.validate()
    assert SCHEMA.specification.version.startswith("3.1")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_operation_keeps_its_word(attacked: Attacked, route: Route) -> None:
    operation = SCHEMA[re.sub(r":\w+\}", "}", route.path)][route.method]
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))
    attacked.seed()

    @bounded(EXAMPLES)
    @given(cases, st.booleans(), st.integers(0, 40))
    def ask(case: Case, real: bool, which: int) -> None:
        if real:
            for name in case.path_parameters:
                case.path_parameters[name] = attacked.id_for(name, which)
        answer = call(attacked, case)
        require_promised(case, answer)

    with unharmed(attacked):
        ask()
        attacked.renew()


def credential(attacked: Attacked) -> dict[str, str]:
    return {"Authorization": f"token {attacked.api.token}"}


def call(attacked: Attacked, case: Case) -> requests.Response:
    """The answer, in time. Of a stream only its head: it ends when its run does."""
    asked = case.as_transport_kwargs(base_url=attacked.url)
    waited = str((asked.get("params") or {}).get("wait"))
    if waited.isdigit():  # it answers when it was told to
        asked["params"] = {**asked["params"], "wait": str(min(int(waited), 1))}
    asked["headers"] = {**asked.get("headers", {}), **credential(attacked)}
    began = time.monotonic()
    with requests.request(**asked, allow_redirects=False, stream=True, timeout=SLOWEST) as answer:
        if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            assert answer.content is not None
            keep(attacked, case, answer)
    assert time.monotonic() - began < SLOWEST
    return answer


def keep(attacked: Attacked, case: Case, answer: requests.Response) -> None:
    """What an answer tells for the requests that follow; a token that ended is replaced."""
    body: Any = None
    if answer.headers.get("Content-Type") == "application/json":
        body = json.loads(answer.content, parse_constant=pytest.fail)
    if isinstance(body, dict) and answer.ok:
        attacked.learn(body)
        if (case.method, case.path) == ("POST", "/api/user/token"):
            attacked.api.token = body["token"]


def require_promised(case: Case, answer: requests.Response) -> None:
    """What the document says, and of errors their one shape. 503 is said on purpose only."""
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    if answer.headers.get("Content-Type", "").startswith("text/event-stream"):
        return
    if answer.status_code >= 400:
        error = answer.json()
        assert error.keys() == {"message", "code", "hint", "details"}, error
        assert error["message"] and isinstance(error["details"], dict)
    case.validate_response(answer, checks=PROMISES)
