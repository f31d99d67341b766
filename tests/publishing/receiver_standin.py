"""A receiver of videos that verifies each by the published Standard Webhooks library and keeps each id once."""

import base64
import hashlib
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook, hmac_data

from tests.publishing.standin import Reply, Request, Standin

SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0NTY="


class Receiver(Standin):
    """`kept` by `webhook-id`."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, bytes] = {}
        self.requests: list[Request] = []

    def name(self, request: Request) -> str:
        return request.method

    def answer(self, request: Request) -> Reply:
        if request.method == "HEAD":
            return Reply(405)
        self.requests.append(request)
        self._verify(request)
        assert hashlib.sha256(request.body).hexdigest() == request.headers["vivideo-sha256"]
        self._verify_head(request)
        self.kept.setdefault(request.headers["webhook-id"], request.body)
        return Reply(204)

    def _verify_head(self, request: Request) -> None:
        """Before the body is read: what it is going to be was signed by itself."""
        told = (request.headers[name] for name in ("webhook-id", "webhook-timestamp", "vivideo-sha256"))
        expected = hmac_data(base64.b64decode(SECRET.removeprefix("whsec_")), ".".join(told).encode())
        given = request.headers["vivideo-sha256-signature"].removeprefix("v1,")
        assert base64.b64decode(given) == expected

    def _verify(self, request: Request) -> None:
        """The library decodes a body as text before it verifies: where the bytes are none, its parts are used."""
        try:
            Webhook(SECRET).verify(request.body, request.headers, json_parse=False)
        except UnicodeDecodeError:
            given = request.headers["webhook-signature"].removeprefix("v1,")
            age = datetime.now(UTC).timestamp() - int(request.headers["webhook-timestamp"])
            assert abs(age) < 300
            told = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode()
            key = base64.b64decode(SECRET.removeprefix("whsec_"))
            assert base64.b64decode(given) == hmac_data(key, told + request.body)
