"""The same plain code under gevent's monkey-patching, as the workers run it."""

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
from gevent import monkey
monkey.patch_all()
import gevent, json, socket, sys, time
from pathlib import Path
from tests.addresses.servers import answer, dripping, serving
from tests.remote.tls import certificate
from worker.addresses.errors import AddressError
from worker.addresses.fetch import Guarded, Limits
from worker.addresses.policy import DEVELOPMENT

ours, theirs = certificate(Path(sys.argv[1]))
client = Guarded(DEVELOPMENT, tls=theirs)
hanging = Guarded(DEVELOPMENT, resolver=lambda host, port: gevent.sleep(3) or [])
IMPATIENT = Limits(total_seconds=0.6)


def timed(fetch):
    began = time.monotonic()
    try:
        return fetch().body.decode(), 0
    except AddressError as error:
        return error.code, time.monotonic() - began


def slowly(line):
    gevent.sleep(0.5)
    answer(body=b"done")(line)


def drip(line):
    line.sendall(b"\\x16\\x03\\x03\\x3f\\xff\\x02")
    while True:
        gevent.sleep(0.1)
        line.sendall(b"\\0")


def handshakes(listener):
    while True:
        gevent.spawn(drip, listener.accept()[0])


with serving() as plain, serving(tls=ours) as safe:
    plain.answers = {"/": slowly, "/drip": dripping(plain, b"HTTP/1.1 200 OK\\r\\n\\r\\n", 0.1)}
    safe.answers = {"/": slowly, "/drip": dripping(safe, b"HTTP/1.1 200 OK\\r\\n\\r\\n", 0.1)}
    listener = socket.create_server(("127.0.0.1", 0))
    gevent.spawn(handshakes, listener)
    shaken = "https://127.0.0.1:%d/" % listener.getsockname()[1]
    began = time.monotonic()
    good = [gevent.spawn(timed, lambda url=url: client.fetch("GET", url))
            for url in [plain.url("/"), safe.url("/")] * 40]
    bad = [gevent.spawn(timed, lambda url=url: client.fetch("GET", url, limits=IMPATIENT))
           for url in [plain.url("/drip"), safe.url("/drip"), shaken] * 5]
    bad += [gevent.spawn(timed, lambda: hanging.fetch("GET", "http://slow/", limits=IMPATIENT)) for _ in range(5)]
    gevent.joinall(good + bad)
    print(json.dumps({"good": sorted({one.value[0] for one in good}), "together": time.monotonic() - began,
                      "bad": sorted({one.value[0] for one in bad}), "longest": max(one.value[1] for one in bad)}))
"""


def test_fetches_share_one_thread(tmp_path: Path):
    """80 fetches of half a second finish together; drips, over TLS and in the handshake too, and names that hang end on
    time beside them."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["good"] == ["done"]
    assert result["together"] < 10
    assert result["bad"] == ["address.timeout"]
    assert 0.5 < result["longest"] < 3
