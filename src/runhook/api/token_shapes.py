"""What the routes of tokens take and give, and the schemas of that for the document."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from runhook.api.shapes import instant
from runhook.model.scope import LONGEST_SCOPE
from runhook.model.token import Token
from runhook.services.tokens import LONGEST_DESCRIPTION, Issued

LONGEST_LIFE = 10 * 366 * 86_400
Seconds = Field(default=None, ge=1, le=LONGEST_LIFE, strict=True)


class ApiTokenCreate(BaseModel):
    """A token to be made for your own account."""

    model_config = ConfigDict(extra="forbid")

    description: str = Field(default="", max_length=LONGEST_DESCRIPTION)
    scope: str | None = Field(
        default=None,
        max_length=LONGEST_SCOPE,
        description="Words such as `runs:read jobs:start:<job id>`; null: all that you may do.",
    )
    expires_in: int | None = Seconds
    refresh_expires_in: int | None = Seconds
    identity: dict[str, Any] | None = Field(default=None, description="Yourself, if given.")


class ApiTokenUpdate(BaseModel):
    """Only the description of a token can be changed."""

    model_config = ConfigDict(extra="forbid")

    description: str = Field(max_length=LONGEST_DESCRIPTION)


class RefreshGrant(BaseModel):
    """A refresh token, to be used up."""

    grant_type: Literal["refresh_token"]
    refresh_token: str


class RunTokenScope(BaseModel):
    """What the runs of a job may do with their own token; null: look, start and cancel."""

    model_config = ConfigDict(extra="forbid")

    scope: str | None = Field(max_length=LONGEST_SCOPE)


def token_json(token: Token) -> dict[str, Any]:
    """The contract's `ApiTokenInfo`, and when and from where it was last used."""
    return {
        "id": token.id,
        "description": token.description,
        "created_at": instant(token.created_at),
        "expires_at": instant(token.expires_at),
        "refresh_expires_at": instant(token.refresh_expires_at),
        "scope": token.scope,
        "user_id": token.user_id,
        "group_id": None,
        "last_used_at": instant(token.last_used_at),
        "last_address": token.last_address,
    }


def grant_json(made: Issued) -> dict[str, Any]:
    """The contract's `AuthorizationTokenResponse`."""
    token = made.token
    return {
        "access_token": made.access,
        "refresh_token": made.refresh,
        "token_type": "bearer",
        "expires_at": instant(token.expires_at),
        "refresh_expires_at": instant(token.refresh_expires_at),
        "expires_in": token.lasts_seconds,
        "refresh_expires_in": token.refresh_lasts_seconds,
    }


TEXT, MOMENT = {"type": "string"}, {"type": ["string", "null"], "format": "date-time"}
MAYBE_TEXT, MAYBE_SECONDS = {"type": ["string", "null"]}, {"type": ["integer", "null"]}
INFO = {
    **dict.fromkeys(("id", "description"), TEXT),
    "created_at": {"type": "string", "format": "date-time"},
    **dict.fromkeys(("expires_at", "refresh_expires_at", "last_used_at"), MOMENT),
    **dict.fromkeys(("scope", "user_id", "group_id"), MAYBE_TEXT),
    "last_address": TEXT,
}
PAIR = {"access_token": TEXT, "refresh_token": TEXT}
SCHEMAS: dict[str, Any] = {
    **{each.__name__: each.model_json_schema() for each in (ApiTokenCreate, ApiTokenUpdate)},
    **{each.__name__: each.model_json_schema() for each in (RefreshGrant, RunTokenScope)},
    "ApiTokenInfo": {"type": "object", "properties": INFO},
    "ApiToken": {"type": "object", "properties": {**INFO, **PAIR}},
    "ApiTokenList": {
        "type": "object",
        "properties": {
            "tokens": {"type": "array", "items": {"$ref": "#/components/schemas/ApiTokenInfo"}},
            "prev_key": MAYBE_TEXT,
            "next_key": MAYBE_TEXT,
        },
    },
    "AuthorizationTokenResponse": {
        "type": "object",
        "properties": {
            **PAIR,
            "token_type": TEXT,
            **dict.fromkeys(("expires_at", "refresh_expires_at"), MOMENT),
            **dict.fromkeys(("expires_in", "refresh_expires_in"), MAYBE_SECONDS),
        },
    },
    "RunTokens": {"type": "object", "properties": {"id": TEXT, "scope": MAYBE_TEXT}},
}
"""The schemas that the routes of tokens name."""
