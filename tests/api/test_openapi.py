"""The OpenAPI document says all there is to know: every operation, its examples, its headers, every way it can fail."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from api import bodies, examples, schemas
from api.app import app
from api.batches import bodies as batch_bodies
from api.batches import schemas as batch_schemas
from api.catalogs import bodies as catalog_bodies
from api.catalogs import schemas as catalog_schemas
from api.problems import KINDS, MEDIA_TYPE
from api.publishing import bodies as publishing_bodies
from api.publishing import schemas as publishing_schemas
from api.routes.documented import EVERYWHERE, KEYED
from api.sessions import bodies as session_bodies
from api.sessions import schemas as session_schemas
from api.triggers import bodies as trigger_bodies
from api.triggers import schemas as trigger_schemas
from api.webhooks import bodies as webhook_bodies
from api.webhooks import schemas as webhook_schemas
from tests.api.service import Service

Document = dict[str, Any]

DOCUMENT: Document = app.openapi()
OPERATIONS: dict[str, Document] = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
EVERY_OPERATION = pytest.mark.parametrize("name", sorted(OPERATIONS))
FROM_OUTSIDE_A_ROUTE = {"route.unknown", "route.method"}
"""Codes of addresses and methods that are not there, so at no operation."""
OF_SHOPS = "POST /v1/triggers/{id}/deliveries"
"""Without a key: who sends there is told by a signature."""


def _contents(operation: Document) -> Iterator[tuple[str, str, Document]]:
    """What is sent and what comes back, by part (`request`, or a status) and media type."""
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield "request", media_type, content
    for status, answer in operation["responses"].items():
        for media_type, content in answer.get("content", {}).items():
            yield status, media_type, content


def _examples(content: Document) -> list[Any]:
    found = [_resolved(one)["value"] for one in content.get("examples", {}).values()]
    return [*found, content["example"]] if "example" in content else found


def _resolved(part: Document) -> Document:
    found: Any = DOCUMENT
    for step in part["$ref"].removeprefix("#/").split("/") if "$ref" in part else ():
        found = found[step]
    return part if "$ref" not in part else found


def _validator(schema: Document) -> Draft202012Validator:
    return Draft202012Validator(schema | {"components": DOCUMENT["components"]}, format_checker=FormatChecker())


def _codes(operation: Document) -> set[str]:
    return {
        code
        for answer in operation["responses"].values()
        for code in answer.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {})
    }


@EVERY_OPERATION
def test_an_operation_is_described(name: str) -> None:
    """With a summary, a description, what each parameter means, what each answer means, and a tag that is explained."""
    operation = OPERATIONS[name]
    assert operation["summary"]
    assert len(operation["description"]) > 10
    assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
    assert [one["name"] for one in operation.get("parameters", ()) if not one.get("description")] == []
    answers = operation["responses"]
    assert all(answer["description"] not in ("", "Successful Response") for answer in answers.values())
    assert "X-Request-Id" in set.intersection(*(set(answer["headers"]) for answer in answers.values()))


@EVERY_OPERATION
def test_an_operation_shows_examples_that_are_right(name: str) -> None:
    """Each thing sent and each answer has one, bytes apart; each is as its schema demands."""
    for part, media_type, content in _contents(OPERATIONS[name]):
        binary = content["schema"].get("format") == "binary" or media_type == "multipart/form-data"
        assert binary or _examples(content), (part, media_type)
        for example in _examples(content):
            errors = [error.message for error in _validator(content["schema"]).iter_errors(example)]
            assert errors == [], (part, media_type)


@EVERY_OPERATION
def test_an_operation_names_its_problems(name: str) -> None:
    """Under the right status, as problem+json and nothing else, with the headers that come with them."""
    operation = OPERATIONS[name]
    assert set(EVERYWHERE) <= _codes(operation)
    assert ("security" not in operation) or set(KEYED) <= _codes(operation)
    for status, answer in operation["responses"].items():
        content = answer.get("content", {})
        if status < "400" or MEDIA_TYPE not in content:
            continue
        assert set(content) <= {MEDIA_TYPE, "application/json"}
        assert {KINDS[code].status for code in content[MEDIA_TYPE]["examples"]} == {int(status)}
        assert "Retry-After" in answer["headers"] or status not in ("429", "503")
        assert "WWW-Authenticate" in answer["headers"] or status != "401"


def test_every_code_of_the_catalogue_is_at_an_operation() -> None:
    """No code is left undocumented, and every reference leads somewhere."""
    assert set().union(*map(_codes, OPERATIONS.values())) == KINDS.keys() - FROM_OUTSIDE_A_ROUTE
    text = json.dumps(DOCUMENT)
    assert "HTTPValidationError" not in text
    for reference in {one.partition('"')[0] for one in text.split('"$ref": "')[1:]}:
        assert _resolved({"$ref": reference}), reference


def test_owners_addresses_ask_for_a_key_and_the_others_do_not() -> None:
    """`security` stands at everything under /v1 but what shops call, by one scheme; at nothing else."""
    keyed = {name for name, operation in OPERATIONS.items() if operation.get("security")}
    assert keyed == {name for name in OPERATIONS if " /v1/" in name} - {OF_SHOPS}
    assert [one["scheme"] for one in DOCUMENT["components"]["securitySchemes"].values()] == ["bearer"]
    assert DOCUMENT["servers"]


def test_a_shop_is_told_of_no_value_that_is_invalid() -> None:
    """It gives none that is looked at: an address that is no trigger's is as one with a wrong signature."""
    assert "422" not in OPERATIONS[OF_SHOPS]["responses"]


