"""Signatures against the published vectors, the published library and our own client."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from api.client import verify_webhook
from worker.webhooks import signing

VECTORS = [
    (
        *("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330),
        *('{"test": 2432232314}', "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ),
    (
        *("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553),
        '{"email":"test@example.com","username":"test_user"}',
        "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
    ),
]
SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "webhooks" / "webhook_vectors.json"


@pytest.mark.parametrize(("secret", "id", "timestamp", "body", "signature"), VECTORS)
def test_published_vectors(secret, id, timestamp, body, signature):
    """The same signature to the character."""
    told = signing.headers([secret], id, datetime.fromtimestamp(timestamp, UTC), body)
    assert told == {"webhook-id": id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


@pytest.mark.skipif(not SAMPLES.exists(), reason="the samples are not beside the project")
def test_the_samples_vectors():
    """Those that lie beside the project, as they are."""
    for one in json.loads(SAMPLES.read_text())["standard_webhooks"]:
        at = datetime.fromtimestamp(one["timestamp"], UTC)
        assert signing.headers([one["secret"]], one["id"], at, one["body"])["webhook-signature"] == one["signature"]


def test_a_moment_is_the_same_in_every_zone_and_one_without_a_zone_is_refused():
    """The package takes any time for UTC, whatever its zone says."""
    secret, id, timestamp, body, signature = VECTORS[0]
    far = datetime.fromtimestamp(timestamp, timezone(timedelta(hours=9)))
    assert signing.headers([secret], id, far, body)["webhook-signature"] == signature
    with pytest.raises(ValueError, match="zone"):
        signing.headers([secret], id, far.replace(tzinfo=None), body)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers() | st.text("ü😀\0")))
def test_whatever_is_sent_is_verified_with_either_secret(data):
    """By the published library and by our client, with the new secret and with the previous one."""
    body = json.dumps(data, ensure_ascii=False)
    new, old = signing.new_secret(), signing.new_secret()
    told = signing.headers([new, old], "msg_1", datetime.now(UTC), body)
    for secret in (new, old):
        assert Webhook(secret).verify(body.encode(), told) == data
        assert verify_webhook(body.encode(), told, secret) == data


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_!" * 9, "d" * 44, "whsec_" + "A" * 100])
def test_what_is_no_secret_is_refused(secret):
    """Too short, too long, no base64, no prefix."""
    with pytest.raises(signing.BadSecret):
        signing.checked(secret)
    assert signing.checked(made := signing.new_secret()) == made
