"""From any JSON to variables, pictures and a reference."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.triggers.bodies import JSON, SHOPIFY, WOOCOMMERCE, encoded
from worker.templates.variables import Variable
from worker.triggers import mapping, payloads
from worker.triggers.mapping import Mapping, filled, fitted
from worker.triggers.models import Style
from worker.triggers.wanted import CODES, NotWanted

BODY = {
    "id": 42,
    "name": " Mug \n",
    "price": 19.90,
    "tags": ["a", "b"],
    "sold": False,
    "none": None,
    "seller": {"name": "Oak", "since": 2001},
    "photos": [{"url": "https://a.example/1.jpg"}, {"url": "https://a.example/2.jpg"}, {"url": "not one"}],
    "cover": "https://a.example/2.jpg",
    "changed": "2026-01-01T01:00:00+01:00",
    "nul": "a\0b",
}


def _filled(**given: Any):
    assert mapping.wrong(given) == []
    return filled(payloads.read(encoded(BODY)), Mapping.read(given))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("/name", " Mug \n"),
        ("/id", 42),
        ("/price", 19.9),
        ("/sold", False),
        ("/tags", ["a", "b"]),
        ("/tags/1", "b"),
        ("/photos/*/url", ["https://a.example/1.jpg", "https://a.example/2.jpg", "not one"]),
        ("/nul", "ab"),
        ("/nothing/*", []),
        ({"const": "New"}, "New"),
        ({"const": [1, 2.5, True]}, [1, 2.5, True]),
        ({"pointer": "/name", "default": "x"}, " Mug \n"),
        ({"pointer": "/none", "default": "x"}, "x"),
        ({"pointer": "/no/where", "default": 5}, 5),
        ({"pointer": "/tags/*/x", "default": ["none"]}, ["none"]),
        ({"pointer": "/sold", "default": True}, False),
    ],
)
def test_a_variable(place: Any, value: object):
    """From a pointer, a constant, or a default where nothing or null is there."""
    if place == "/nothing/*":
        assert "v" not in _filled(variables={"v": place}).variables
    else:
        assert _filled(variables={"v": place}).variables == {"v": value}


@pytest.mark.parametrize("place", ["/none", "/no/where", {"pointer": "/none"}, {"const": None}])
def test_what_is_not_there_is_not_given(place: Any):
    """The template's own default, or its complaint, has its turn."""
    assert _filled(variables={"v": place, "name": "/name"}).variables == {"name": " Mug \n"}


@pytest.mark.parametrize("place", ["/seller", "/photos", "", "/photos/0", {"pointer": "/seller", "default": 1}])
def test_what_fits_no_variable(place: Any):
    """An object, or a list of them: the pointer stops too early."""
    with pytest.raises(NotWanted) as refused:
        _filled(variables={"v": place})
    assert refused.value.code == "trigger.variable"
    assert "`v`" in refused.value.detail


def test_a_whole_mapping():
    """And what it leaves unsaid."""
    made = _filled(
        variables={"title": "/name"},
        pictures=["/cover", "/photos", "/photos/*/url"],
        external_ref="/id",
        revision="/changed",
    )
    assert (made.product, made.ref, made.revision) == (None, "42", 1_767_225_600_000_000)
    assert made.pictures == ("https://a.example/2.jpg", "https://a.example/1.jpg")
    assert made.locator == {"id": "42"}
    bare = _filled()
    assert (bare.ref, bare.revision, bare.pictures, bare.variables) == (None, None, (), {})


@pytest.mark.parametrize(
    ("style", "body", "ref", "where"),
    [
        (Style.BEARER, {"id": 98765, "product_id": 42}, "/product_id", {"id": "42"}),
        (Style.BEARER, {"id": 98765, "sku": "b", "handle": "c", "of": "lamp-1"}, "/of", {"sku": "lamp-1"}),
        (Style.STRIPE, {"id": "evt_99", "data": {"object": {"id": "prod_1"}}}, "/data/object/id", {"sku": "prod_1"}),
        (Style.SHOPIFY, {"id": 7, "line_items": [{"product_id": 42}]}, "/line_items/0/product_id", {"id": "42"}),
        (Style.WOOCOMMERCE, {"id": 7, "line_items": [{"sku": "woo-1"}]}, "/line_items/0/sku", {"sku": "woo-1"}),
        (Style.BEARER, {"p": "gid://shopify/Product/42"}, "/p", {"id": "gid://shopify/Product/42"}),
        (Style.BEARER, {"id": 98765}, None, {}),
        (Style.WOOCOMMERCE, WOOCOMMERCE, "/slug", {"id": "794", "handle": "premium-quality-19"}),
    ],
)
def test_where_a_mapped_thing_is(style: Style, body: Any, ref: str | None, where: dict[str, str]):
    """What the reference says: another id in the body is of an event or an order, unless the body is the product."""
    assert filled(payloads.read(encoded(body)), Mapping(external_ref=ref), style).locator == where


def test_where_a_mapped_product_of_shopify_is():
    """Its body says it."""
    made = filled(payloads.read(encoded(SHOPIFY)), Mapping(external_ref="/handle"), Style.SHOPIFY)
    assert made.locator["id"] == str(SHOPIFY["id"])


