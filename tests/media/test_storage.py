"""Objects are whole or not there, in a directory and in a bucket alike."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from tests.stack import until
from worker.media.storage import CHUNK_BYTES, NotStored, Storage, StorageUnavailable, open_storage

LARGE = os.urandom(20 * 1024 * 1024 + 17)  # three parts of a multipart upload
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "not-a-secret", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def endpoint():
    """A server speaking S3 with one bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    named = {"aws_access_key_id": "test", "aws_secret_access_key": "not-a-secret", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=url, **named)
    client.create_bucket(Bucket="renders")
    yield url
    server.stop()


@pytest.fixture
def bucket(endpoint, monkeypatch, request) -> Storage:
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    return open_storage(f"s3://renders/some/{abs(hash(request.node.name))}")


@pytest.fixture
def directory(tmp_path) -> Storage:
    return open_storage((tmp_path / "kept here").as_uri())


@pytest.fixture(params=["directory", "bucket"])
def storage(request) -> Storage:
    return request.getfixturevalue(request.param)


def test_a_file_comes_back_as_it_went(storage, tmp_path):
    """Twenty megabytes go in streamed, are described, and come out equal in pieces of bounded size and as a file."""
    (tmp_path / "in.mp4").write_bytes(LARGE)
    before = datetime.now(UTC) - timedelta(seconds=2)
    storage.put_file("renders/rnd_1/video.mp4", tmp_path / "in.mp4", "video/mp4")
    facts = storage.head("renders/rnd_1/video.mp4")
    assert facts.bytes == len(LARGE)
    assert facts.etag
    assert before < facts.modified < datetime.now(UTC) + timedelta(seconds=2)
    pieces = list(storage.read("renders/rnd_1/video.mp4"))
    assert max(map(len, pieces)) <= CHUNK_BYTES
    assert b"".join(pieces) == LARGE
    assert storage.open_to_file("renders/rnd_1/video.mp4", tmp_path / "deep" / "out.mp4") == len(LARGE)
    assert (tmp_path / "deep" / "out.mp4").read_bytes() == LARGE
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["out.mp4"]


def test_ranges(storage):
    """Any part can be read; an end behind the last byte is the last byte; a start behind it is refused."""
    storage.put_bytes("a", b"0123456789")
    for start, end in ((0, None), (0, 1), (3, 7), (9, 10), (4, None), (2, 99), (5, 5), (10, None)):
        assert b"".join(storage.read("a", start, end)) == b"0123456789"[start:end], (start, end)
    for start, end in ((11, None), (-1, 3), (5, 4)):
        with pytest.raises(ValueError, match="10 bytes"):
            storage.read("a", start, end)


def test_what_is_not_there(storage, tmp_path):
    """Reading says NotStored at the call, before the first byte; deleting twice is deleting."""
    storage.put_bytes("there", b"x")
    assert storage.exists("there")
    storage.delete("there")
    storage.delete("there")
    assert not storage.exists("there")
    for attempt in (storage.head, storage.read, lambda key: storage.open_to_file(key, tmp_path / "out")):
        with pytest.raises(NotStored, match="there"):
            attempt("there")
    assert not (tmp_path / "out").exists()


def test_an_object_is_replaced_as_a_whole(storage):
    """New bytes under an old key are seen from then on, with another etag; an empty object is an object."""
    storage.put_bytes("k/v", b"one")
    first = storage.head("k/v").etag
    storage.put_bytes("k/v", b"three")
    assert (b"".join(storage.read("k/v")), storage.head("k/v").bytes) == (b"three", 5)
    assert storage.head("k/v").etag != first
    storage.put_bytes("k/v", b"")
    assert (list(storage.read("k/v")), storage.head("k/v").bytes) == ([], 0)


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", ".hidden", "a\\b", "a b", "a%2e", "é", "a\0", "a\n"],
)
def test_keys_that_are_none(storage, key, tmp_path):
    """No key leads out of the storage, or reads differently in a URL."""
    for attempt in (
        storage.head,
        storage.read,
        storage.delete,
        storage.exists,
        lambda key: storage.put_bytes(key, b"x"),
        lambda key: storage.put_file(key, Path(__file__)),
        lambda key: storage.open_to_file(key, tmp_path / "x"),
        lambda key: storage.signed_url(key, timedelta(minutes=1)),
    ):
        with pytest.raises(ValueError, match="key"):
            attempt(key)


