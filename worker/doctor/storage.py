"""The storage: what is written can be read and deleted."""

import time
from collections.abc import Iterator

from worker.database import new_id
from worker.doctor.findings import Case, Finding, fail, ok, warn
from worker.media.storage import StorageError, StorageUnavailable, open_storage
from worker.remote.text import redact

NAME = "storage"
PROBE = b"written, read and deleted by vivideo doctor\n"


def look(case: Case) -> Iterator[Finding]:
    servers = case.settings.servers
    if servers.storage_url is None and not servers.state_dir.exists():
        # Making it here would leave a directory that `up` takes for somebody else's.
        yield warn(NAME, f"{servers.state_dir.absolute()} is not there yet", "`vivideo up` makes it")
        return
    yield from _probed(servers.storage)


def _probed(url: str) -> Iterator[Finding]:
    key, began = f"doctor/{new_id('probe')}.txt", time.monotonic()
    try:
        storage = open_storage(url)
        storage.put_bytes(key, PROBE, "text/plain")
        try:
            read = b"".join(storage.read(key))
        finally:
            storage.delete(key)
    except ValueError as error:
        yield fail(NAME, str(error), "correct VIVIDEO_STORAGE_URL")
        return
    except StorageError as error:
        yield fail(NAME, redact(str(error)), _remedy(url, error))
        return
    if read != PROBE:
        yield fail(NAME, "what was read is not what was written", "something rewrites objects there: use another place")
        return
    yield ok(NAME, f"{url}: written, read and deleted in {(time.monotonic() - began) * 1000:.0f} ms")


def _remedy(url: str, error: StorageError) -> str:
    if url.startswith("s3://"):
        return "look at the bucket's name and policy, AWS_ENDPOINT_URL, AWS_REGION and the credentials in AWS_*"
    if isinstance(error, StorageUnavailable):
        return "let this user write there, make room, or name another directory in VIVIDEO_STORAGE_URL"
    return "something else deletes files there: name a directory of its own in VIVIDEO_STORAGE_URL"
