"""Runs in the published client's own environment, which has nothing of ours: calls of
`saturn-api`, one a line of JSON on standard input, and what came of each on standard output.

A call is `{"api": "JobsApi", "call": "create", "arguments": {…}, "token": …}`; without a token it
is that of the environment. An argument `{"$model": "JobCreate", "values": {…}}` becomes that model.
An answer is `{"value": …}`, as the client's strict models read it, or `{"error": class, "status":
…, "body": …}`. For `{"api": "*"}` it is the calls of every class.
"""

import asyncio
import inspect
import json
import re
import sys
from typing import Any

import saturn_api
from pydantic import BaseModel, ValidationError
from saturn_api import models


def plain(value: Any) -> Any:
    """An answer as JSON: every field that the models read, also those that they never send."""
    return value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value


def argument(value: Any) -> Any:
    if isinstance(value, dict) and "$model" in value:
        return getattr(models, value["$model"])(**value["values"])
    return value


async def answer(client: Any, call: dict[str, Any]) -> dict[str, Any]:
    api = getattr(saturn_api, call["api"])(client)
    given = {name: argument(value) for name, value in call["arguments"].items()}
    try:
        return {"value": plain(await getattr(api, call["call"])(**given))}
    except saturn_api.ApiException as error:
        name = type(error).__name__
        return {"error": name, "status": error.status, "body": error.body}
    except ValidationError as error:
        return {"error": "ValidationError", "status": None, "body": str(error)}


def operations() -> dict[str, dict[str, str]]:
    """The calls of every class, with what each sends, such as `GET /api/jobs`."""
    classes = [each for each in saturn_api.__all__ if each.endswith("Api")]
    return {name: _operations(getattr(saturn_api, name)) for name in classes}


def _operations(api: Any) -> dict[str, str]:
    found = {}
    for call, what in vars(api).items():
        generated = re.fullmatch(r"_(\w+)_serialize", call)
        if generated:
            text = inspect.getsource(what)
            method = re.search(r"method=\"(\w+)\"", text)
            path = re.search(r"resource_path=\"([^\"]+)\"", text)
            assert method and path, call
            found[generated[1]] = f"{method[1]} {path[1]}"
    return found


async def main() -> None:
    clients: dict[str | None, Any] = {None: saturn_api.ApiClient()}
    while line := await asyncio.to_thread(sys.stdin.readline):
        call = json.loads(line)
        token = call.get("token")
        if token not in clients:
            clients[token] = saturn_api.ApiClient(saturn_api.Configuration(access_token=token))
        said = operations() if call["api"] == "*" else await answer(clients[token], call)
        print(json.dumps(said), flush=True)
    for client in clients.values():
        await client.close()


if __name__ == "__main__":
    asyncio.run(main())
