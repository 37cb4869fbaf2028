"""Which calls of the strict client are answered: its appendix in the documentation is true."""

import re
from collections import defaultdict

from runhook.api.routes import ROUTES
from tests.conftest import ROOT
from tests.saturn_api.conftest import Client

APPENDIX = ROOT / "docs" / "saturn-api.md"
ELSEWHERE = {
    "ArtifactsApi": "artifacts of models",
    "DaskClustersApi": "Dask",
    "DatasetsApi": "datasets of models",
    "DeploymentsApi": "deployments",
    "FineTuningJobsApi": "training of models",
    "ImageTagsApi": "versions of images",
    "InferenceEndpointsApi": "served models",
    "InvitationsApi": "invitations",
    "NotificationsApi": "notifications",
    "ObjectStorageApi": "object storage",
    "ServiceAccountEntitlementsApi": "cloud identities",
    "WorkspacesApi": "workspaces",
}
"""Classes about what is no part of a job server: not listed call by call."""


def bare(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def test_the_appendix_says_which_calls_are_answered(client: Client) -> None:
    served = {f"{route.method} {bare(route.path)}" for route in ROUTES}
    rows = []
    for name, calls in client.say({"api": "*"}).items():
        if name in ELSEWHERE:
            continue
        by_answer = defaultdict(list)
        for call, sent in sorted(calls.items()):
            by_answer[bare(sent) in served].append(f"`{call}`")
        answered, refused = (", ".join(by_answer[each]) or "–" for each in (True, False))
        rows.append(f"| `{name}` | {answered} | {refused} |")
    wanted, said = "\n".join(rows), APPENDIX.read_text()
    assert wanted in said, f"write this into {APPENDIX.name}:\n{wanted}"


def test_every_class_is_listed_or_named(client: Client) -> None:
    said = APPENDIX.read_text()
    for name in client.say({"api": "*"}):
        assert f"`{name}`" in said, name
