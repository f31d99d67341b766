"""Templates over HTTP: made once, changed by versions, filled for a render that keeps what it was made from."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select

from api.client import Conflict, Invalid, NotFound
from tests.api.service import Service
from worker.renders.models import Render
from worker.templates.models import Template

TEXT = "a {{ seconds }}-second video about {{ title }}{% for one in features %}, {{ one }}{% endfor %}"
VARIABLES: dict[str, Any] = {
    "title": {"max_length": 40},
    "seconds": {"type": "number", "default": 6},
    "features": {"type": "list", "required": False},
}


def made(service: Service, **fields: Any) -> dict[str, Any]:
    """A template with a name of its own."""
    body = {"name": f"t-{uuid4().hex}", "prompt": TEXT, "variables": VARIABLES, **fields}
    answer = service.first.post("/v1/templates", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int, code: str) -> list[tuple[str, str]]:
    """What it names."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    return [(one["pointer"], one["detail"]) for one in answer.json()["errors"]]


def test_a_template_becomes_a_render_that_keeps_its_version(service: Service):
    """Filled when it is taken on; what the template becomes later changes nothing about it."""
    name = made(service, language="de", tags=["promo"])["name"]
    given = {"title": "{{ a red mug }}", "features": ["light", 2]}
    first = service.first.post("/v1/renders", json={"template": name, "variables": given})
    assert first.status_code == 202, first.text
    render = first.json()
    assert render["prompt"] == "a 6-second video about {{ a red mug }}, light, 2"
    assert (render["template"], render["variables"]) == (f"{name}@1", given)
    assert (render["language"], render["tags"]) == ("de", ["promo"])
    assert service.first.post(f"/v1/templates/{name}/versions", json={"prompt": "another"}).status_code == 201
    assert service.first.get(f"/v1/renders/{render['id']}").json() == render
    newer = _of(service, name)
    assert (newer["prompt"], newer["template"], newer["variables"]) == ("another", f"{name}@2", {})
    older = _of(service, f"{name}@1", variables={"title": "x"}, tags=[], language="fr")
    assert (older["template"], older["tags"], older["language"]) == (f"{name}@1", [], "fr")
    listed = {one["id"]: one["template"] for one in service.first.get("/v1/renders").json()["data"]}
    assert listed[older["id"]] == f"{name}@1"


def _of(service: Service, template: str, **fields: Any) -> dict[str, Any]:
    answer = service.first.post("/v1/renders", json={"template": template, **fields})
    assert answer.status_code == 202, answer.text
    return answer.json()


def test_a_deleted_render_forgets_its_variables(service: Service):
    """They are its owner's words, as the prompt is."""
    render = _of(service, made(service)["name"], variables={"title": "a secret"})
    assert service.first.post(f"/v1/renders/{render['id']}/cancel").status_code == 200
    assert service.first.delete(f"/v1/renders/{render['id']}").status_code == 204
    with service.session() as session:
        assert session.get_one(Render, render["id"]).variables == {}


def test_a_rehearsal_shows_the_filled_prompt(service: Service):
    """By a dry run of a render and by a preview, of any version; nothing is kept."""
    name = made(service)["name"]
    service.first.post(f"/v1/templates/{name}/versions", json={"prompt": "new"})
    wanted = {"template": f"{name}@1", "variables": {"title": "a mug"}}
    with service.session() as session:
        before = session.scalar(select(func.count()).select_from(Render))
        dry = service.first.post("/v1/renders?dry_run=true", json=wanted).json()["render"]
        assert (dry["prompt"], dry["template"]) == ("a 6-second video about a mug", f"{name}@1")
        assert dry["variables"] == {"title": "a mug"}
        assert session.scalar(select(func.count()).select_from(Render)) == before
    body = {"variables": {"title": "a mug"}, "version": 1}
    shown = service.first.post(f"/v1/templates/{name}/preview", json=body).json()
    assert (shown["prompt"], shown["template"], shown["language"]) == (dry["prompt"], f"{name}@1", "en")
    assert service.first.post(f"/v1/templates/{name}/preview", json={}).json()["prompt"] == "new"


