"""What the compatible contract has beside our own API, over the same services."""

from runhook.api.call import Route
from runhook.api.saturn import (
    absent,
    attachments,
    group_members,
    jobs,
    keys,
    orgs,
    pods,
    sizes,
    usage,
)

ROUTES: tuple[Route, ...] = (
    *jobs.ROUTES,
    *pods.ROUTES,
    *sizes.ROUTES,
    *orgs.ROUTES,
    *group_members.ROUTES,
    *usage.ROUTES,
    *keys.ROUTES,
    *attachments.ROUTES,
    *absent.ROUTES,
)
