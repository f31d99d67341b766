"""The API's reference, written from its OpenAPI document, and the catalogue of errors."""

import json
from typing import Any

from starlette.responses import HTMLResponse

from api.pages.html import Content, Markup, join, link, page, table, tag, words
from api.problems import KINDS

Document = dict[str, Any]


def reference(document: Document) -> HTMLResponse:
    """The page at `/docs`."""
    groups: dict[str, list[Markup]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "head":
                groups.setdefault(operation["tags"][0], []).append(_operation(document, method, path, operation))
    sections = [section for name, found in groups.items() for section in (tag("h2", name.capitalize()), *found)]
    return page(
        "API reference",
        tag("p", words(document["info"]["description"])),
        tag("p", "For tools: ", link("/openapi.json", "openapi.json"), "."),
        *sections,
    )


def errors() -> HTMLResponse:
    """The page at `/docs/errors`: an anchor per code."""
    rows = [
        (tag("code", code, id=code), str(kind.status), kind.title, words(kind.help))
        for code, kind in sorted(KINDS.items())
    ]
    return page(
        "Errors",
        tag("p", "Errors are application/problem+json. Programs branch on code; detail and errors are for people."),
        table(("code", "status", "what", "remedy"), rows),
    )


def _operation(document: Document, method: str, path: str, operation: Document) -> Markup:
    parts: list[Content] = [
        tag("h3", tag("span", method.upper(), class_="method"), " ", tag("code", path), id=operation["operationId"]),
        tag("p", words(operation.get("description") or operation.get("summary", ""))),
    ]
    if parameters := operation.get("parameters"):
        rows = [
            (tag("code", one["name"]), one["in"], _type(document, one["schema"]), words(one.get("description", "")))
            for one in parameters
        ]
        parts.append(table(("parameter", "in", "type", ""), rows))
    parts += _body(document, operation)
    answers = [(status, words(one["description"])) for status, one in operation["responses"].items()]
    parts.append(table(("status", "answer"), answers))
    return join(parts)


def _body(document: Document, operation: Document) -> list[Markup]:
    content = operation.get("requestBody", {}).get("content", {})
    schema = _resolved(document, content.get("application/json", {}).get("schema", {}))
    rows = [
        (tag("code", name), _type(document, one), words(one.get("description", "")), _default(schema, name, one))
        for name, one in schema.get("properties", {}).items()
    ]
    return [table(("field", "type", "", "default"), rows)] if rows else []


def _default(schema: Document, name: str, field: Document) -> Content:
    if name in schema.get("required", ()):
        return "required"
    return tag("code", json.dumps(field["default"])) if "default" in field else ""


def _resolved(document: Document, schema: Document) -> Document:
    name = schema.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"][name] if name else schema


def _type(document: Document, schema: Document) -> str:
    """A type in words: `string ≤ 200`, `high | normal | low`, `list of {url, upload}`."""
    if options := schema.get("anyOf"):
        return " | ".join(_type(document, one) for one in options)
    schema = _resolved(document, schema)
    if values := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        return " | ".join(map(str, values))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(document, schema['items'])}"
    if kind == "object" and "properties" in schema:
        return "{" + ", ".join(schema["properties"]) + "}"
    longest = schema.get("maxLength", schema.get("maximum"))
    return f"{kind} ≤ {longest:,}" if longest else str(kind)
