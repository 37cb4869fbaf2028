"""Lists of jobs, narrowed down and turned round, on both databases."""

from collections.abc import Sequence

import pytest

from runhook.model.access import Caller
from runhook.services import jobs
from runhook.store.database import Database
from tests.conformance.conftest import NOON

pytestmark = pytest.mark.anyio
ROOT = Caller("b" * 32, "root", "main/root", admin=True)
ODD = ("saturn.io/kind", "a,b", "a}b", "a'b", "a b", "1", "")


@pytest.fixture
async def tagged(database: Database) -> Sequence[str]:
    """Names of jobs, each with one odd tag."""
    for number, key in enumerate(ODD):
        values = {"name": f"job-{number}", "command": "true", "tags": {key: "x: y"}}
        spec = jobs.parse_spec(values)
        await database.write(lambda tx, spec=spec: jobs.create(tx, ROOT, spec, NOON))
    spec = jobs.parse_spec({"name": "untagged", "command": "true", "tags": None})
    await database.write(lambda tx: jobs.create(tx, ROOT, spec, NOON))
    return [f"job-{number}" for number in range(len(ODD))]


async def test_a_tag_finds_the_jobs_that_have_it(database: Database, tagged: Sequence[str]) -> None:
    for name, key in zip(tagged, ODD, strict=False):
        for value, wanted in (("x: y", [name]), ("x", [])):
            found = await database.read(
                lambda tx, tag=(key, value): jobs.list_page(tx, ROOT, size=99, tag=tag)
            )
            assert [job.name for job in found] == wanted, (key, value)


@pytest.mark.parametrize("descending", [False, True])
async def test_pages_lead_on_and_back_in_either_direction(
    database: Database, tagged: Sequence[str], descending: bool
) -> None:
    wanted = sorted([*tagged, "untagged"], reverse=descending)
    edges = [None, *((name, "f" * 32 if not descending else "") for name in wanted)]
    for number, edge in enumerate(edges):
        after = await database.read(
            lambda tx, edge=edge: jobs.list_page(
                tx, ROOT, size=2, after=edge, descending=descending
            )
        )
        assert [job.name for job in after] == wanted[number : number + 2]
    for number, edge in enumerate(edges[1:]):
        before = await database.read(
            lambda tx, edge=(edge[0], "" if not descending else "f" * 33): jobs.list_page(
                tx, ROOT, size=2, before=edge, descending=descending
            )
        )
        assert [job.name for job in before] == wanted[max(0, number - 2) : number]
