"""Bodies as shops send them, by their public documentation, and any JSON at all."""

import json
from typing import Any

from hypothesis import strategies as st

SHOPIFY: dict[str, Any] = {
    "admin_graphql_api_id": "gid://shopify/Product/788032119674292922",
    "body_html": "<p>An <strong>example</strong> T-Shirt</p><p>Cotton</p>",
    "created_at": None,
    "handle": "example-t-shirt",
    "id": 788032119674292922,
    "product_type": "Shirts",
    "published_at": "2021-12-31T19:00:00-05:00",
    "template_suffix": None,
    "title": "Example T-Shirt",
    "updated_at": "2021-12-31T19:00:00-05:00",
    "vendor": "Acme",
    "status": "active",
    "published_scope": "web",
    "tags": "example, mens, t-shirt",
    "variants": [
        {
            "admin_graphql_api_id": "gid://shopify/ProductVariant/642667041472713922",
            "barcode": None,
            "compare_at_price": "24.99",
            "id": 642667041472713922,
            "inventory_policy": "deny",
            "price": "19.99",
            "product_id": 788032119674292922,
            "sku": "example-shirt-s",
            "title": "",
            "inventory_quantity": 75,
        },
        {"id": 757650484644203962, "price": "19.99", "sku": "example-shirt-m", "inventory_policy": "deny",
         "inventory_quantity": 50, "compare_at_price": "24.99"},
    ],
    "options": [],
    "images": [],
    "image": None,
    "media": [],
    "variant_gids": [],
    "has_variants_that_requires_components": False,
    "category": None,
}  # fmt: skip
"""`products/update`, without pictures: unwrapped, prices as texts, tags as one text, `image` null."""

WOOCOMMERCE: dict[str, Any] = {
    "id": 794,
    "name": "Premium Quality",
    "slug": "premium-quality-19",
    "permalink": "https://example.com/product/premium-quality-19/",
    "date_created": "2017-03-23T17:01:14",
    "date_created_gmt": "2017-03-23T20:01:14",
    "date_modified": "2017-03-23T17:01:14",
    "date_modified_gmt": "2017-03-23T20:01:14",
    "type": "simple",
    "status": "publish",
    "featured": False,
    "catalog_visibility": "visible",
    "description": "<p>Pellentesque habitant morbi tristique.</p>\n",
    "short_description": "<p>Short.</p>\n",
    "sku": "",
    "price": "21.99",
    "regular_price": "21.99",
    "sale_price": "",
    "date_on_sale_from": None,
    "price_html": '<span class="amount">&#36;&nbsp;21.99</span>',
    "on_sale": False,
    "purchasable": True,
    "total_sales": 0,
    "virtual": False,
    "external_url": "",
    "button_text": "",
    "manage_stock": False,
    "stock_quantity": None,
    "stock_status": "instock",
    "backorders": "no",
    "weight": "",
    "dimensions": {"length": "", "width": "", "height": ""},
    "parent_id": 0,
    "categories": [{"id": 9, "name": "Clothing", "slug": "clothing"}],
    "tags": [],
    "brands": [{"id": 4, "name": "Oak & Sons", "slug": "oak"}],
    "images": [
        {"id": 792, "src": "https://example.com/wp-content/uploads/2017/03/T_2_front-4.jpg", "name": "", "alt": ""},
        {"id": 793, "src": "https://example.com/wp-content/uploads/2017/03/T_2_back-2.jpg", "name": "", "alt": ""},
    ],
    "attributes": [],
    "variations": [],
    "menu_order": 0,
    "meta_data": [],
    "_links": {"self": [{"href": "https://example.com/wp-json/wc/v3/products/794"}]},
}  # fmt: skip
"""`product.updated`."""

_NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
SCALARS = st.one_of(st.none(), st.booleans(), _NUMBERS, st.text(max_size=20))
NAMES = st.one_of(
    st.sampled_from([*SHOPIFY, *WOOCOMMERCE, "data", "object", "product", "type", "*"]), st.text(max_size=5)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=6)),
    max_leaves=25,
)
"""Values with the names that are looked for."""


def encoded(value: object) -> bytes:
    """As a body; half surrogates are escaped."""
    return json.dumps(value).encode()