def test_each_media_type_of_a_file_is_named() -> None:
    """Videos, pictures, streams of events, drawings and text, as they are sent."""
    types = {name: {media for _, media, _ in _contents(operation)} for name, operation in OPERATIONS.items()}
    at = "GET /v1/renders/{id}"
    assert "video/mp4" in types[f"{at}/video"]
    assert {"image/jpeg", "image/png"} <= types[f"{at}/poster"]
    assert {"application/json", "text/plain", "image/svg+xml"} <= types[f"{at}/timeline"]
    assert {"application/json", "text/event-stream"} <= types[f"{at}/events"]


def test_headers_that_are_read_are_parameters() -> None:
    """Conditions, ranges, preferences, keys and places in a stream stand where they are heeded."""
    heeded = {
        name: {one["name"] for one in operation.get("parameters", ()) if one["in"] == "header"}
        for name, operation in OPERATIONS.items()
    }
    assert {name for name in heeded if "Idempotency-Key" in heeded[name]} == {
        "POST /v1/renders",
        "POST /v1/renders/{id}/retry",
        "POST /v1/batches",
        "POST /v1/batches/{id}/retry-failed",
        "POST /v1/renders/{id}/edits",
        "POST /v1/sessions",
        "POST /v1/sessions/{id}/messages",
        "POST /v1/uploads",
        "POST /v1/templates",
        "POST /v1/templates/{id}/versions",
        "POST /v1/catalogs",
        "POST /v1/catalogs/{id}/read",
        "POST /v1/triggers",
        "POST /v1/trigger-deliveries/{id}/replay",
        "POST /v1/publishers",
        "POST /v1/publishers/{id}/publications",
        "POST /v1/webhook-endpoints",
        "POST /v1/webhook-endpoints/{id}/rotate-secret",
        "POST /v1/webhook-endpoints/{id}/test",
        "POST /v1/webhook-endpoints/{id}/redeliver",
        "POST /v1/webhook-deliveries/{id}/redeliver",
    }
    assert {name for name in heeded if "If-Match" in heeded[name]} == {
        "PATCH /v1/renders/{id}",
        "DELETE /v1/renders/{id}",
    }
    assert {"Prefer", "If-None-Match"} <= heeded["GET /v1/renders/{id}"]
    assert {"Range", "If-Range", "If-None-Match"} <= heeded["GET /v1/renders/{id}/video"]
    assert "Last-Event-Id" in heeded["GET /v1/renders/{id}/events"]


ROOMS = (
    *(bodies, schemas, batch_bodies, batch_schemas, catalog_bodies, catalog_schemas, session_bodies, session_schemas),
    *(trigger_bodies, trigger_schemas, webhook_bodies, webhook_schemas),
    *(publishing_bodies, publishing_schemas),
)


@pytest.mark.parametrize("model", sorted(examples.EXAMPLES))
def test_an_example_is_what_the_code_makes(model: str) -> None:
    """Read into the shape it shows and written again, an example is the same: no field too many, none missing."""
    shape = next(getattr(room, model) for room in ROOMS if hasattr(room, model))
    for name, value in examples.EXAMPLES[model].items():
        written = shape.model_validate(value).model_dump(mode="json", exclude_unset=True)
        assert written == value, name


def test_the_document_is_the_same_whoever_asks_first(service: Service) -> None:
    """Made in a fresh process, after other requests, or with other hash seeds: byte for byte one document."""
    service.first.get("/v1/renders")
    service.nobody.get("/docs")
    served = service.nobody.get("/openapi.json")
    assert served.headers["content-type"] == "application/json"
    for seed in ("1", "2"):
        command = [sys.executable, "-c", "import json; from api.app import app; print(json.dumps(app.openapi()))"]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        made = subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, check=True)
        assert json.dumps(json.loads(made.stdout)) == json.dumps(served.json())


def test_the_reference_shows_it_all(service: Service) -> None:
    """Every address, field and code of the document is on the page for people, without a script."""
    page = service.nobody.get("/docs").text
    for name, operation in OPERATIONS.items():
        assert name.partition(" ")[2] in page
        assert f'id="{operation["operationId"]}"' in page
        assert all(f">{code}<" in page for code in _codes(operation))
    assert all(f">{field}<" in page for field in schemas.RenderRequest.model_fields | schemas.RetryRequest.model_fields)
    assert "<script" not in page
