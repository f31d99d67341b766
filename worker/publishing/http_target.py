"""The video's bytes to any address, signed in the way of Standard Webhooks (standardwebhooks.com).

    begin → published

The `webhook-id` is the publication's id, the same over all tries: by it a receiver that took the video and whose answer
was lost knows it again. The signature is over the whole body: the file is read twice, once to sign and once to send.
`vivideo-sha256-signature` is made in the same way over `vivideo-sha256` in the body's place: a receiver can verify who
sends, and when, before he takes in a body that may be long under way.
"""

import base64
import hashlib
import hmac
import time
from urllib.parse import quote

from worker.addresses.errors import AddressError
from worker.publishing.calls import send, unreachable
from worker.publishing.job import Job, Next, Outcome, Published, Steps, quick
from worker.publishing.settings import HttpCredentials, HttpSettings


def begin(job: Job) -> Outcome:
    """From here on something may be there."""
    return Next("send")


def deliver(job: Job) -> Outcome:
    """Sign it, send it; 2xx is taken."""
    rules = job.settings
    assert isinstance(rules, HttpSettings)
    size = job.size()
    send(job, rules.method, rules.url, headers=_headers(job), pieces=job.pieces(), length=size)
    return Published()


STEPS: Steps = {"begin": begin, "send": deliver}


def check(job: Job) -> str:
    """Whether somebody answers there at all: nothing can be proved without sending a video."""
    rules = job.settings
    assert isinstance(rules, HttpSettings)
    try:
        return f"HTTP {job.fetch.fetch('HEAD', rules.url, limits=quick()).status}"
    except AddressError as error:
        unreachable(error)


def _headers(job: Job) -> dict[str, str]:
    row, seconds = job.held.publication, str(int(time.time()))
    credentials = job.credentials
    assert isinstance(credentials, HttpCredentials)
    key = base64.b64decode(credentials.secret.get_secret_value().removeprefix("whsec_"))
    signed = f"{row.id}.{seconds}."
    signing = hmac.new(key, signed.encode(), hashlib.sha256)
    content = hashlib.sha256()
    for piece in job.pieces():
        signing.update(piece)
        content.update(piece)
    digest = content.hexdigest()
    headers = {
        "Content-Type": job.media_type,
        "webhook-id": row.id,
        "webhook-timestamp": seconds,
        "webhook-signature": _signature(signing),
        "vivideo-render": row.render_id,
        "vivideo-ref": quote(row.ref, safe=""),
        "vivideo-sha256": digest,
        "vivideo-sha256-signature": _signature(
            hmac.new(key, f"{signed}{content.hexdigest()}".encode(), hashlib.sha256)
        ),
    }
    if job.held.external_ref:
        headers["vivideo-external-ref"] = quote(job.held.external_ref, safe="")
    return headers


def _signature(signing: hmac.HMAC) -> str:
    return f"v1,{base64.b64encode(signing.digest()).decode()}"
