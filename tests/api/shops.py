"""Shops that send webhooks, as the tests need them: bodies, and signatures made without the service's own code."""

import base64
import hashlib
import hmac
import json
from typing import Any

import httpx

from tests.api.service import Service
from worker.database import new_id

PROMPT = "a video about {{ title }}{% if price %} for {{ price }}{% endif %}"
SECRET = "the-shop's-own-secret-of-the-tests"


def template(service: Service, owner: httpx.Client | None = None) -> str:
    """The name of a new template."""
    name = f"shop-{new_id('tpl')[4:]}"
    content = {"prompt": PROMPT, "variables": {"title": {}, "price": {"required": False}}}
    made = (owner or service.first).post("/v1/templates", json={"name": name, **content})
    assert made.status_code == 201, made.text
    return name


def trigger(service: Service, owner: httpx.Client | None = None, **given: Any) -> dict[str, Any]:
    """A Shopify shop's, or what is given."""
    usual = {"style": "shopify", "template": template(service, owner), "secret": SECRET}
    made = (owner or service.first).post("/v1/triggers", json=usual | given)
    assert made.status_code == 201, made.text
    return made.json()


def product(number: int = 1, **fields: Any) -> dict[str, Any]:
    """As Shopify sends it."""
    usual = {
        "id": number,
        "title": f"Lamp {number}",
        "handle": f"lamp-{number}",
        "status": "active",
        "updated_at": "2026-03-01T10:00:00Z",
        "body_html": "<p>Bright.</p>",
        "vendor": "Acme",
        "tags": "a, b",
        "image": None,
        "images": [{"src": f"https://shop.example/{number}.jpg"}],
        "variants": [{"id": 10 + number, "price": "19.90", "inventory_quantity": 3}],
    }
    return usual | fields


def signed(body: bytes, *, secret: str = SECRET, topic: str = "products/update", id: str = "") -> dict[str, str]:
    """Shopify's headers."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return {
        "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
        "X-Shopify-Topic": topic,
        "X-Shopify-Webhook-Id": id or new_id("msg"),
        "X-Shopify-Shop-Domain": "shop.example",
        "Content-Type": "application/json",
    }


def send(service: Service, at: str, content: Any, **how: str) -> httpx.Response:
    """A message to an address; bytes as they are, the rest as JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return service.nobody.post(at, content=body, headers=signed(body, **how))
