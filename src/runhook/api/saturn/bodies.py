"""What calls about keys and repositories say, and the schemas of that for the document."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from runhook.api.repository_fields import AttachmentFields
from runhook.model.git_access import NAME

LONGEST_KEY = 8_192


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class SSHPrivateKeyCreate(_Given):
    """A key to be kept; without a value one is made. `location` is taken, but a key is never a file
    in a run."""

    name: str = Field(pattern=NAME, max_length=128)
    identity: str | None = None
    value: str | None = Field(default=None, max_length=LONGEST_KEY, repr=False)
    location: str | None = Field(default=None, max_length=512)
    is_default: bool = False


class SSHPrivateKeyUpdate(_Given):
    """What is to be different about a key."""

    name: str | None = Field(default=None, pattern=NAME, max_length=128)
    value: str | None = Field(default=None, max_length=LONGEST_KEY, repr=False)
    location: str | None = Field(default=None, max_length=512)
    is_default: bool | None = None


class ExternalRepoCreate(_Given):
    """A repository to be known by its address."""

    remote_url: str = Field(max_length=2048)
    owner: str | None = None
    ssh_privatekey_id: str | None = None


class ExternalRepoUpdate(_Given):
    """Another key for a repository; the address stays."""

    remote_url: str | None = Field(default=None, max_length=2048)
    ssh_privatekey_id: str | None = None


class ExternalRepoAttachmentCreate(AttachmentFields):
    """A repository for a job."""

    external_repo_id: str
    resource: dict[str, str | None] = Field(description="{'job_id': …}")


class ExternalRepoAttachmentUpdate(AttachmentFields):
    """What is to be different about an attachment."""


SCHEMAS: dict[str, Any] = {
    each.__name__: each.model_json_schema()
    for each in (
        SSHPrivateKeyCreate,
        SSHPrivateKeyUpdate,
        ExternalRepoCreate,
        ExternalRepoUpdate,
        ExternalRepoAttachmentCreate,
        ExternalRepoAttachmentUpdate,
    )
}