def test_what_is_wrong_with_the_variables_is_named(service: Service):
    """Each by its pointer, at a render, a rehearsal and a preview alike; no render is made."""
    name = made(service)["name"]
    given = {"seconds": "six", "features": "a", "a/b~c": 1}
    for path, body in (
        ("/v1/renders", {"template": name, "variables": given}),
        ("/v1/renders?dry_run=true", {"template": name, "variables": given}),
        (f"/v1/templates/{name}/preview", {"variables": given}),
    ):
        wrong = dict(refused(service.first.post(path, json=body), 422, "template.variables"))
        assert list(wrong) == ["/variables/title", "/variables/seconds", "/variables/features", "/variables/a~1b~0c"]
    greedy = made(service, prompt="{% for i in range(9999) %}{{ i }}{% endfor %}", variables={})["name"]
    ((pointer, words),) = refused(
        service.first.post("/v1/renders", json={"template": greedy}), 422, "template.variables"
    )
    assert pointer == "/variables"
    assert "line 1: it takes more than 10,000 steps" in words


@pytest.mark.parametrize(
    ("content", "pointer", "words"),
    [
        ({"prompt": "a\n{{ x.y }}"}, "/prompt", "line 2: .y"),
        ({"prompt": "a\n\n{{ x }}"}, "/prompt", "line 3: `x` is not among the variables"),
        ({"prompt": "{% if %}"}, "/prompt", "line 1"),
        ({"prompt": "{{ '\\x00' }}"}, "/prompt", "NUL"),
    ],
)
def test_what_is_no_template_is_not_made(service: Service, content: dict[str, Any], pointer: str, words: str):
    """422 with the line, at a template, a rehearsal and a version."""
    name = made(service)["name"]
    for path in ("/v1/templates", "/v1/templates?dry_run=true", f"/v1/templates/{name}/versions"):
        body = content | ({} if "versions" in path else {"name": "never"})
        ((where, why),) = refused(service.first.post(path, json=body), 422, "template.invalid")
        assert where == pointer
        assert words in why
    assert service.first.get("/v1/templates/never").status_code == 404
    assert service.first.get(f"/v1/templates/{name}").json()["version"]["number"] == 1


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": "A"}, "/name"),
        ({"name": "with_underscore"}, "/name"),
        ({"name": "a" * 65}, "/name"),
        ({"name": "a\n"}, "/name"),
        ({"prompt": ""}, "/prompt"),
        ({"prompt": "a\0"}, "/prompt"),
        ({"variables": {"_a": {}}}, "/variables/_a/[key]"),
        ({"variables": {"loop": {}}}, "/variables"),
        ({"variables": {"a": {"type": "date"}}}, "/variables/a/type"),
        ({"variables": {"a": {"required": True, "default": "b"}}}, "/variables/a"),
        ({"variables": {f"v{place}": {} for place in range(51)}}, "/variables"),
        ({"tags": [" "]}, "/tags/0"),
        ({"output": {}}, "/output"),
    ],
)
def test_a_wrong_field_is_named(service: Service, fields: dict[str, Any], pointer: str):
    """Before the text is even looked at."""
    answer = service.first.post("/v1/templates", json={"name": "wrong", "prompt": "a", **fields})
    assert refused(answer, 422, "request.invalid")[0][0] == pointer


