"""What the compatible contract has beside our own API, over the same services."""

from runhook.api.call import Route
from runhook.api.saturn import (
    absent,
    attachments,
    definitions,
    group_members,
    info,
    jobs,
    keys,
    orgs,
    pods,
    sizes,
    usage,
)

ROUTES: tuple[Route, ...] = (
    *jobs.ROUTES,
    *definitions.ROUTES,
    *pods.ROUTES,
    *sizes.ROUTES,
    *info.ROUTES,
    *orgs.ROUTES,
    *group_members.ROUTES,
    *usage.ROUTES,
    *keys.ROUTES,
    *attachments.ROUTES,
    *absent.ROUTES,
)
