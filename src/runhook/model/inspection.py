"""A question about a repository, before there is a job that uses it."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from runhook.model.git_access import OWNER
from runhook.model.source import Repository, check_url, workspace_path


class RepositoryQuestion(BaseModel):
    """What somebody wants to know of a repository. Without a `reference_type` the reference may be
    a branch, a tag or a commit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(max_length=2048)
    reference: str | None = Field(
        default=None, max_length=255, description="Default: the default branch."
    )
    reference_type: Literal["branch", "tag", "commit"] | None = None
    path: str | None = Field(
        default=None, max_length=512, description="A file of the repository to be read."
    )
    files: bool = Field(default=True, description="List notebooks, scripts, lists of packages.")
    owner: str | None = Field(
        default=None,
        pattern=OWNER,
        max_length=128,
        description="Whose git credentials are used; default: your own.",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        check_url(url)
        return url

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str | None) -> str | None:
        return None if path is None else workspace_path(path)

    @model_validator(mode="after")
    def _check_reference(self) -> Self:
        kind = self.reference_type or "branch"
        Repository(url=self.url, reference=self.reference, reference_type=kind)
        return self
