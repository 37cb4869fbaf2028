"""What else starts a job, besides people and the clock: webhooks, and another job's success."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

POINTER = re.compile(r"^(/([^~/]|~[01])*)+$")


def _pointer(text: str) -> str:
    if not POINTER.match(text):
        raise ValueError(
            "write a JSON pointer (RFC 6901) into the payload, such as /head_commit/id"
        )
    return text


Pointer = Annotated[str, StringConstraints(max_length=512), AfterValidator(_pointer)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
Event = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class Webhook(BaseModel):
    """A signed call from elsewhere. Its address and its secret belong to its name: another name is
    another secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    webhook: Name = Field(description="A name of your choice.")
    source: Literal["github", "gitlab", "gitea", "generic"] = Field(
        default="generic", description="Who calls: how the signature is checked."
    )
    events: list[Event] | None = Field(
        default=None,
        min_length=1,
        max_length=32,
        description="Only these; default: push. A push of a tag is tag_push; generic has none.",
    )
    branch: str | None = Field(
        default=None, max_length=255, description="Only pushes to this branch; * is a wildcard."
    )
    parameters: dict[str, Pointer] | None = Field(
        default=None, description="Parameter → where its value stands in the payload."
    )

    @model_validator(mode="after")
    def _check_filters(self) -> Self:
        if self.events is not None and self.source == "generic":
            raise ValueError("events: a generic webhook has none; leave them out")
        if self.branch and self.branch.startswith("refs/"):
            raise ValueError("branch: write its name, such as main, without refs/heads/")
        return self

    @property
    def wanted_events(self) -> list[str]:
        """The events that start a run; of a generic hook, which has no events, none is asked."""
        return self.events or ([] if self.source == "generic" else ["push"])


class After(BaseModel):
    """The success of another job of the same owner."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        description="The other job's name."
    )


def _kind(value: Any) -> str:
    after = "after" in value if isinstance(value, dict) else isinstance(value, After)
    return "after" if after else "webhook"


StartedBy = Annotated[
    Annotated[Webhook, Tag("webhook")] | Annotated[After, Tag("after")], Discriminator(_kind)
]
"""An entry of `triggers`, told apart by its first field."""
