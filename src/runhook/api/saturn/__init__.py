"""What the compatible contract has beside our own API, over the same services."""

from runhook.api.call import Route
from runhook.api.saturn import jobs, pods, sizes

ROUTES: tuple[Route, ...] = (*jobs.ROUTES, *pods.ROUTES, *sizes.ROUTES)