def test_a_repeated_key_finds_what_it_made(service: Service):
    """Templates and versions: made once, shown again; another body is refused; a refusal uses no key up."""
    name, key = f"t-{uuid4().hex}", {"Idempotency-Key": uuid4().hex}
    body = {"name": name, "prompt": "one"}
    first, again = (service.first.post("/v1/templates", json=body, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert (first.json(), again.headers["idempotent-replayed"]) == (again.json(), "true")
    assert first.headers["location"] == first.json()["links"]["self"]
    refused(service.first.post("/v1/templates", json=body | {"prompt": "b"}, headers=key), 422, "idempotency.mismatch")
    at = f"/v1/templates/{name}/versions"
    refused(service.first.post(at, json={"prompt": "{{"}, headers=key), 422, "template.invalid")
    versions = [service.first.post(at, json={"prompt": "two"}, headers=key) for _ in range(2)]
    assert [one.json()["number"] for one in versions] == [2, 2]
    assert versions[1].headers["idempotent-replayed"] == "true"
    assert service.first.get(versions[0].headers["location"]).json() == versions[0].json()
    refused(service.first.post("/v1/templates", json=body), 409, "template.exists")
    refused(service.first.post("/v1/templates?dry_run=true", json=body), 409, "template.exists")


def test_a_render_repeated_after_its_template_changed_is_the_same_render(service: Service):
    """The key leads to it, though the reference means another version by now, or none that is in use."""
    name, key = made(service, variables={}, prompt="one")["name"], {"Idempotency-Key": uuid4().hex}
    first = service.first.post("/v1/renders", json={"template": name}, headers=key).json()
    service.first.post(f"/v1/templates/{name}/versions", json={"prompt": "two"})
    assert service.first.delete(f"/v1/templates/{name}").status_code == 204
    again = service.first.post("/v1/renders", json={"template": name}, headers=key)
    assert (again.status_code, again.json()["id"], again.json()["prompt"]) == (202, first["id"], "one")


def test_an_archived_template_makes_nothing_and_is_shown(service: Service):
    """Its renders name it, its versions are read; its name can be given anew."""
    old = made(service, prompt="old", variables={})
    name, at = old["name"], f"/v1/templates/{old['id']}"
    render = _of(service, name)
    assert [service.first.delete(at).status_code for _ in range(2)] == [204, 204]
    refused(service.first.post("/v1/renders", json={"template": name}), 409, "template.archived")
    refused(service.first.post(f"{at}/versions", json={"prompt": "b"}), 409, "template.archived")
    assert service.first.get(at).json()["archived_at"]
    assert service.first.get(f"/v1/renders/{render['id']}").json()["template"] == f"{name}@1"
    assert made(service, name=name)["id"] != old["id"]
    with service.session() as session:
        assert session.scalar(select(func.count()).where(Template.name == name)) == 2


def test_what_is_not_there_is_said_so(service: Service):
    """422 where a request names it, 404 where the address does."""
    name = made(service)["name"]
    for ref in ("none", "tpl_" + "0" * 26, f"{name}@2", "none@1"):
        assert refused(service.first.post("/v1/renders", json={"template": ref}), 422, "template.unknown") == [
            ("/template", "there is none")
        ]
    for path in ("none", "tpl_" + "0" * 26, "A", "tpl_1", f"{name}/versions/2", "none/versions", "%00"):
        refused(service.first.get(f"/v1/templates/{path}"), 404, "template.not_found")


def test_lists_go_on_page_by_page(service: Service):
    """Templates, and the versions of one, newest first, each once."""
    names = [made(service)["name"] for _ in range(3)]
    for text in "bcd":
        service.first.post(f"/v1/templates/{names[0]}/versions", json={"prompt": text})
    found = [one["name"] for one in _pages(service, "/v1/templates")]
    assert found[:3] == names[::-1]
    assert len(found) == len(set(found))
    assert [one["number"] for one in _pages(service, f"/v1/templates/{names[0]}/versions")] == [4, 3, 2, 1]


def _pages(service: Service, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = service.first.get(path, params=query).json()
        found += page["data"]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


def test_the_python_client_goes_the_whole_way(service: Service):
    """Made, checked, changed, tried, rendered, archived; what is refused is raised as what it is."""
    name = f"t-{uuid4().hex}"
    with service.client as client:
        assert client.check_template(
            name, "a {{ x }}", variables={"x": {}, "y": {"default": 1, "type": "number"}}
        ).hints
        template = client.create_template(name, "a {{ x }}", variables={"x": {}}, tags=["t"])
        assert template.version.variables["x"].required
        assert client.update_template(name, "b {{ x }}", variables={"x": {}}).number == 2
        assert [one.number for one in client.template_versions(name).data] == [2, 1]
        assert client.template_version(name, 1).prompt == "a {{ x }}"
        assert client.preview_template(name, {"x": "c"}, version=1).prompt == "a c"
        assert client.dry_run(template=name, variables={"x": "c"}).render.prompt == "b c"
        render = client.create_render(template=template.id, variables={"x": "c"})
        assert (render.prompt, render.template, render.variables) == ("b c", f"{name}@2", {"x": "c"})
        assert name in {one.name for one in client.templates(limit=200).data}
        with pytest.raises(Conflict):
            client.create_template(name, "c")
        with pytest.raises(Invalid):
            client.create_render(template=name)
        client.archive_template(name)
        with pytest.raises(Conflict):
            client.create_render(template=name, variables={"x": "c"})
        with pytest.raises(NotFound):
            client.template(f"{name}x")
