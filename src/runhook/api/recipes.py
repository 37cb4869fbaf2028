"""Handlers of /api/recipes: jobs written as recipes."""

from typing import Any

from starlette.responses import Response

from runhook import inquiry
from runhook.api.call import Call, Json, Page
from runhook.api.shapes import recipe_json
from runhook.errors import Invalid, NotFound
from runhook.model.job import JobSpec
from runhook.services import jobs
from runhook.services.possible import require_possible
from runhook.store.database import Transaction

WRITTEN = {"schema_version", "type", "spec"}
READ_ONLY = {"state", "warnings"}


async def apply(call: Call) -> Response:
    """Create the job, or change the one of that owner and name."""
    spec = _spec_of(await call.object())
    require_possible(spec, call.server.site)

    def work(tx: Transaction) -> dict[str, Any]:
        job, action = jobs.apply(tx, call.caller, spec, call.now)
        return recipe_json(call.server, jobs.views(tx, [job])[0], action)

    recipe = await call.write(work)
    await inquiry.learn_soon(call, recipe["state"]["id"])
    return Json(recipe, status_code=201)


def _spec_of(recipe: dict[str, Any]) -> JobSpec:
    wrong = {name: "is not known in a recipe" for name in recipe if name not in WRITTEN | READ_ONLY}
    if recipe.get("type") != "job":
        wrong["type"] = "only recipes of type 'job' can be applied here"
    if not isinstance(recipe.get("spec"), dict):
        wrong["spec"] = "write the job's definition as an object"
    if wrong:
        raise Invalid("cannot use this recipe", details=wrong)
    try:
        return jobs.parse_spec(recipe["spec"])
    except Invalid as error:
        details = {f"spec.{name}": sentence for name, sentence in error.details.items()}
        raise Invalid("cannot use this recipe", details=details) from None


async def list_recipes(call: Call) -> Response:
    page = Page.of(call)
    name, owner = call.query("name") or "", call.query("owner_name")
    if call.query("type") not in (None, "job"):
        return Json({"recipes": [], "prev_key": None, "next_key": None})

    def work(tx: Transaction) -> dict[str, Any]:
        edges = {"after": page.after, "before": page.before}
        found = jobs.list_page(
            tx,
            call.caller,
            size=page.size + 1,
            name=name,
            owner=owner,
            **{side: (str(key[0]), key[1]) for side, key in edges.items() if key},
        )
        answer = page.answer("recipes", found, lambda job: [job.name, job.id])
        views = jobs.views(tx, answer["recipes"])
        return {**answer, "recipes": [recipe_json(call.server, view) for view in views]}

    return Json(await call.read(work))


async def get(call: Call) -> Response:
    """The recipe of a job by name; `as_template` leaves out what belongs to this job alone."""
    as_template = call.flag("as_template")
    if call.path("recipe_type") != "job":
        raise NotFound(f"there are no recipes of type {call.path('recipe_type')} here")

    def work(tx: Transaction) -> dict[str, Any]:
        job = jobs.find(tx, call.caller, call.path("name"), call.query("owner_name"))
        return recipe_json(call.server, jobs.views(tx, [job])[0])

    recipe = await call.read(work)
    if as_template:
        recipe["spec"].pop("owner")
        recipe.pop("state")
    return Json(recipe)
