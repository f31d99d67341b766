"""Catalogs over HTTP: taken on, tried out, read again, shown, changed, forgotten."""

from pathlib import Path
from typing import Any

import pytest

from tests.api import working
from tests.api.service import Service

CSV = "id,title,price,image_link,availability\n"
FEED = CSV + "a,Lamp,19.90 EUR,https://shop.example/a.jpg,in stock\nb,Chair,5 EUR,https://shop.example/b.jpg,in stock\n"
SAMPLES = Path(__file__).parents[3] / "shared" / "samples"


@pytest.fixture(scope="module", autouse=True)
def template(service: Service) -> None:
    """A template of this module's own."""
    variables = {"title": {}, "price": {"required": False}}
    made = {"name": "of-catalogs", "prompt": "a video about {{ title }} for {{ price }}", "variables": variables}
    assert service.first.post("/v1/templates", json=made).status_code == 201


def send(service: Service, body: str | bytes = FEED, **query: Any) -> Any:
    parameters = {"template": "of-catalogs", **query}
    return service.first.post(
        "/v1/catalogs", params=parameters, content=body, headers={"Content-Type": "application/octet-stream"}
    )


def test_a_file_becomes_a_batch(service: Service):
    """From the answer on it is read; its changes name the renders, its batch holds them."""
    made = send(service, ref_prefix="http-1-", tag=["of-a-catalog"])
    assert made.status_code == 202, made.text
    at = made.headers["location"]
    working.read_catalogs(service)
    last = service.first.get(at).json()["last_read"]
    assert (last["state"], last["format"], last["counts"]["rendered"]) == ("done", "meta_csv", 2)
    changed = service.first.get(last["links"]["changes"]).json()["data"]
    assert [(one["ref"], one["kind"], one["outcome"]) for one in changed] == [
        ("a", "new", "rendered"),
        ("b", "new", "rendered"),
    ]
    render = service.first.get(f"/v1/renders/{changed[0]['render_id']}").json()
    assert (render["prompt"], render["external_ref"]) == ("a video about Lamp for 19.90", "http-1-a")
    assert (render["template"], render["tags"]) == ("of-catalogs@1", ["of-a-catalog"])
    assert service.first.get(last["links"]["batch"]).json()["counts"]["queued"] == 2


def test_a_dry_run_keeps_nothing(service: Service):
    """It shows counts, the first products, the first prompt, the problems and what it would cost."""
    before = len(service.first.get("/v1/catalogs").json()["data"])
    seen = send(service, FEED + "c,,1 EUR,https://shop.example/c.jpg,in stock\n", dry_run=True)
    assert seen.status_code == 200, seen.text
    body = seen.json()
    assert (body["format"], body["complete"]) == ("meta_csv", True)
    assert (body["counts"]["products"], body["counts"]["rejected"]) == (2, 1)
    assert [one["ref"] for one in body["products"]] == ["a", "b"]
    assert body["prompt"] == "a video about Lamp for 19.90"
    assert body["problems"][0]["code"] == "item.no_title"
    assert body["estimate"] == {"renders": 2, "credits": 200.0}
    assert len(service.first.get("/v1/catalogs").json()["data"]) == before


def test_a_key_leads_to_the_same_catalog(service: Service):
    """And with another file to a refusal."""
    headers = {"Content-Type": "text/csv", "Idempotency-Key": "catalog-once"}
    ask = {"params": {"template": "of-catalogs", "ref_prefix": "http-2-"}, "headers": headers}
    first, again = (service.first.post("/v1/catalogs", content=FEED, **ask) for _ in range(2))
    assert (again.json()["id"], again.headers["idempotent-replayed"]) == (first.json()["id"], "true")
    other = service.first.post("/v1/catalogs", content=CSV, **ask)
    assert other.json()["code"] == "idempotency.mismatch"


