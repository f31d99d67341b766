"""What columns, elements and keys are called, in one table a dialect. docs/catalogs.md shows it to users.

A name is compared without regard to case, `g:`, and whether words are parted by a space, `_` or `-`.
"""

import re
from collections.abc import Iterable, Mapping

Names = Mapping[str, tuple[str, ...]]
"""Names by field; where several are there, the earlier one is used and a later one fills its gaps."""

MERCHANT: Names = {
    "ref": ("id", "item id", "product id", "offer id", "sku", "retailer id", "article number", "artikelnummer",
            "variant sku", "handle", "url handle"),
    "title": ("title", "name", "product name", "product title", "item title", "titel", "produktname", "bezeichnung"),
    "description": ("description", "body html", "body (html)", "rich text description", "product description",
                    "long description", "summary", "content", "short description", "beschreibung"),
    "link": ("link", "url", "product url", "product link", "product page", "permalink", "canonical link", "deeplink",
             "produktlink"),
    "image": ("image link", "image", "image url", "image src", "images", "picture", "picture url", "photo",
              "main image", "product image", "product image url", "featured image", "bild", "bild url",
              "bildlink"),
    "images": ("additional image link", "additional image links", "additional images", "additional image urls",
               "more images", "image links", "image urls", "pictures", "photos", "gallery", "bilder"),
    "price": ("price", "regular price", "variant price", "base price", "list price", "original price", "preis"),
    "sale_price": ("sale price", "special price", "discount price", "discounted price", "angebotspreis"),
    "compare_price": ("compare at price", "variant compare at price"),
    "currency": ("currency", "price currency", "currency code", "währung"),
    "availability": ("availability", "in stock", "in stock?", "available", "stock status", "verfügbarkeit"),
    "stock": ("stock", "quantity", "inventory", "inventory quantity", "stock quantity", "qty",
              "quantity to sell on facebook", "lagerbestand"),
    "status": ("status", "visibility", "state"),
    "published": ("published",),
    "brand": ("brand", "vendor", "manufacturer", "marke", "hersteller"),
}  # fmt: skip
"""Google Merchant, Meta, JSON, and tables that people made themselves."""

SHOPIFY: Names = {
    "ref": ("handle", "url handle"),
    "title": ("title",),
    "description": ("body (html)", "body html", "description", "body"),
    "brand": ("vendor",),
    "price": ("variant price", "price"),
    "compare_price": ("variant compare at price", "compare at price"),
    "sku": ("variant sku", "sku"),
    "option": ("option1 value",),
    "tracker": ("variant inventory tracker", "inventory tracker"),
    "stock": ("variant inventory qty", "inventory quantity", "variant inventory quantity"),
    "policy": ("variant inventory policy", "continue selling when out of stock"),
    "image": ("image src", "product image url", "image url"),
    "position": ("image position",),
    "variant_image": ("variant image", "variant image url"),
    "published": ("published", "published on online store"),
    "status": ("status",),
}
"""Both dialects of its CSV, and mixes of them."""

WOOCOMMERCE: Names = {
    "id": ("id",),
    "type": ("type",),
    "sku": ("sku",),
    "title": ("name",),
    "short_description": ("short description",),
    "description": ("description",),
    "published": ("published",),
    "status": ("visibility in catalog",),
    "availability": ("in stock?", "in stock", "is in stock"),
    "price": ("regular price",),
    "sale_price": ("sale price",),
    "image": ("images", "image"),
    "parent": ("parent",),
    "link": ("external url", "permalink"),
    "brand": ("brands", "brand"),
}

FOREIGN: Mapping[str, tuple[str, ...]] = {
    "feed.flights": ("origin airport", "destination airport", "flight id", "flight number", "airline"),
    "feed.hotels": ("hotel id", "room type id", "hotel name"),
    "feed.travel": ("destination id", "home listing id", "vehicle id"),
}
"""Names that only other kinds of catalog have, by the refusal."""

SHOPIFY_MARKS = frozenset(
    {
        "body (html)",
        "body html",
        "vendor",
        "variant price",
        "image src",
        "product image url",
        "option1 name",
        "variant sku",
    }
)
WOOCOMMERCE_MARKS = frozenset(
    {"regular price", "in stock?", "visibility in catalog", "is featured?", "parent", "short description", "tax status"}
)
META_MARKS = frozenset(
    {"fb product category", "quantity to sell on facebook", "rich text description", "ios url", "android url",
     "android package", "applink.ios url", "image[0].url", "commerce tax category", "video[0].url"}
)  # fmt: skip
MERCHANT_MARKS = frozenset({"image link", "google product category", "item group id", "additional image link"})

_NUMBERED = re.compile(
    r"(?:additional )?(?:images?|image link|image url|image src|pictures?|photos?)"
    r"[ \[/.]*[0-9]{1,3}\]?[ /.]*(?:url|src|link)?"
)
"""image[0].url, image_1, Image 2 URL, images/0/src."""
_PARTING = re.compile(r"[\s_-]+")


def plain(name: str) -> str:
    """As names are compared."""
    return _PARTING.sub(" ", name.strip().strip("\ufeff").casefold()).strip().removeprefix("g:").strip()


def fields_of(names: Names) -> dict[str, tuple[str, int]]:
    """Field and rank by plain name."""
    return {alias: (field, rank) for field, aliases in names.items() for rank, alias in enumerate(aliases)}


def is_numbered_picture(name: str) -> bool:
    """Whether `name` (plain) is one of a row of picture columns."""
    return bool(_NUMBERED.fullmatch(name))


def foreign(names: Iterable[str]) -> str | None:
    """The refusal, where `names` (plain) are those of another kind of catalog."""
    seen = set(names)
    for code, marks in FOREIGN.items():
        found = seen.intersection(marks)
        if len(found) >= 2 or (found and "id" not in seen):
            return code
    return None


def are_of_products(fields: Iterable[str]) -> bool:
    """Whether the recognised fields can make a product: something to call it, to show it, and to tell it by."""
    seen = set(fields)
    return {"ref", "title"} <= seen and bool(seen & {"price", "image", "images", "link", "compare_price"})
