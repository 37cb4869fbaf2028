"""Repositories of a job object, which names them by their ids, as those of a recipe's `spec`."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from runhook.api.call import Call
from runhook.errors import Invalid
from runhook.services import repositories
from runhook.store.database import Transaction

ATTACHED = "external_repo_attachments"
NAMES = {
    "path": "path",
    "on_restart": "on_restart",
    "ref": "reference",
    "ref_type": "reference_type",
}


class AttachmentFields(BaseModel):
    """Where and from what a repository is checked out."""

    model_config = ConfigDict(extra="forbid")

    path: str | None = Field(default=None, max_length=512)
    on_restart: Literal["preserve changes", "reclone"] | None = None
    ref: str | None = Field(default=None, max_length=255)
    ref_type: Literal["branch", "tag", "commit"] | None = None


class ExternalRepoAttachmentNested(AttachmentFields):
    """An item of `external_repo_attachments`."""

    external_repo_id: str


def recipe_fields(given: AttachmentFields) -> dict[str, Any]:
    """The fields that were given, by their names in a recipe."""
    named = NAMES.items()
    return {ours: getattr(given, name) for name, ours in named if name in given.model_fields_set}


def with_repositories(tx: Transaction, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """The body with `git_repositories` in place of `external_repo_attachments`."""
    given = body.get(ATTACHED)
    if not given:
        return body
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        sentence = "write a list of {'external_repo_id': …}"
        raise Invalid("cannot use this job definition", details={ATTACHED: sentence})
    wanted = [call.fitted(ExternalRepoAttachmentNested, each) for each in given]
    urls = repositories.attached_urls(tx, call.caller, [each.external_repo_id for each in wanted])
    found = [
        {name: value for name, value in recipe_fields(each).items() if value is not None}
        | {"url": urls[each.external_repo_id]}
        for each in wanted
    ]
    kept = {name: value for name, value in body.items() if name != ATTACHED}
    return {**kept, "git_repositories": found}
