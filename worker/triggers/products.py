"""The product in a message's body, by the catalogs' own readers: the same product, whichever way it came."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from worker.catalogs.feeds import Product
from worker.catalogs.feeds.json_items import fields_in
from worker.catalogs.feeds.merchant import read_record
from worker.catalogs.feeds.shopify_json import unwrapped
from worker.catalogs.requests import variables
from worker.triggers.models import Style
from worker.triggers.moments import revision
from worker.triggers.wanted import NotWanted, Wanted
from worker.triggers.woocommerce import as_fields

_PLACE = 1
"""A message is about one product."""
_REVISIONS = ("date_modified_gmt", "updated_at", "updatedAt", "modified_at", "date_modified")
_WRAPPED = ("data", "object", "product")
"""Where the thing is in the events of Standard Webhooks (`data`) and Stripe (`data.object`)."""
_LONGEST_LOCATOR = 255
_SHOPIFY_PRODUCT = "gid://shopify/Product/"


def wanted(style: Style, payload: Any) -> Wanted:
    """The product as a catalog would have it. Raises NotWanted."""
    fields = _product_in(style, payload)
    number = next((one for name in _REVISIONS if (one := revision(fields.get(name))) is not None), None)
    try:
        product = _read(as_fields(fields) if style is Style.WOOCOMMERCE else fields)
    except NotWanted as error:
        raise error.about(error.ref, number) from None
    given = {name: value for name, value in variables(product, list(product.pictures)).items() if value is not None}
    return Wanted(
        product=product,
        ref=product.ref,
        revision=number,
        variables=given,
        pictures=product.pictures,
        locator=locator(fields),
    )


def locator(fields: Mapping[str, Any]) -> dict[str, str]:
    """Where the product is in its shop, as far as it says so."""
    variants = fields.get("variants")
    said = {
        "id": fields.get("id"),
        "gid": fields.get("admin_graphql_api_id"),
        "handle": fields.get("handle") or fields.get("slug"),
        "sku": fields.get("sku") or (_first_sku(cast("list[Any]", variants)) if isinstance(variants, list) else None),
    }
    texts = {name: _text(value) for name, value in said.items()}
    return {name: text for name, text in texts.items() if text}


def located(style: Style, payload: Any, ref: str | None) -> dict[str, str]:
    """Where the thing is in its shop, where a mapping says what is what: a body that is a product of that shop says so
    itself; any other body's `id` may be an event's, an order's, a message's, and only the reference is the thing's."""
    if isinstance(payload, dict) and _is_product(style, cast("dict[str, Any]", payload)):
        return locator(cast("dict[str, Any]", payload))
    if ref is None:
        return {}
    return {"id": ref} if ref.isdecimal() or ref.startswith(_SHOPIFY_PRODUCT) else {"sku": ref}


def _is_product(style: Style, fields: Mapping[str, Any]) -> bool:
    match style:
        case Style.SHOPIFY:
            return str(fields.get("admin_graphql_api_id")).startswith(_SHOPIFY_PRODUCT)
        case Style.WOOCOMMERCE:
            return "catalog_visibility" in fields  # neither orders nor customers have it
        case _:
            return False


def _first_sku(variants: Sequence[Any]) -> Any:
    return cast("dict[str, Any]", variants[0]).get("sku") if variants and isinstance(variants[0], dict) else None


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value).strip()
    return text if len(text) <= _LONGEST_LOCATOR and text.isprintable() else ""


def _product_in(style: Style, payload: Any) -> dict[str, Any]:
    if not isinstance(payload, dict):
        raise NotWanted("trigger.no_product", "The body is no JSON object: send a product, or give a mapping.")
    fields = cast("dict[str, Any]", payload)
    if style not in (Style.SHOPIFY, Style.WOOCOMMERCE):
        for name in _WRAPPED:
            if isinstance(inner := fields.get(name), dict):
                fields = cast("dict[str, Any]", inner)
    return unwrapped(fields)


def _read(fields: dict[str, Any]) -> Product:
    for item in read_record(_PLACE, fields_in(fields)):
        if isinstance(item, Product):
            return item
        if item.fatal:
            raise NotWanted(item.code, item.detail, ref=item.ref)
    raise NotWanted("trigger.no_product", "There is no product in the body.")
