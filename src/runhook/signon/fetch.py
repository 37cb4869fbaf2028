"""Asking a provider: JSON over HTTP with limits of time and size, no redirect followed."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx2

from runhook.errors import Unavailable

SECONDS = 10.0
LARGEST = 1024 * 1024


async def ask(
    method: str, url: str, *, answers: tuple[int, ...] = (200,), **more: Any
) -> tuple[int, Mapping[str, Any]]:
    """The status, one of `answers`, and the JSON object. Unavailable for everything else."""
    try:
        async with asyncio.timeout(SECONDS), httpx2.AsyncClient(timeout=SECONDS) as client:
            async with client.stream(method, url, **more) as answer:
                status, body = answer.status_code, b""
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > LARGEST:
                        raise _unusable(url, f"its answer is longer than {LARGEST} bytes")
    except TimeoutError:
        raise _unusable(url, f"no answer within {SECONDS:.0f} seconds") from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise _unusable(url, str(error) or type(error).__name__) from None
    if status not in answers:
        raise _unusable(url, f"it answers with status {status}")
    return status, _object(url, body)


def _object(url: str, body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise _unusable(url, "its answer is not JSON") from None
    if not isinstance(value, dict):
        raise _unusable(url, "its answer is no JSON object")
    return value


def _unusable(url: str, why: str) -> Unavailable:
    return Unavailable(
        f"the sign-in provider cannot be used: {url}: {why}",
        hint="Try again soon. A user token or a one-time link lets you in meanwhile.",
    )
