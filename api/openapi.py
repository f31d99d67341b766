"""The OpenAPI document: what the framework derives from the routes, and what it cannot know.

Examples are added at the end: the framework drops every `null`, and a render as it is queued is full of them.
"""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from api import examples
from api.batches.schemas import BatchRequest
from api.bodies import ProblemBody, TimelineBody
from api.catalogs.schemas import CatalogRequest, ReadRequest
from api.routes.documented import ANSWERED, PROBLEMS, said

Document = dict[str, Any]

TAGS = [
    {"name": "renders", "description": "A video asked for, followed, changed, cancelled, made again, deleted."},
    {"name": "batches", "description": "Many videos asked for together, steered together, reported together."},
    {"name": "templates", "description": "Prompts with variables, in versions: many videos of one kind."},
    {"name": "catalogs", "description": "A shop's products, from a file or an address; what did not change is free."},
    {"name": "triggers", "description": "A shop's signed messages become renders; each is kept with its verdict."},
    {"name": "webhooks", "description": "Addresses that are told of events, and what became of each telling."},
    {"name": "publishing", "description": "Finished videos, brought back to the products that they are for."},
    {"name": "events", "description": "What happened, in order: one render's as a stream, or everybody's as a feed."},
    {"name": "files", "description": "What came of a render: its video, a picture of it, its timeline."},
    {"name": "uploads", "description": "Pictures, clips and sounds given before the render that uses them."},
    {"name": "sessions", "description": "Turns at one timeline: several files, several instructions, edits, in order."},
    {"name": "operations", "description": "Balances, usage, takeovers, and the key you call with."},
    {"name": "health", "description": "For machines that watch this one; without a key."},
]
SERVERS = [{"url": "/", "description": "Where this document came from."}]
_JSON = "application/json"
_ASSUMED = ("HTTPValidationError", "ValidationError")
"""Shapes of a 422 that the framework puts at what has parameters and no 422 of its own: nothing here answers so."""
_ALWAYS = ("X-Request-Id",)
_KEYED = ("RateLimit", "RateLimit-Policy")


class Documented(FastAPI):
    """An application with a complete document."""

    def openapi(self) -> Document:
        """The document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = document(self)
        return self.openapi_schema


def document(app: FastAPI) -> Document:
    """The document of an application's routes."""
    made = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=TAGS,
        servers=SERVERS,
    )
    components = made["components"]
    components |= {"headers": ANSWERED, "examples": PROBLEMS}
    # Referred to by name in answers of more than one media type, where the framework knows of one.
    _, found = models_json_schema(
        [
            (ProblemBody, "serialization"),
            (TimelineBody, "serialization"),
            *((one, "validation") for one in (BatchRequest, CatalogRequest, ReadRequest)),
        ],
        ref_template="#/components/schemas/{model}",
    )
    components["schemas"] |= found["$defs"]
    components["schemas"] = {name: one for name, one in sorted(components["schemas"].items()) if name not in _ASSUMED}
    for operation in operations(made):
        _complete(operation)
    return made


def operations(made: Document) -> Iterator[Document]:
    """Every operation of a document."""
    for methods in made["paths"].values():
        yield from methods.values()


def _complete(operation: Document) -> None:
    if _JSON in operation["responses"].get("422", {}).get("content", {}):
        del operation["responses"]["422"]
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "header":
            parameter["name"] = parameter["name"].title()
        _not_null(parameter)
    for content in operation.get("requestBody", {}).get("content", {}).values():
        _exemplify(content, operation["operationId"], "request")
    always = said(*_ALWAYS, *(_KEYED if "security" in operation else ()))
    for status, answer in operation["responses"].items():
        answer["headers"] = answer.get("headers", {}) | always
        for content in answer.get("content", {}).values():
            _exemplify(content, operation["operationId"], status)


def _not_null(parameter: Document) -> None:
    """A parameter is left out or given; the text `null` is a text."""
    schema = parameter["schema"]
    options = [one for one in schema.pop("anyOf", ()) if one != {"type": "null"}]
    if len(options) == 1:
        schema |= options[0]


def _exemplify(content: Document, operation: str, part: str) -> None:
    """Add the examples of the shapes that this content may have."""
    if "example" in content or "examples" in content:
        return
    schema = content.get("schema", {})
    names = [one.get("$ref", "").rpartition("/")[2] for one in schema.get("anyOf", [schema])]
    found = {name: value for model in names for name, value in examples.of(model, operation, part).items()}
    if found:
        content["examples"] = {name: {"value": value} for name, value in found.items()}
