"""The OpenAPI 3.1 document, made from the table of routes and the models."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from runhook import __version__
from runhook.api.call import Route
from runhook.api.saturn.bodies import SCHEMAS as KEYS
from runhook.api.schedules import Backfill
from runhook.api.token_shapes import SCHEMAS as TOKENS
from runhook.gate import is_public
from runhook.model.access import Role
from runhook.model.git_access import NewCredential
from runhook.model.inspection import RepositoryQuestion
from runhook.model.job import JobSpec
from runhook.model.people import (
    GivenRole,
    GroupChange,
    NewGroup,
    NewPassword,
    NewPerson,
    OwnChange,
    PersonChange,
)
from runhook.model.secret import AttachmentChange, NewAttachment, NewSecret, SecretChange

PEOPLE = (NewPerson, PersonChange, OwnChange, NewGroup, GroupChange, GivenRole, NewPassword)

ERROR = {
    "type": "object",
    "required": ["message", "code", "hint", "details"],
    "properties": {
        "message": {"type": "string", "description": "One sentence."},
        "code": {"type": "string"},
        "hint": {"type": "string", "description": "What to do about it."},
        "details": {"type": "object", "description": "Wrong fields, by their path."},
    },
}
TEXT, COUNT = {"type": "string"}, {"type": "integer"}
MAYBE_TEXT, MAYBE_COUNT = {"type": ["string", "null"]}, {"type": ["integer", "null"]}
OBJECTS = {"type": "array", "items": {"type": "object"}}
MOMENT = {"type": ["string", "null"], "format": "date-time"}
RUN = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("id", "job_id", "url", "state", "trigger"), TEXT),
        **dict.fromkeys(("number", "job_version"), COUNT),
        **dict.fromkeys(
            ("created_at", "started_at", "finished_at", "scheduled_for", "pruned_at"), MOMENT
        ),
        "held_until": {**MOMENT, "description": "Of one run: how long its kernel is held."},
        **dict.fromkeys(("reason", "step", "lock"), MAYBE_TEXT),
        **dict.fromkeys(("exit_code", "kept_bytes"), MAYBE_COUNT),
        "pinned": {"type": "boolean"},
        "parameters": {"type": "object"},
        "commits": OBJECTS,
        "attempts": OBJECTS,
        "waterfall": OBJECTS,
        "progress": {"type": ["object", "null"]},
    },
}
JOB = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("id", "name", "command", "status", "url"), TEXT),
        "version": COUNT,
        "owner": {"type": "object"},
        "warnings": {"type": "array", "items": TEXT},
        "run": {"$ref": "#/components/schemas/Run"},
    },
}
RECIPE = {
    "type": "object",
    "required": ["type", "spec"],
    "properties": {
        "schema_version": TEXT,
        "type": {"const": "job"},
        "spec": {"$ref": "#/components/schemas/JobSpec"},
        "state": {"type": "object", "readOnly": True},
    },
}
AUDIT = {
    "type": "object",
    "properties": {
        "id": COUNT,
        "at": {"type": "string", "format": "date-time"},
        "user_id": MAYBE_TEXT,
        **dict.fromkeys(
            "user_name via address action kind object_id object_name owner".split(), TEXT
        ),
        "before": {"description": "What there was of what the change is about."},
        "after": {"description": "What there is of it now; of a start, its facts."},
    },
}


SECRET = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("id", "name"), TEXT),
        "owner": {"type": "object"},
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "access": {"enum": ["owner", "org"]},
        "editable": {"type": "boolean"},
        "warnings": {"type": "array", "items": TEXT},
    },
}
SECRET_ATTACHMENT = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("id", "location", "description"), TEXT),
        "created_at": MOMENT,
        "attachment_type": {"enum": ["environment_variable", "file"]},
        "secret": {"oneOf": [{"$ref": "#/components/schemas/Secret"}, {"type": "null"}]},
    },
}
SECRET_MODELS: dict[str, type[BaseModel]] = {
    "SecretCreate": NewSecret,
    "SecretUpdate": SecretChange,
    "SecretAttachmentCreate": NewAttachment,
    "SecretAttachmentUpdate": AttachmentChange,
}
LISTS = {
    "Job": "jobs",
    "Run": "runs",
    "Recipe": "recipes",
    "Audit": "entries",
    "Secret": "secrets",
    "SecretAttachment": "secret_attachments",
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Every route of the API, described."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(_path(route), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Runhook", "version": __version__, "description": DESCRIPTION},
        "paths": paths,
        "components": {"schemas": _schemas(routes), "securitySchemes": {"token": SECURITY}},
        "security": [{"token": []}],
    }


DESCRIPTION = (
    "Send `Authorization: token …` with your user token. "
    "Errors are `{message, code, hint, details}` with a fitting status."
)
SECURITY = {"type": "apiKey", "in": "header", "name": "Authorization"}


def _path(route: Route) -> str:
    return re.sub(r"\{(\w+)(:\w+)?\}", r"{\1}", route.path)


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.handler.__module__.rpartition('.')[2]}_{route.handler.__name__}",
        "tags": [route.handler.__module__.rpartition(".")[2]],
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {
            **{str(status): _answer(route) for status in (route.status, *route.also)},
            "default": {
                "description": "What is wrong, in a sentence.",
                "content": {"application/json": {"schema": _reference("Error")}},
            },
        },
    }
    if route.body:
        schema = _reference(route.body)
        operation["requestBody"] = {
            "required": route.body_required,
            "content": {"application/json": {"schema": schema}},
        }
    if is_public(route.path):
        operation["security"] = []
    return operation


def _answer(route: Route) -> dict[str, Any]:
    if route.status in (204, 302):
        return {"description": "Done; there is no body."}
    schema = _reference(route.answer) if route.media_type.endswith("json") else TEXT
    return {"description": route.summary, "content": {route.media_type: {"schema": schema}}}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": TEXT}
        for name in re.findall(r"\{(\w+)", route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": query.name,
            "in": "query",
            "description": query.help,
            "schema": {"type": query.type},
        }
        for query in route.queries
    ]


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas(routes: Sequence[Route]) -> dict[str, Any]:
    spec = JobSpec.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = spec.pop("$defs", {})
    lists = {f"{name}List": _list_of(name, plural) for name, plural in LISTS.items()}
    named = {"Error": ERROR, "Run": RUN, "Job": JOB, "Recipe": RECIPE, "JobSpec": spec}
    named["Audit"] = AUDIT
    named |= {"GitCredential": NewCredential.model_json_schema(), "HostKey": HOST_KEY}
    named["RepositoryQuestion"] = RepositoryQuestion.model_json_schema()
    named["Backfill"] = Backfill.model_json_schema()
    named |= {"Secret": SECRET, "SecretAttachment": SECRET_ATTACHMENT}
    for name, model in SECRET_MODELS.items():
        named[name] = model.model_json_schema(ref_template="#/components/schemas/{model}")
        parts |= named[name].pop("$defs", {})
    named |= TOKENS | KEYS
    named |= {each.__name__: _schema_of(each) for each in PEOPLE}
    used = {name for route in routes for name in (route.body, route.answer) if name}
    plain = {name: {"type": "object"} for name in sorted(used - named.keys() - lists.keys())}
    return {**plain, **named, **lists, **parts, "Start": START}


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """A model without references, which would have to be named here, too."""
    schema = model.model_json_schema()
    if "$defs" in schema:
        schema["properties"] |= {"role": {"enum": [*Role]}}
        del schema["$defs"]
    return schema


def _list_of(name: str, plural: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            plural: {"type": "array", "items": _reference(name)},
            "prev_key": MAYBE_TEXT,
            "next_key": MAYBE_TEXT,
        },
    }


HOST_KEY = {
    "type": "object",
    "required": ["line"],
    "properties": {"line": {"type": "string", "description": "A line of a known_hosts file."}},
}
START = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "parameters": {"type": "object", "description": "Values of declared parameters."},
        "scheduled_for": {
            "type": "string",
            "format": "date-time",
            "description": "Run as of this instant: the run sees it as its logical time.",
        },
        "debug_mode": {"type": "boolean"},
    },
}