@pytest.mark.parametrize("pointer", ["/no/where", "/none", "/sold", "/seller", "/tags", "/price"])
def test_a_reference_that_is_none(pointer: str):
    """Two things without one would be taken for the same."""
    with pytest.raises(NotWanted) as refused:
        _filled(external_ref=pointer)
    assert refused.value.code == "trigger.no_ref"


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        ("7", 7),
        (7.9, 7),
        ("2026-01-01T00:00:00Z", 1_767_225_600_000_000),
        ("2026-01-01T00:00:00.123456Z", 1_767_225_600_123_456),
        ("2026-01-01T00:00:00.123456789Z", 1_767_225_600_123_456),
        ("2026-01-01T00:00:00", 1_767_225_600_000_000),
        ("2026-01-01 02:00:00+02:00", 1_767_225_600_000_000),
        ("20260101", 20_260_101),
        (2**63 - 1, 2**63 - 1),
    ],
)
def test_a_revision(value: object, number: int):
    """A number, or a time in microseconds; one without a zone is UTC."""
    assert filled(payloads.read(encoded({"r": value})), Mapping(revision="/r")).revision == number


@pytest.mark.parametrize(
    "value", ["soon", True, [1], {}, 2**63, -7, "-1", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00+05:00", "9" * 19, ""]
)
def test_a_revision_that_is_none(value: object):
    """Must not let an old state overtake a new one unseen."""
    with pytest.raises(NotWanted) as refused:
        filled(payloads.read(encoded({"r": value})), Mapping(revision="/r"))
    assert refused.value.code == "trigger.revision"


def test_what_is_not_there_has_no_revision():
    """As a thing that was never changed."""
    assert _filled(revision="/none").revision is None
    assert _filled(revision="/no/where").revision is None


def test_it_is_kept_as_json():
    """And read again, with what is missing or unknown."""
    whole = Mapping({"a": "/a", "b": {"const": 1}}, ["/p"], "/id", "/r")
    assert Mapping.read(whole.kept()) == whole
    assert Mapping.read({"revision": "/r", "later": 1}) == Mapping(revision="/r")
    assert Mapping.read({}) == Mapping()


@pytest.mark.parametrize(
    ("value", "kind", "fit"),
    [
        (19.9, "text", "19.9"),
        (42, "text", "42"),
        (True, "text", "true"),
        (1e-7, "text", "0.0000001"),
        ("x", "list", ["x"]),
        (5, "list", ["5"]),
        ([1, "a"], "list", ["1", "a"]),
        ("19.9", "number", "19.9"),
        (["a"], "text", ["a"]),
        (False, "boolean", False),
    ],
)
def test_variables_as_they_are_declared(value: object, kind: Any, fit: object):
    """A number where a text is wanted is written out; the rest is left for the template to refuse."""
    assert fitted({"v": value, "other": 1, "none": None}, {"v": Variable(type=kind), "none": Variable()}) == {"v": fit}


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ([], ""),
        ({"variable": {}}, "/variable"),
        ({"variables": []}, "/variables"),
        ({"variables": {f"v{n}": "/a" for n in range(51)}}, "/variables"),
        ({"variables": {"a/b": "no slash"}}, "/variables/a~1b"),
        ({"variables": {"": "/a"}}, "/variables/"),
        ({"variables": {"x\0": "/a"}}, "/variables/x\0"),
        ({"variables": {"a": 5}}, "/variables/a"),
        ({"variables": {"a": {}}}, "/variables/a"),
        ({"variables": {"a": {"const": 1, "pointer": "/a"}}}, "/variables/a"),
        ({"variables": {"a": {"default": 1}}}, "/variables/a"),
        ({"variables": {"a": {"pointer": "x"}}}, "/variables/a/pointer"),
        ({"variables": {"a": {"const": {}}}}, "/variables/a/const"),
        ({"variables": {"a": {"const": "a\0"}}}, "/variables/a/const"),
        ({"variables": {"a": {"const": float("nan")}}}, "/variables/a/const"),
        ({"variables": {"a": {"pointer": "/a", "default": [[1]]}}}, "/variables/a/default"),
        ({"pictures": "/a"}, "/pictures"),
        ({"pictures": ["/a"] * 51}, "/pictures"),
        ({"pictures": ["/a", "b"]}, "/pictures/1"),
        ({"external_ref": "id"}, "/external_ref"),
        ({"revision": 5}, "/revision"),
        ({"external_ref": "/~5"}, "/external_ref"),
        ({"title": "/name"}, "/title"),
    ],
)
def test_what_is_wrong_with_a_mapping(given: Any, at: str):
    """Each with its place."""
    ((pointer, reason),) = mapping.wrong(given)
    assert pointer == at
    assert reason


PLACES = st.one_of(JSON, st.sampled_from(["", "/id", "/data/*", "/images/*/src", "/type"]))
MAPPINGS = st.one_of(
    JSON,
    st.fixed_dictionaries(
        {},
        optional={
            "variables": st.dictionaries(st.text(min_size=1, max_size=3), PLACES, max_size=3),
            "pictures": st.lists(PLACES, max_size=3),
            "external_ref": PLACES,
            "revision": PLACES,
        },
    ),
)


@settings(max_examples=60, deadline=None)
@given(JSON, MAPPINGS)
def test_any_mapping_of_any_body(value: object, given_mapping: Any):
    """Is refused as a mapping, fills a template, or is told why it cannot."""
    if mapping.wrong(given_mapping):
        return
    try:
        made = filled(payloads.read(encoded(value)), Mapping.read(given_mapping))
    except NotWanted as refused:
        assert refused.code in CODES  # noqa: PT017
    else:
        payloads.canonical(made.variables).encode()
