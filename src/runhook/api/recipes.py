"""Handlers of /api/recipes: jobs written as recipes."""

from typing import Any

from starlette.responses import Response

from runhook import inquiry
from runhook.api import owners
from runhook.api.call import Call, Json, Page
from runhook.api.jobs import edge
from runhook.api.shapes import recipe_json
from runhook.errors import NotFound
from runhook.model.recipe import READ_ONLY
from runhook.services import jobs
from runhook.services.possible import require_possible
from runhook.services.recipes import Definition, definition_of
from runhook.store.database import Transaction


async def apply(call: Call) -> Response:
    """Create the job, or change the one of that owner and name."""
    found = await _definition(call)

    def work(tx: Transaction) -> dict[str, Any]:
        job, action = jobs.apply(tx, call.caller, found.spec, call.now)
        return recipe_json(call.server, jobs.views(tx, [job])[0], action, found.notes)

    recipe = await call.write(work)
    await inquiry.learn_soon(call, recipe["state"]["id"])
    return Json(recipe, status_code=201)


async def create(call: Call) -> Response:
    """Create the job; Conflict if its owner has one of that name."""
    found = await _definition(call)

    def work(tx: Transaction) -> dict[str, Any]:
        job = jobs.create(tx, call.caller, found.spec, call.now)
        return recipe_json(call.server, jobs.views(tx, [job])[0], "created", found.notes)

    recipe = await call.write(work)
    await inquiry.learn_soon(call, recipe["state"]["id"])
    return Json(recipe, status_code=201)


async def _definition(call: Call) -> Definition:
    """What the body describes, if this server can do it."""
    enforce = call.query("enforce_unknown") is None or call.flag("enforce_unknown")
    recipe = await call.object()
    if isinstance(recipe.get("spec"), dict):
        recipe["spec"] = await call.read(lambda tx: owners.with_owner(tx, call, recipe["spec"]))
    found = definition_of(recipe, enforce_unknown=enforce)
    require_possible(found.spec, call.server.site)
    return found


async def list_recipes(call: Call) -> Response:
    page = Page.of(call)
    name, descending = call.query("name") or "", call.flag("descending")
    as_template = call.flag("as_template")
    if call.query("type") not in (None, "job"):
        return Json({"recipes": [], "prev_key": None, "next_key": None})

    def work(tx: Transaction) -> dict[str, Any]:
        found = jobs.list_page(
            tx,
            call.caller,
            size=page.size + 1,
            name=name,
            owner=owners.asked(tx, call, "jobs:read"),
            after=edge(page.after),
            before=edge(page.before),
            descending=descending,
        )
        answer = page.answer("recipes", found, lambda job: [job.name, job.id])
        views = jobs.views(tx, answer["recipes"])
        recipes = [recipe_json(call.server, view) for view in views]
        shown = [template(each) for each in recipes] if as_template else recipes
        return {**answer, "recipes": shown}

    return Json(await call.read(work))


async def get(call: Call) -> Response:
    """The recipe of a job by name; `as_template` leaves out what belongs to this job alone."""
    as_template = call.flag("as_template")
    if call.path("recipe_type") != "job":
        raise NotFound(f"there are no recipes of type {call.path('recipe_type')} here")

    def work(tx: Transaction) -> dict[str, Any]:
        job = jobs.find(tx, call.caller, call.path("name"), owners.asked(tx, call, "jobs:read"))
        return recipe_json(call.server, jobs.views(tx, [job])[0])

    recipe = await call.read(work)
    return Json(template(recipe) if as_template else recipe)


def template(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe without what belongs to its job alone."""
    spec = {name: value for name, value in recipe["spec"].items() if name != "owner"}
    frame = {name: value for name, value in recipe.items() if name not in READ_ONLY}
    return {**frame, "spec": spec}
