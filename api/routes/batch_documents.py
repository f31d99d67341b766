"""What the OpenAPI document says of batches beyond their routes' signatures: bodies and answers that are files."""

import json

from api.batches.bodies import BatchBody, BatchDryRunBody
from api.routes.documented import Entry, answer

_TEXT: Entry = {"type": "string"}
_JSONL = json.dumps({"prompt": "a 10-second video about our trail shoe", "external_ref": "sku-1"}) + "\n"
_CSV = "external_ref,prompt,assets\nsku-1,a 10-second video about our trail shoe,https://shop.example/shoe.jpg\n"
_FORM: Entry = {
    "type": "object",
    "properties": {"file": {"type": "string", "format": "binary"}},
    "required": ["file"],
    "additionalProperties": False,
}
TAKEN: Entry = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/BatchRequest"}},
            "application/x-ndjson": {"schema": _TEXT, "example": _JSONL},
            "text/csv": {"schema": _TEXT, "example": _CSV},
            "multipart/form-data": {"schema": _FORM},
        },
    }
}
CREATED: dict[int | str, Entry] = {
    200: answer("With `dry_run`: valid.", model=BatchDryRunBody),
    202: answer("Taken on.", "Location", "Retry-After", "Idempotent-Replayed", model=BatchBody),
}
_ID = "rnd_01m83n9j8evterwp11paawbt0r"
_ADDRESS = f"https://videos.example/v1/renders/{_ID}/video"
_SHA256 = "434c8104127dd6ee6c0a2ef8a7a5d0a7c6b2f3f1e0d9c8b7a6958473625140ff"
_LINE: Entry = {
    "ref": "sku-1",
    "id": _ID,
    "position": 1,
    "status": "succeeded",
    "address": _ADDRESS,
    "sha256": _SHA256,
    "duration": 6.0,
    "credits": 100.0,
    "error": None,
}
_TABLE = f"{','.join(_LINE)}\r\nsku-1,{_ID},1,succeeded,{_ADDRESS},{_SHA256},6.0,100.0,\r\n"
MANIFEST: dict[int | str, Entry] = {
    200: answer(
        "A line for each render.",
        "Content-Disposition",
        content={
            "application/x-ndjson": {"schema": _TEXT, "example": json.dumps(_LINE) + "\n"},
            "text/csv": {"schema": _TEXT, "example": _TABLE},
        },
    )
}
_REJECTED = (
    "external_ref,prompt,assets,problem.line,problem.code,problem.detail\r\n"
    "sku-2,,https://shop.example/boot.jpg,3,row.invalid,/prompt: Field required\r\n"
)
PROBLEMS: dict[int | str, Entry] = {
    200: answer(
        "A page, or all of them as a file.",
        "Content-Disposition",
        content={"text/csv": {"schema": _TEXT, "example": _REJECTED}},
    )
}