def test_a_missing_source_is_the_callers_error(storage, tmp_path):
    """A file that is not there to be stored raises OSError, not an error of the storage."""
    with pytest.raises(FileNotFoundError):
        storage.put_file("k", tmp_path / "gone")
    assert not storage.exists("k")


def test_readers_never_see_half_a_file(directory, tmp_path):
    """While one of two large files replaces the other again and again, each reader gets one of them, whole."""
    files = []
    for letter in b"ab":
        files.append(tmp_path / f"{letter}")
        files[-1].write_bytes(bytes([letter]) * (9 * 1024 * 1024))
    directory.put_file("k", files[0])
    done = threading.Event()

    def write() -> None:
        try:
            for turn in range(12):
                directory.put_file("k", files[turn % 2])
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    while not done.is_set() or not seen:
        size, letters = 0, set()
        for piece in directory.read("k"):
            size += len(piece)
            letters |= set(piece)
        assert (size, len(letters)) == (9 * 1024 * 1024, 1)
        seen += 1
    writer.join()
    assert seen > 0


def test_a_writer_killed_midway_leaves_no_object(tmp_path):
    """A process killed while it stores a file, of which two parts came and the rest never does, leaves no object under
    the key."""
    store = tmp_path / "s"
    program = (
        "import sys, time\n"
        "from worker.media.storage import open_storage\n"
        "def parts():\n"
        "    yield bytes(16 * 1024 * 1024)\n"
        "    print('under way', flush=True)\n"
        "    time.sleep(60)\n"  # until it is killed
        "open_storage(sys.argv[1])._put('k', parts(), None)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, store.as_uri()], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child, child.stdout as said:
        assert said.readline() == b"under way\n"
        until(lambda: any(one.stat().st_size for one in store.rglob("*") if one.is_file()), what="a part on disk")
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    storage = open_storage(store.as_uri())
    assert not storage.exists("k")
    storage.put_bytes("k", b"whole")
    assert b"".join(storage.read("k")) == b"whole"


def test_a_directory_signs_nothing(directory):
    """Without a server of its own there is no address to give away."""
    directory.put_bytes("k", b"x")
    assert directory.signed_url("k", timedelta(minutes=1)) is None


def test_a_signed_address_serves_the_object(bucket):
    """Anyone can fetch it, with its media type and by ranges; it carries no secret; a week is the longest."""
    bucket.put_bytes("k/v.mp4", b"0123456789", "video/mp4")
    url = bucket.signed_url("k/v.mp4", timedelta(minutes=5))
    assert url
    got = httpx.get(url, headers={"Range": "bytes=2-4"})
    assert (got.status_code, got.content, got.headers["content-type"]) == (206, b"234", "video/mp4")
    assert "X-Amz-Expires=300" in url
    assert "X-Amz-Signature=" in url
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in url
    for expires in (timedelta(days=8), timedelta(0), timedelta(seconds=-5)):
        with pytest.raises(ValueError, match="seven days"):
            bucket.signed_url("k/v.mp4", expires)


def test_no_bucket_is_no_missing_object(bucket):
    """Writing to and deleting from a bucket that does not exist says that the storage is at fault (a look at it
    cannot: S3 answers that with a bare 404)."""
    nowhere = open_storage("s3://no-such-bucket/x")
    with pytest.raises(StorageUnavailable):
        nowhere.put_bytes("k", b"x")
    with pytest.raises(StorageUnavailable):
        nowhere.delete("k")


def test_an_unreachable_server_is_said_so(monkeypatch, tmp_path):
    """A refused connection is StorageUnavailable within seconds, and names no credentials."""
    with socket.socket() as bound:  # bound and not listening: surely refused
        bound.bind(("127.0.0.1", 0))
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{bound.getsockname()[1]}"}.items():
            monkeypatch.setenv(name, value)
        storage = open_storage("s3://renders")
        for attempt in (storage.head, storage.exists, lambda key: storage.put_bytes(key, b"x")):
            with pytest.raises(StorageUnavailable) as failed:
                attempt("k")
            assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in str(failed.value)
            assert "\n" not in str(failed.value)


def test_a_directory_that_cannot_be_written_is_said_so(tmp_path):
    """A file in the way of a key's directory, and of the storage itself, is StorageUnavailable."""
    storage = open_storage(tmp_path.as_uri())
    storage.put_bytes("a", b"x")
    with pytest.raises(StorageUnavailable):
        storage.put_bytes("a/b", b"x")
    with pytest.raises(StorageUnavailable):
        open_storage((tmp_path / "a").as_uri()).put_bytes("b", b"x")


@pytest.mark.parametrize(
    "url", ["", "/srv/results", "file://", "file://host/x", "http://h/x", "gs://b/x", "s3://", "s3://key:word@bucket/x"]
)
def test_other_addresses_are_no_storage(url):
    """A directory needs `file:///`, a bucket `s3://`, and credentials do not belong into a URL."""
    with pytest.raises(ValueError, match="AWS_"):
        open_storage(url)


def test_threads_share_a_storage(storage):
    """Eight threads write and read their own objects through one storage."""
    failures = []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                body = f"{number}.{turn}".encode() * 1000
                storage.put_bytes(f"t/{number}", body)
                assert b"".join(storage.read(f"t/{number}")) == body
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


FORKED = """
import os, sys
from tests.stack import until
from worker.media.storage import open_storage
if sys.argv[2] == "before":
    open_storage(sys.argv[1]).put_bytes("parent", b"x")
child = os.fork()
if child == 0:
    try:
        open_storage(sys.argv[1]).put_bytes("child", b"x")
    except RuntimeError as refused:
        os._exit(7 if "fork" in str(refused) else 1)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(("used", "exit_code"), [("after", 0), ("before", 7)])
def test_a_forked_process_uses_it_or_is_told(tmp_path, used, exit_code):
    """A child of a process that only imported it stores; one whose parent used it gets an error instead of hanging."""
    command = [sys.executable, "-c", FORKED, tmp_path.as_uri(), used]
    assert subprocess.run(command, timeout=20).returncode == exit_code


GREENLETS = """
from gevent import monkey; monkey.patch_all()
import sys, time, os, gevent
from tests.stack import until
from worker.media.storage import open_storage
storage = open_storage(sys.argv[1])
ticks = []
def tick():
    while True:
        ticks.append(time.perf_counter()); gevent.sleep(0.001)
ticker = gevent.spawn(tick)
open(sys.argv[2], "wb").write(os.urandom(64 * 1024 * 1024))
gevent.sleep(0.05)
before = len(ticks)
storage.put_file("k", __import__("pathlib").Path(sys.argv[2]))
during = len(ticks) - before
assert sum(map(len, storage.read("k"))) == 64 * 1024 * 1024
print(during)
"""


def test_greenlets_go_on_meanwhile(tmp_path):
    """In a process patched by gevent other greenlets run while a file is stored."""
    command = [sys.executable, "-c", GREENLETS, (tmp_path / "s").as_uri(), str(tmp_path / "large")]
    done = subprocess.run(command, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 5


def test_what_a_killed_process_left_half_written_is_swept(tmp_path: Path):
    """An old part goes, one that is growing stays."""
    storage = open_storage((tmp_path / "results").as_uri())
    parts = tmp_path / "results" / ".parts"
    parts.mkdir(parents=True)
    for name, hours in (("old", 7), ("new", 0)):
        (parts / name).write_bytes(b"half")
        os.utime(parts / name, (time.time() - hours * 3600,) * 2)
    storage.sweep()
    assert [path.name for path in parts.iterdir()] == ["new"]
