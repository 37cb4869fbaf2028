"""The OpenAPI document as a page for people, with nothing loaded from elsewhere."""

from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

templates = Environment(loader=PackageLoader("runhook.api", "."), autoescape=select_autoescape())


def page(document: dict[str, Any]) -> str:
    """The page: routes by tag, each with its parameters, body and answer, then the schemas."""
    operations: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            entry = {"method": method.upper(), "path": path, **operation}
            operations.setdefault(operation["tags"][0], []).append(entry)
    return templates.get_template("reference.html").render(
        info=document["info"], operations=operations, schemas=document["components"]["schemas"]
    )
