"""The same plain code under gevent's monkey-patching, as the workers run it."""

import subprocess
import sys
from pathlib import Path

PROGRAM = '''
from gevent import monkey
monkey.patch_all()
import gevent, json, socket, ssl, sys, threading, time
from worker.remote.clock import running
from worker.remote.stream import Abort, Endpoint, Patience, send_message
from worker.remote.client import Remote
from config.settings import Waits

HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"


def chunk(data):
    return b"%x\\r\\n%b\\r\\n" % (len(data), data)


def play(sock):
    """A stream of one second, or one without end where the message says so."""
    received = b""
    while b"}]}}" not in received:
        received += sock.recv(65536)
    sock.sendall(HEAD + chunk(b'data: {"type":"tool_call","name":"x"}\\n\\n'))
    for _ in range(10 if b"endless" not in received else 10000):
        gevent.sleep(0.1)
        try:
            sock.sendall(chunk(b": ping\\n\\n"))
        except OSError:
            return
    sock.sendall(chunk(b'data: {"type":"text","content":"done"}\\n\\n') + b"0\\r\\n\\r\\n")
    sock.close()


def serve(listener):
    while True:
        gevent.spawn(play, listener.accept()[0])


listener = socket.create_server(("127.0.0.1", 0), backlog=512)
gevent.spawn(serve, listener)
url = "http://127.0.0.1:%d" % listener.getsockname()[1]
patience = Patience(5, 5, 5, 20)


def send(text, abort=None, url=url):
    return send_message(Endpoint(url, "t", {}, ssl.create_default_context), patience, "s", text,
                        deadline=running() + 10, on_event=lambda event: None, abort=abort or Abort())


def timed(text, abort, url=url):
    return send(text, abort, url), time.monotonic()


began = time.monotonic()
turns = gevent.joinall([gevent.spawn(send, "quick") for _ in range(200)])
together = time.monotonic() - began
good = sum(turn.value.outcome == "received" and turn.value.text == "done" for turn in turns)

aborts = [Abort() for _ in range(20)]
calls = [gevent.spawn(timed, "endless", abort) for abort in aborts]
full = socket.socket()
full.bind(("127.0.0.1", 0))
full.listen(0)
held = []
for _ in range(4):
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex(full.getsockname())
    held.append(sock)
gevent.sleep(0.2)
connecting = Abort()
connect_call = gevent.spawn(timed, "never", connecting, "http://127.0.0.1:%d" % full.getsockname()[1])
gevent.sleep(0.5)
now = time.monotonic()
for abort in [*aborts, connecting]:
    abort.now("drain")
gevent.joinall([*calls, connect_call], timeout=10)
print(json.dumps({
    "good": good, "together": together,
    "aborted": sorted({call.value[0].outcome + " " + call.value[0].cause for call in calls}),
    "longest": max(call.value[1] for call in [*calls, connect_call]) - now,
    "connecting": connect_call.value[0].outcome + " " + connect_call.value[0].cause,
}))
'''


def test_two_hundred_streams_share_one_thread(tmp_path: Path):
    """200 streams of a second finish together in seconds; aborts reach streams and connects within one."""
    import json

    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["good"] == 200
    assert 1 < result["together"] < 5
    assert result["aborted"] == ["unknown aborted:drain"]
    assert result["connecting"] == "unsent aborted:drain"
    assert result["longest"] < 1