@pytest.mark.parametrize(
    ("body", "query", "status", "code"),
    [
        ("<!doctype html><p>log in", {"dry_run": True}, 422, "catalog.refused"),
        ("", {}, 422, "upload.empty"),
        (FEED, {"template": "nobodys"}, 422, "template.unknown"),
        (FEED, {"include": "everything"}, 422, "request.invalid"),
        (FEED, {"first": "0"}, 422, "request.invalid"),
    ],
)
def test_what_is_refused(service: Service, body: str, query: dict[str, Any], status: int, code: str):
    """With a code of its own, before anything is kept."""
    refused = send(service, body, **query)
    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/feed", "https://localhost/feed", "https://10.0.0.1/", "ftp://x.example"]
)
def test_an_address_inside_is_refused(service: Service, url: str):
    """Before it is asked."""
    refused = service.first.post("/v1/catalogs", json={"url": url, "template": "of-catalogs"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/url")


def test_a_catalog_by_address_is_changed_read_and_forgotten(service: Service):
    """What is behind a `?` is not shown; a second reading has to wait for the first; its renders outlive it."""
    url = "https://shop.example/feed.csv?key=secret"
    made = service.first.post(
        "/v1/catalogs", json={"url": url, "template": "of-catalogs", "schedule_seconds": 3600, "name": "shop"}
    )
    assert made.status_code == 202, made.text
    at = made.headers["location"]
    assert made.json()["url"] == "https://shop.example/feed.csv"
    assert made.json()["next_read_at"] is not None
    assert service.first.post(f"{at}/read").json()["code"] == "catalog.reading"
    changed = service.first.patch(at, json={"schedule_seconds": None, "template": "of-catalogs@1"}).json()
    assert (changed["schedule_seconds"], changed["next_read_at"], changed["template"]) == (None, None, "of-catalogs@1")
    assert service.first.delete(at).status_code == 204
    assert service.first.get(at).json()["code"] == "catalog.unknown"


def test_a_file_catalog_is_read_again_with_another_file(service: Service):
    """What did not change is told as unchanged; without a file there is nothing to read."""
    at = send(service, ref_prefix="http-3-").headers["location"]
    working.read_catalogs(service)
    headers = {"Content-Type": "text/csv"}
    again = service.first.post(f"{at}/read", content=FEED.replace("19.90", "17.50"), headers=headers)
    assert again.status_code == 202, again.text
    working.read_catalogs(service)
    read = service.first.get(again.headers["location"]).json()
    assert {name: count for name, count in read["counts"].items() if count} == {
        "products": 2,
        "changed": 1,
        "unchanged": 1,
        "rendered": 1,
    }
    assert service.first.post(f"{at}/read", json={}).json()["code"] == "catalog.no_source"
    pages = service.first.get(f"{at}/reads", params={"limit": 1}).json()
    assert pages["data"][0]["id"] == read["id"]
    rest = service.first.get(f"{at}/reads", params={"limit": 1, "cursor": pages["next_cursor"]}).json()
    assert (len(rest["data"]), rest["next_cursor"]) == (1, None)


def test_somebody_elses_catalog_is_as_good_as_none(service: Service):
    """For every call."""
    at = send(service, ref_prefix="http-4-").headers["location"]
    read = service.first.get(at).json()["last_read"]["links"]["self"]
    calls = [("GET", at), ("PATCH", at), ("DELETE", at), ("POST", f"{at}/read"), ("GET", f"{at}/reads"), ("GET", read)]
    for method, path in [*calls, ("GET", f"{read}/problems"), ("GET", f"{read}/changes")]:
        refused = service.second.request(method, path, json={} if method in ("PATCH", "POST") else None)
        assert (refused.status_code, refused.json()["code"]) == (404, "catalog.unknown"), path


@pytest.mark.parametrize(
    ("sample", "products"),
    [
        ("shopify/packt_Product-data.csv", 20),
        ("woocommerce/e2e_sample_products.csv", 18),
        ("meta/hostedfb_dpa_product_catalog_sample_feed.csv", 9),
        ("meta/hostedfb_da_sales_training_products.csv", 6),
    ],
)
def test_files_people_really_have(service: Service, sample: str, products: int):
    """A dry run finds their products and a prompt."""
    path = SAMPLES / sample
    if not path.exists():
        pytest.skip("the sample files are not here")
    options = {"include": ["draft", "archived", "out_of_stock"], "dry_run": True}
    body = send(service, path.read_bytes(), **options).json()
    assert (body["counts"]["products"], body["estimate"]["renders"]) == (products, products)
    assert body["prompt"].startswith("a video about ")
