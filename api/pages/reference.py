"""The API's reference, written from its OpenAPI document, and the catalogue of errors."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from starlette.responses import HTMLResponse

from api.pages.html import Content, Markup, join, link, page, table, tag, words
from api.problems import KINDS, MEDIA_TYPE
from api.routes.documented import EVERYWHERE, KEYED

Document = dict[str, Any]

COMMON = (*KEYED, *EVERYWHERE)
"""Codes that are shown once, not at every address."""
EVERY_ANSWER = ("X-Request-Id", "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate")


def reference(document: Document) -> HTMLResponse:
    """The page at `/docs`."""
    groups: dict[str, list[Markup]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append(_operation(document, method, path, operation))
    return page(
        "API reference",
        tag("p", words(document["info"]["description"])),
        tag("p", "For tools: ", link("/openapi.json", "openapi.json"), "."),
        *(
            section
            for told in document["tags"]
            for section in (tag("h2", told["name"].capitalize()), tag("p", told["description"]), *groups[told["name"]])
        ),
        tag("h2", "Every address"),
        tag("p", "What any address may answer beside its own; those of an owner also ask for a key."),
        table(("status", "answer"), ((str(KINDS[code].status), join(_listed([code]))) for code in COMMON)),
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
        *(tag("p", words(one)) for one in operation["description"].split("\n\n")),
    ]
    if parameters := operation.get("parameters"):
        rows = [
            (tag("code", one["name"]), one["in"], _type(document, one["schema"]), words(one.get("description", "")))
            for one in parameters
        ]
        parts.append(table(("parameter", "in", "type", ""), rows))
    parts += _body(document, operation)
    parts.append(table(("status", "answer", "headers"), list(_answers(operation))))
    parts += _example(operation)
    return join(parts)


def _answers(operation: Document) -> Iterator[tuple[Content, ...]]:
    """The answers that are this address's own, problems by their codes."""
    for status, answer in sorted(operation["responses"].items()):
        headers = join(_listed(name for name in answer["headers"] if name not in EVERY_ANSWER))
        codes = answer.get("content", {}).get(MEDIA_TYPE, {}).get("examples")
        if codes is None:
            yield status, words(answer["description"]), headers
        elif own := [code for code in codes if code not in COMMON]:
            yield status, join(_listed(own)), headers


def _listed(names: Iterable[str]) -> Iterator[Content]:
    for place, name in enumerate(names):
        yield from (", ",) if place else ()
        yield link(f"/docs/errors#{name}", tag("code", name)) if name in KINDS else tag("code", name)


def _example(operation: Document) -> list[Markup]:
    """The first example of what is sent, and of what comes back when all is well."""
    sent = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    back = [answer for status, answer in operation["responses"].items() if status < "300"]
    came = next((one for answer in back for one in _examples(answer.get("content", {}))), None)
    shown = [*(("Sent", one) for one in list(_examples({"": sent}))[:1]), *([("Answer", came)] if came else [])]
    return [
        tag("details", tag("summary", title), tag("pre", tag("code", json.dumps(one, indent=2, ensure_ascii=False))))
        for title, one in shown
    ]


def _examples(content: Document) -> Iterator[Any]:
    for one in content.values():
        yield from (example["value"] for example in one.get("examples", {}).values())


def _body(document: Document, operation: Document) -> list[Markup]:
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    # A body that may be left out is one of two: its shape, and null.
    schema = _resolved(document, schema.get("anyOf", [schema])[0])
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
