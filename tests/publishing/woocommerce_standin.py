"""A strict stand-in for WordPress with WooCommerce, written from their public documentation; it shares no code with the
service. Each upload makes a new file in the library, whatever is there: a name that is taken gets a number.
"""

import base64
import itertools
import re
from typing import Any

from tests.publishing.standin import Reply, Request, Standin

USER, PASSWORD = "shopkeeper", "abcd efgh ijkl mnop qrst uvwx"
KEY, SECRET = "ck_1234", "cs_5678"


class WooCommerce(Standin):
    """One shop: `library` and `products` by id."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count(500)
        self.library: dict[int, dict[str, Any]] = {}
        self.files: dict[int, bytes] = {}
        self.products: dict[int, dict[str, Any]] = {}
        self.deleted: list[int] = []
        self.password = PASSWORD
        self.routes = True
        """WooCommerce's own are there: not where it is turned off, or permalinks are plain."""
        self.capabilities = {"upload_files": True, "edit_products": True, "delete_posts": True}

    def has(self, number: int, sku: str = "", *, parent_id: int = 0, kind: str = "simple") -> dict[str, Any]:
        """`parent_id` is of variations, and of products that were once children of a grouped one."""
        row = {
            "id": number,
            "sku": sku,
            "slug": f"lamp-{number}",
            "type": kind,
            "parent_id": parent_id,
            "meta_data": [],
        }
        self.products[number] = row
        return row

    @staticmethod
    def meta(product: dict[str, Any]) -> dict[str, str]:
        keys = [one["key"] for one in product["meta_data"]]
        assert len(keys) == len(set(keys)), "a field twice"
        return {one["key"]: one["value"] for one in product["meta_data"]}

    def name(self, request: Request) -> str:
        return f"{request.method} {re.sub(r'/[0-9]+$', '/N', request.path.removeprefix('/wp-json'))}"

    def answer(self, request: Request) -> Reply:
        of_shop = request.path.startswith("/wp-json/wc/v3/")
        if of_shop and not self.routes:
            return _wrong(404, "rest_no_route", "No route was found matching the URL and request method.")
        if not self._let_in(request, of_shop=of_shop):
            if of_shop:
                return _wrong(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")
            return _wrong(401, "incorrect_password", "The provided password is an invalid application password.")
        match self.name(request):
            case "GET /wp/v2/users/me":
                more = {"capabilities": self.capabilities} if request.query.get("context") == "edit" else {}
                return Reply(200, {"id": 1, "name": "The shopkeeper"} | more)
            case "GET /wp/v2/media":
                return self._search(request.query)
            case "POST /wp/v2/media":
                return self._create(request)
            case "DELETE /wp/v2/media/N":
                return self._delete(_number(request), request.query)
            case "GET /wc/v3/products":
                return self._list(request.query)
            case "GET /wc/v3/products/N":
                found = self.products.get(_number(request))
                return Reply(200, found) if found else _wrong(404, "woocommerce_rest_product_invalid_id", "Invalid ID.")
            case "PUT /wc/v3/products/N":
                return self._update(_number(request), request.json())
            case _:
                return _wrong(404, "rest_no_route", "No route was found matching the URL and request method.")

    def _let_in(self, request: Request, *, of_shop: bool) -> bool:
        given = request.headers.get("authorization", "")
        user, _, password = base64.b64decode(given.removeprefix("Basic ")).decode().partition(":")
        if of_shop and (user, password) == (KEY, SECRET):
            return True
        return user == USER and password.replace(" ", "") == self.password.replace(" ", "")

    def _search(self, query: dict[str, str]) -> Reply:
        if not 1 <= int(query.get("per_page", 10)) <= 100:
            return _wrong(400, "rest_invalid_param", "Invalid parameter(s): per_page")
        words = query.get("search", "")
        found = [one for one in self.library.values() if words in one["source_url"] and one["media_type"] == "file"]
        return Reply(200, found[::-1] if query.get("media_type") == "video" else [])

    def _create(self, request: Request) -> Reply:
        named = re.fullmatch(r'attachment; filename="([^"]+)"', request.headers.get("content-disposition", ""))
        if not named:
            return _wrong(400, "rest_upload_no_content_disposition", "No Content-Disposition supplied.")
        if not request.headers.get("content-type"):
            return _wrong(400, "rest_upload_no_content_type", "No Content-Type supplied.")
        if not request.body:
            return _wrong(400, "rest_upload_no_data", "No data supplied.")
        stem, _, ending = named[1].rpartition(".")
        taken = {one["source_url"].rpartition("/")[2] for one in self.library.values()}
        names = itertools.chain([named[1]], (f"{stem}-{n}.{ending}" for n in itertools.count(1)))
        name = next(one for one in names if one not in taken)
        number = next(self.numbers)
        row = {"id": number, "media_type": "file", "mime_type": request.headers["content-type"]}
        row["source_url"] = f"{self.url}/wp-content/uploads/2026/11/{name}"
        self.library[number], self.files[number] = row, request.body
        return Reply(201, row, {"Location": f"{self.url}/wp-json/wp/v2/media/{number}"})

    def _delete(self, number: int, query: dict[str, str]) -> Reply:
        if number not in self.library:
            return _wrong(404, "rest_post_invalid_id", "Invalid post ID.")
        if query.get("force") != "true":
            return _wrong(501, "rest_trash_not_supported", "The post does not support trashing.")
        self.deleted.append(number)
        return Reply(200, {"deleted": True, "previous": self.library.pop(number)})

    def _list(self, query: dict[str, str]) -> Reply:
        rows = list(self.products.values())
        for name in ("sku", "slug"):
            if name in query:
                rows = [one for one in rows if one[name].casefold() == query[name].casefold()]
        return Reply(200, rows[: int(query.get("per_page", 10))])

    def _update(self, number: int, body: dict[str, Any]) -> Reply:
        if number not in self.products:
            return _wrong(400, "woocommerce_rest_product_invalid_id", "Invalid ID.")
        if body.keys() - {"meta_data"}:
            return _wrong(400, "rest_invalid_param", "Nothing else is to be changed.")
        self.edited.append(number)
        kept = self.products[number]["meta_data"]
        for one in body["meta_data"]:
            same = next((field for field in kept if field["key"] == one["key"]), None)
            if same is None:
                kept.append({"id": next(self.numbers), **one})
            else:
                same["value"] = one["value"]
        return Reply(200, self.products[number])


def _number(request: Request) -> int:
    return int(request.path.rpartition("/")[2])


def _wrong(status: int, code: str, message: str) -> Reply:
    return Reply(status, {"code": code, "message": message, "data": {"status": status}})
