"""A strict stand-in for a shop at Shopify, written from its public documentation; it shares no code with the service.

Queries run against a schema of the documented types (graphql-core), so an unknown field or a variable of the wrong type
is an error as it is there. Each `productUpdate` with media makes a new one, whatever was made before. A video is named
as its `resourceUrl` is, a hash: what the staged upload was to be called is not kept, nor promised to be. `alt` is shown
as it was given, and is changed by `fileUpdate` once the file is ready.
"""

import hashlib
import itertools
import re
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from graphql import build_schema, graphql_sync, parse

from tests.publishing.standin import Reply, Request, Standin

SCHEMA = build_schema((Path(__file__).parent / "shopify_schema.graphql").read_text())
TOKEN = "shpat_a_token_of_the_tests"
VERSION = "2026-10"


class Record(dict[str, Any]):
    """Resolved by key."""


class Shopify(Standin):
    """One shop. `products` by gid, each with its media, the newest last."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count(1)
        self.products: dict[str, Record] = {}
        self.skus: dict[str, str] = {}
        self.staged: dict[str, dict[str, Any]] = {}
        self.uploaded: dict[str, bytes] = {}
        self.deleted: list[str] = []
        self.token = TOKEN
        self.polls = 1
        """Looks at a new video before it is ready."""
        self.breaks = False
        """New videos cannot be processed."""
        self.throttled = 0
        """Queries to come that the bucket has no points for."""
        self.lacks: set[str] = set()
        """Scopes that the token does not have."""
        self.joining: list[Record] = []
        """What somebody else adds to the product at the next `productUpdate`."""
        self.rewrites = False
        """Something in the shop gives each new video an alternative text of its own."""
        self.hides = 0
        """Looks at a product before it shows a new video."""

    def forgets(self) -> None:
        """Staged uploads are temporary: those that became nobody's media yet are gone."""
        used = {media.get("source") for product in self.products.values() for media in self.videos(product)}
        self.uploaded = {number: file for number, file in self.uploaded.items() if number in used}

    def has(self, number: int, handle: str, sku: str = "") -> Record:
        """Put a product into the shop, with a picture."""
        picture = Record(__typename="MediaImage", id=f"gid://shopify/MediaImage/{number}", status="READY")
        picture |= {"mediaContentType": "IMAGE", "mediaErrors": [], "alt": None}
        gid = f"gid://shopify/Product/{number}"
        product = Record(__typename="Product", id=gid, handle=handle, title=handle.title(), shown=[picture])
        product["media"] = lambda info, first=None: {"nodes": [one for one in product["shown"] if _seen(one)][:first]}
        self.products[gid] = product
        if sku:
            self.skus[sku] = gid
        return product

    @staticmethod
    def videos(product: Record) -> list[Record]:
        return [one for one in product["shown"] if one["__typename"] == "Video"]

    def name(self, request: Request) -> str:
        if request.path.startswith("/staged/"):
            return "upload"
        selected = parse(request.json()["query"]).definitions[0].selection_set.selections
        return selected[0].name.value

    def answer(self, request: Request) -> Reply:
        if request.path.startswith("/staged/"):
            return self._take(request)
        if (request.method, request.path) != ("POST", f"/admin/api/{VERSION}/graphql.json"):
            return Reply(404, {"errors": "Not Found"})
        if request.headers.get("x-shopify-access-token") != self.token:
            return Reply(
                401, {"errors": "[API] Invalid API key or access token (unrecognized login or wrong password)"}
            )
        if not request.headers.get("content-type", "").startswith("application/json"):
            return Reply(415, {"errors": "unsupported media type"})
        if self.throttled:
            self.throttled -= 1
            return Reply(200, {"errors": [_coded("Throttled", "THROTTLED")], "extensions": _cost(available=2)})
        asked = request.json()
        done = graphql_sync(SCHEMA, asked["query"], root_value=self._root(), variable_values=asked.get("variables"))
        whole: dict[str, Any] = {"data": done.data, "extensions": _cost(available=1990)}
        if done.errors:
            whole["errors"] = [_said(one) for one in done.errors]
        return Reply(200, whole)

    def _root(self) -> dict[str, Any]:
        return {
            "shop": {"name": "A lamp shop"},
            "currentAppInstallation": {"accessScopes": [{"handle": one} for one in self._scopes()]},
            "node": self._node,
            "productByIdentifier": self._by_identifier,
            "productVariants": self._variants,
            "stagedUploadsCreate": self._stage,
            "productUpdate": self._update,
            "fileUpdate": self._change,
            "fileDelete": self._delete,
        }

    def _scopes(self) -> list[str]:
        return sorted({"read_products", "write_products", "write_files"} - self.lacks)

    def _needs(self, scope: str, field: str) -> None:
        if scope in self.lacks:
            raise PermissionError(f"Access denied for {field} field. Required access: `{scope}` access scope.")

    def _by_identifier(self, info: Any, identifier: dict[str, str]) -> Record | None:
        if len(identifier) != 1:
            raise ValueError("exactly one identifier")
        self._needs("read_products", "productByIdentifier")
        if "id" in identifier:
            return self.products.get(identifier["id"])
        return next((one for one in self.products.values() if one["handle"] == identifier["handle"]), None)

    def _variants(self, info: Any, first: int | None = None, query: str = "") -> dict[str, Any]:
        wanted = re.fullmatch(r'sku:"(.*)"', query)
        assert wanted, f"a search that this stand-in does not know: {query}"
        words = re.sub(r"\\(.)", r"\1", wanted[1]).casefold()
        near = [sku for sku in self.skus if sku.casefold().startswith(words)]
        found = [{"id": f"v-{sku}", "sku": sku, "product": self.products[self.skus[sku]]} for sku in near]
        return {"nodes": found[:first]}

    def _node(self, info: Any, id: str) -> Record | None:
        found = next((one for product in self.products.values() for one in product["shown"] if one["id"] == id), None)
        if found is not None and found["status"] in ("UPLOADED", "PROCESSING"):
            found["left"] -= 1
            found["status"] = "PROCESSING" if found["left"] >= 0 else "FAILED" if found["breaks"] else "READY"
            if found["status"] == "FAILED":
                error = {"code": "VIDEO_VALIDATION_ERROR", "details": None, "message": "Video is too long"}
                found["mediaErrors"] = [error]
        return found

    def _stage(self, info: Any, input: list[dict[str, Any]]) -> dict[str, Any]:
        targets = []
        for wish in input:
            if wish["resource"] == "VIDEO" and "fileSize" not in wish:
                return _refused("fileSize is required for VIDEO")
            if wish["httpMethod"] != "POST":
                return _refused("only POST is known here")
            number = str(next(self.numbers))
            parameters = {"policy": f"policy-{number}", "key": f"tmp/{number}", "x-goog-signature": "f" * 40}
            self.staged[number] = {"wish": wish, "parameters": parameters}
            name = hashlib.sha256(number.encode()).hexdigest()[:32]
            resource = f"{self.url}/video-originals/c/o/v/{name}.mp4?external_video_id={number}"
            target = {"url": f"{self.url}/staged/{number}", "resourceUrl": resource}
            targets.append(target | {"parameters": [{"name": k, "value": v} for k, v in parameters.items()]})
        return {"stagedTargets": targets, "userErrors": []}

    def _take(self, request: Request) -> Reply:
        """As the storage behind the staged address does: the parameters, then the file, of the size that was told."""
        place = self.staged[request.path.rpartition("/")[2]]
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        parts = list(BytesParser(policy=HTTP).parsebytes(head + request.body).iter_parts())
        names = [one.get_param("name", header="content-disposition") for one in parts]
        contents = [one.get_payload(decode=True) for one in parts]
        if names[-1:] != ["file"] or names.count("file") != 1:
            return Reply(400, b"<Error>the file comes last</Error>")
        fields = dict(zip(names[:-1], (one.decode() for one in contents[:-1]), strict=True))
        wish = place["wish"]
        file = request.body[request.body.index(b"\r\n\r\n", request.body.index(b'name="file"')) + 4 :]
        file = file[: file.rindex(b"\r\n--", 0, len(file) - 4)]
        if fields != place["parameters"] or parts[-1].get_content_type() != wish["mimeType"]:
            return Reply(403, b"<Error>the parameters do not match the policy</Error>")
        if len(file) != int(wish["fileSize"]):
            return Reply(400, b"<Error>EntityTooLarge or too small</Error>")
        self.uploaded[request.path.rpartition("/")[2]] = file
        return Reply(201, b"<PostResponse/>")

    def _update(self, info: Any, product: dict[str, Any], media: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        self._needs("write_products", "productUpdate")
        found = self.products.get(product["id"])
        if found is None:
            return {"product": None, "userErrors": [{"field": ["id"], "message": "Product does not exist"}]}
        for one in media or []:
            source = urlsplit(one["originalSource"])
            number = parse_qs(source.query).get("external_video_id", [""])[0]
            if number not in self.uploaded:
                told = {"field": ["media"], "message": "Invalid video url"}
                return {"product": found, "userErrors": [told]}
            made = Record(__typename="Video", id=f"gid://shopify/Video/{next(self.numbers)}", status="UPLOADED")
            made |= {"filename": source.path.rpartition("/")[2], "alt": one.get("alt"), "mediaErrors": []}
            made |= {"mediaContentType": "VIDEO", "left": self.polls, "breaks": self.breaks, "source": number}
            made |= {"alt": "rewritten"} if self.rewrites else {}
            found["shown"] += [*self.joining, Record(made | {"hidden": self.hides})]
            self.joining = []
        self.edited.append(found["id"])
        return {"product": found, "userErrors": []}

    def _change(self, info: Any, files: list[dict[str, Any]]) -> dict[str, Any]:
        self._needs("write_files", "fileUpdate")
        everything = {media["id"]: media for product in self.products.values() for media in product["shown"]}
        for one in files:
            if one["id"] not in everything:
                told = {"field": ["files"], "message": "File does not exist", "code": "FILE_DOES_NOT_EXIST"}
                return {"files": None, "userErrors": [told]}
            if everything[one["id"]]["status"] != "READY":
                told = {"field": ["files"], "message": "Non-ready files", "code": "NON_READY_STATE"}
                return {"files": None, "userErrors": [told]}
        for one in files:
            everything[one["id"]]["alt"] = one.get("alt")
        return {"files": [everything[one["id"]] for one in files], "userErrors": []}

    def _delete(self, info: Any, fileIds: list[str]) -> dict[str, Any]:  # noqa: N803 - the argument's own name
        self._needs("write_files", "fileDelete")
        problems, found = [], []
        for one in fileIds:
            holder = next((p for p in self.products.values() if any(m["id"] == one for m in p["shown"])), None)
            if holder is None:
                problems.append({"field": ["fileIds"], "message": "File does not exist", "code": "FILE_DOES_NOT_EXIST"})
                continue
            media = next(m for m in holder["shown"] if m["id"] == one)
            if media["status"] in ("UPLOADED", "PROCESSING"):
                problems.append({"field": ["fileIds"], "message": "File is locked", "code": "FILE_LOCKED"})
            found.append((holder, media))
        if problems:  # what becomes of the others is not documented: nothing
            return {"deletedFileIds": [], "userErrors": problems}
        for holder, media in found:
            holder["shown"].remove(media)
            self.edited.append(holder["id"])
            self.deleted.append(media["id"])
        return {"deletedFileIds": [media["id"] for _, media in found], "userErrors": []}


def _seen(media: Record) -> bool:
    media["hidden"] = media.get("hidden", 0) - 1
    return media["hidden"] < 0


def _refused(message: str) -> dict[str, Any]:
    return {"stagedTargets": None, "userErrors": [{"field": ["input"], "message": message}]}


def _coded(message: str, code: str) -> dict[str, Any]:
    return {"message": message, "extensions": {"code": code}}


def _said(error: Any) -> dict[str, Any]:
    if isinstance(error.original_error, PermissionError):
        return _coded(error.message, "ACCESS_DENIED")
    return {"message": error.message}


def _cost(available: int) -> dict[str, Any]:
    status = {"maximumAvailable": 2000.0, "currentlyAvailable": available, "restoreRate": 100.0}
    return {"cost": {"requestedQueryCost": 12, "actualQueryCost": None, "throttleStatus": status}}
