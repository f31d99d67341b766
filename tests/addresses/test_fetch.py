"""A guarded fetch reaches checked hosts alone, over real sockets; it stays small and ends in time."""

import gzip
import socket
import threading
import time
import traceback
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.addresses.servers import Server, answer, dripping, redirect, serving
from tests.remote.tls import certificate
from worker.addresses.connect import Backend, Clock
from worker.addresses.errors import (
    AddressError,
    BadCertificate,
    BadEncoding,
    BadForm,
    BadScheme,
    Busy,
    Cut,
    NotConnected,
    Private,
    Refused,
    TimedOut,
    TooLarge,
    TooManyRedirects,
    Unresolvable,
)
from worker.addresses.fetch import Guarded, Limits
from worker.addresses.lookups import Lookups
from worker.addresses.policy import DEVELOPMENT, PUBLIC, Policy

ONE_HOST = Policy(local=True, networks=(ip_network("127.0.0.1/32"),))
"""127.0.0.1 stands for the public internet, 127.0.0.2 for what is private."""
SMALL = Limits(body_bytes=1000, total_seconds=5, connect_seconds=2, read_seconds=2)


class Names:
    """A resolver whose answers a test writes; each look-up takes the next one, the last one stays."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self._answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host not in self._answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = self._answers[host]
        return found.pop(0) if len(found) > 1 else found[0]


@pytest.fixture
def server() -> Iterator[Server]:
    """What a customer named."""
    with serving() as running:
        running.answers["/"] = answer(body=b"hello", Content_Type="text/plain")
        yield running


@pytest.fixture
def private(server: Server) -> Iterator[Server]:
    """What nobody outside may reach; on the same port."""
    with serving("127.0.0.2", server.port) as running:
        running.answers["/"] = answer(body=b"secret")
        yield running


def guarded(resolver: Callable[[str, int], list[str]] | None = None, **options) -> Guarded:
    """With 127.0.0.1 as the internet."""
    return Guarded(ONE_HOST, resolver=resolver or (lambda host, _port: [host]), **options)


def fails(
    kind: type[AddressError] | tuple[type[AddressError], ...], fetch: Callable[[], object], *hidden: str
) -> AddressError:
    """It raises this, and neither the message nor the traceback tells what is hidden."""
    with pytest.raises(kind) as failed:
        fetch()
    told = str(failed.value) + repr(failed.value) + "".join(traceback.format_exception_only(failed.value))
    assert not [text for text in hidden if text in told]
    assert failed.value.code.startswith("address.")
    assert failed.value.help
    assert failed.value.__cause__ is None
    return failed.value


def test_an_answer_arrives_whole(server: Server):
    """Status, headers and body; the request says who asks and keeps the caller's headers."""
    got = guarded().fetch("POST", server.url("/?a=1"), headers={"X-Signature": "abc"}, content=b"{}")
    assert (got.status, got.body, got.headers["content-type"]) == (200, b"hello", "text/plain")
    assert server.requests[0].startswith("POST /?a=1 HTTP/1.1\r\n")
    assert server.requests[0].endswith("\r\n\r\n{}")
    headers = server.headers()
    assert headers["host"] == f"127.0.0.1:{server.port}"
    assert (headers["user-agent"], headers["x-signature"], headers["content-length"]) == ("vivideo", "abc", "2")


def test_any_status_is_an_answer(server: Server):
    """A 500 is told, not raised; so is a redirect where none is asked for."""
    server.answers["/broken"] = answer("500 Oops", b"sorry")
    server.answers["/moved"] = redirect("http://127.0.0.2/")
    assert guarded().fetch("GET", server.url("/broken")).status == 500
    moved = guarded().fetch("POST", server.url("/moved"), content=b"x")
    assert (moved.status, moved.headers["location"], server.connections) == (302, "http://127.0.0.2/", 2)


# Where the connection goes


def test_a_name_that_changes_between_look_and_call_reaches_what_was_checked(server: Server, private: Server):
    """DNS rebinding: the name is resolved once and the connection goes to that answer; the next attempt is checked."""
    names = Names(rebind_example=[["127.0.0.1"], ["127.0.0.2"]])
    client = guarded(names)
    url = server.url("/", "rebind.example")
    assert client.fetch("GET", url).body == b"hello"
    assert names.asked == ["rebind.example"]
    fails(Private, lambda: client.fetch("GET", url), "127.0.0.2")
    assert names.asked == ["rebind.example"] * 2
    assert (server.connections, private.connections) == (1, 0)
    assert server.headers()["host"] == f"rebind.example:{server.port}"


@pytest.mark.parametrize("bad", ["127.0.0.2", "169.254.169.254", "::ffff:127.0.0.1", "fe80::1%lo", "::1", "0.1.2.3"])
def test_one_bad_address_refuses_them_all(server: Server, private: Server, bad: str):
    """In first and in last place, among good ones, nobody is connected to."""
    for found in ([bad, "127.0.0.1"], ["127.0.0.1", bad], ["127.0.0.1"] * 9 + [bad]):
        client = guarded(Names(mixed_example=[found]))
        failed = fails(Private, lambda client=client: client.fetch("GET", server.url("/", "mixed.example")), bad)
        assert failed.host == "mixed.example"
    assert (server.connections, private.connections) == (0, 0)


@pytest.mark.parametrize("found", ["10.1.2.3", "192.168.7.7", "127.0.0.1", "169.254.169.254", "::1", "fd12::9"])
def test_a_public_name_of_a_private_address_is_refused(found: str):
    """With the policy of production, by a name that looks like any other; what it resolves to is not told."""
    client = Guarded(PUBLIC, resolver=Names(shop_example=[[found]]))
    fails(Private, lambda: client.fetch("GET", "https://shop.example/"), found)


def test_the_form_is_checked_before_anything_is_asked(server: Server):
    """A literal in disguise, plain http in production, another scheme: no look-up, no connection."""
    names = Names()
    for policy, url, kind in (
        (ONE_HOST, f"http://2130706433:{server.port}/", BadForm),
        (ONE_HOST, f"http://127.0.0.2:{server.port}/", Private),
        (PUBLIC, "http://shop.example/", BadScheme),
        (DEVELOPMENT, "unix:///run/docker.sock", BadScheme),
    ):
        fails(kind, lambda policy=policy, url=url: Guarded(policy, resolver=names).fetch("GET", url))
    assert (names.asked, server.connections) == ([], 0)


def test_the_machines_own_resolver_is_asked(server: Server):
    """Without a resolver of a test's: localhost is this machine, refused in production, reached in development."""
    assert Guarded(DEVELOPMENT).fetch("GET", f"http://localhost:{server.port}/").body == b"hello"
    fails(Private, lambda: Guarded(PUBLIC).fetch("GET", f"https://localhost:{server.port}/"))
    assert server.connections == 1


def test_a_unix_socket_cannot_be_opened():
    """The network backend has no way to."""
    with pytest.raises(NotImplementedError):
        Backend(DEVELOPMENT, Clock(1), Lookups()).connect_unix_socket("/run/docker.sock")


def test_the_environments_proxies_are_not_used(server: Server, private: Server, monkeypatch: pytest.MonkeyPatch):
    """A proxy would resolve the name itself, and reach what we refuse."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, private.url("/"))
        monkeypatch.setenv(name.lower(), private.url("/"))
    assert guarded().fetch("GET", server.url("/")).body == b"hello"
    assert (server.connections, private.connections) == (1, 0)


def test_cookies_are_not_kept(server: Server):
    """What one customer's server sets is not sent to the next."""
    server.answers["/set"] = answer(Set_Cookie="a=b")
    client = guarded()
    client.fetch("GET", server.url("/set"))
    client.fetch("GET", server.url("/"))
    assert "cookie" not in server.headers()


# Whom it reaches when something is wrong


def test_the_next_address_is_tried(server: Server):
    """One that refuses, and one that does not answer at all, leave time for the one that does."""
    everywhere = Policy(local=True, networks=(ip_network("127.0.0.0/8"),))
    names = Names(many_example=[["127.0.0.4", "127.0.0.3", "127.0.0.1"]], hanging_example=[["127.0.0.3"]])
    client, limits = Guarded(everywhere, resolver=names), Limits(connect_seconds=0.6)
    with _filled("127.0.0.3", server.port):
        assert client.fetch("GET", server.url("/", "many.example"), limits=limits).body == b"hello"
        fails(TimedOut, lambda: client.fetch("GET", server.url("/", "hanging.example"), limits=limits), "127.0.0.3")


@contextmanager
def _filled(host: str, port: int) -> Iterator[None]:
    """A listener whose queue is full: connections to it hang."""
    with ExitStack() as held:
        held.enter_context(socket.create_server((host, port), backlog=0))
        for _ in range(4):
            sock = held.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex((host, port))
        yield


def test_nobody_there_is_told_apart():
    """No such name, a name without addresses, a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    url = f"http://gone.example:{port}/"
    fails(Unresolvable, lambda: guarded(Names()).fetch("GET", url))
    fails(Unresolvable, lambda: guarded(Names(gone_example=[[]])).fetch("GET", url))
    fails(NotConnected, lambda: guarded(Names(gone_example=[["127.0.0.1"]])).fetch("GET", url), "127.0.0.1")


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    ],
    ids=["nothing", "no HTTP", "short", "no last chunk", "two lengths", "endless head"],
)
def test_half_an_answer_is_none(server: Server, words: bytes):
    """It is not taken for the whole."""
    server.answers["/cut"] = lambda line: line.sendall(words)
    fails(Cut, lambda: guarded().fetch("GET", server.url("/cut"), limits=SMALL))


def test_headers_that_frame_the_message_are_not_the_callers(server: Server):
    """Nor can a value begin a line of its own."""
    smuggled = {"X-A": "b\r\nHost: 127.0.0.2"}
    for headers in ({"Host": "other.example"}, {"transfer-encoding": "chunked"}, smuggled, {"X:": "a"}, {"X": "é"}):
        with pytest.raises(ValueError, match="cannot be sent"):
            guarded().fetch("GET", server.url("/"), headers=headers)
    assert server.connections == 0


# Redirects


FOLLOWING = Limits(redirects=3, total_seconds=5)


def test_redirects_are_followed_where_asked_for(server: Server):
    """Relative and absolute ones, up to the limit; the answer says where they ended."""
    server.answers |= {"/1": redirect("2"), "/2": redirect("/3?x"), "/3": redirect(server.url("/"))}
    got = guarded().fetch("GET", server.url("/1"), limits=FOLLOWING)
    assert (got.body, got.url, server.connections) == (b"hello", server.url("/"), 4)
    server.answers["/0"] = redirect("/1")
    failed = fails(TooManyRedirects, lambda: guarded().fetch("GET", server.url("/0"), limits=FOLLOWING))
    assert failed.host == "127.0.0.1"
    with pytest.raises(ValueError, match="sent twice"):
        guarded().fetch("POST", server.url("/1"), limits=FOLLOWING)


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("http://127.0.0.2:{port}/", Private),
        ("//127.0.0.2:{port}/", Private),
        ("http://inner.example:{port}/", Private),
        ("http://169.254.169.254/latest/meta-data/", Private),
        ("http://[::1]:{port}/", Private),
        ("http://0x7f.2:{port}/", BadForm),
        ("http://user:hunter2@127.0.0.1:{port}/", BadForm),
        ("file:///etc/passwd", BadScheme),
        ("gopher://127.0.0.1:{port}/", BadScheme),
        ("http://[::1", BadForm),
        ("http://127.0.0.1:{port}/ http://127.0.0.2/", BadForm),
    ],
)
def test_a_redirect_is_checked_like_an_address(server: Server, private: Server, location: str, kind: type[Refused]):
    """By its text and by what it resolves to; the message says that it came after a redirect."""
    server.answers["/away"] = redirect(location.format(port=server.port))
    names = Names(outer_example=[["127.0.0.1"]], inner_example=[["127.0.0.2"]])
    url = server.url("/away", "outer.example")
    failed = fails(kind, lambda: guarded(names).fetch("GET", url, limits=FOLLOWING), "hunter2")
    assert str(failed).startswith("after a redirect, ")
    assert (server.connections, private.connections) == (1, 0)


def test_headers_stay_with_their_origin(server: Server):
    """They follow within the origin, not to another port, nor back again from there."""
    with serving() as other:
        server.answers |= {"/1": redirect("/2"), "/2": redirect(other.url("/3"))}
        other.answers["/3"] = redirect(server.url("/"))
        headers = {"Authorization": "Bearer t", "Cookie": "c=1", "X-Key": "k", "Accept": "text/csv"}
        guarded().fetch("GET", server.url("/1"), headers=headers, limits=FOLLOWING)
    carried = [server.headers(0), server.headers(1), other.headers(0), server.headers(2)]
    for name, value in headers.items():
        assert [head.get(name.lower()) == value for head in carried] == [True, True, False, False]


def test_a_redirect_from_https_to_http_is_refused(server: Server, tmp_path: Path):
    """In development too: what was asked for under encryption is not asked for without."""
    ours, theirs = certificate(tmp_path)
    with serving(tls=ours) as safe:
        safe.answers["/"] = redirect(server.url("/"))
        fails(BadScheme, lambda: guarded(tls=theirs).fetch("GET", safe.url("/"), limits=FOLLOWING))
    assert (safe.connections, server.connections) == (1, 0)


# TLS


def test_the_name_is_kept_for_tls(tmp_path: Path):
    """The connection goes to the checked address; server name, Host and certificate are the name's."""
    ours, theirs = certificate(tmp_path, "hooks.example")
    names = Names(hooks_example=[["127.0.0.1"]], other_example=[["127.0.0.1"]])
    with serving(tls=ours) as safe:
        safe.answers["/"] = answer(body=b"safe")
        client = guarded(names, tls=theirs)
        assert client.fetch("GET", safe.url("/", "hooks.example")).body == b"safe"
        assert (safe.names, safe.headers()["host"]) == (["hooks.example"], f"hooks.example:{safe.port}")
        fails(BadCertificate, lambda: client.fetch("GET", safe.url("/", "other.example")), "127.0.0.1")
        fails(BadCertificate, lambda: guarded(tls=theirs).fetch("GET", safe.url("/")))
        fails(BadCertificate, lambda: guarded(names).fetch("GET", safe.url("/", "hooks.example")))
        assert len(safe.requests) == 1


def test_a_server_without_tls_is_not_connected():
    """https to a port that speaks plain http."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            with listener.accept()[0] as line:
                line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" if line.recv(65536) else b"")

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        fails(NotConnected, lambda: guarded().fetch("GET", url))
        thread.join()


# Size


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_a_body_is_taken_up_to_the_limit(server: Server, chunked: bool, packed: bool):
    """Exactly the limit passes, one byte more does not; with and without a stated length, packed and plain."""
    for size, fine in ((1000, True), (1001, False)):
        body = gzip.compress(b"a" * size) if packed else b"a" * size
        head = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
        sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
        coding = "Content-Encoding: gzip\r\n" if packed else ""
        whole = f"HTTP/1.1 200 OK\r\n{coding}{head}\r\n\r\n".encode() + sent
        server.answers["/size"] = lambda line, whole=whole: line.sendall(whole)
        if fine:
            assert guarded().fetch("GET", server.url("/size"), limits=SMALL).body == b"a" * size
        else:
            fails(TooLarge, lambda: guarded().fetch("GET", server.url("/size"), limits=SMALL))


def test_an_endless_body_is_ended(server: Server):
    """A server that never stops sending is left once the limit is reached."""
    left = threading.Event()

    def pour(line: socket.socket) -> None:
        try:
            line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                line.sendall(b"a" * 65536)
        finally:
            left.set()

    server.answers["/endless"] = pour
    fails(TooLarge, lambda: guarded().fetch("GET", server.url("/endless")))
    assert left.wait(5)


def test_a_bomb_does_not_go_off(server: Server):
    """64 MB that arrive as 64 KB are refused at the limit of 1 MB, in little more memory than that."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(64)) + packer.flush()
    server.answers["/bomb"] = answer(body=bomb, Content_Encoding="gzip")
    tracemalloc.start()
    try:
        fails(TooLarge, lambda: guarded().fetch("GET", server.url("/bomb")))
        assert tracemalloc.get_traced_memory()[1] < 6 * 2**20
    finally:
        tracemalloc.stop()


def test_packing_that_comes_to_nothing_is_ended(server: Server):
    """Empty members for ever: the limit holds on the wire too."""
    nothing = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"") * 100
    server.answers["/nothing"] = lambda line: line.sendall(nothing)
    assert guarded().fetch("GET", server.url("/nothing"), limits=Limits(body_bytes=2000)).body == b""
    fails(TooLarge, lambda: guarded().fetch("GET", server.url("/nothing"), limits=Limits(body_bytes=1999)))


def test_gzip_is_undone(server: Server):
    """One member and several; only gzip is asked for."""
    server.answers["/one"] = answer(body=gzip.compress(b"hello"), Content_Encoding="gzip")
    server.answers["/two"] = answer(body=gzip.compress(b"hel") + gzip.compress(b"lo"), Content_Encoding="x-gzip")
    for path in ("/one", "/two"):
        assert guarded().fetch("GET", server.url(path)).body == b"hello"
        assert server.headers()["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("coding", "body", "kind"),
    [
        ("gzip, gzip", gzip.compress(gzip.compress(b"hello")), BadEncoding),
        ("br", b"hello", BadEncoding),
        ("deflate", zlib.compress(b"hello"), BadEncoding),
        ("gzip", b"hello", BadEncoding),
        ("gzip", gzip.compress(b"hello") + b"garbage", BadEncoding),
        ("gzip", gzip.compress(b"hello")[:-9], Cut),
        ("gzip", gzip.compress(b"hello")[:-8] + bytes(8), BadEncoding),
    ],
    ids=["twice", "br", "deflate", "plain", "garbage after it", "short", "checksum"],
)
def test_other_packing_is_refused(server: Server, coding: str, body: bytes, kind: type[AddressError]):
    """Lists of codings, codings that were not asked for, and broken ones."""
    server.answers["/packed"] = answer(body=body, Content_Encoding=coding)
    fails(kind, lambda: guarded().fetch("GET", server.url("/packed")))


def test_the_head_of_a_body_outlives_its_end(server: Server):
    """For a log: the first bytes of what is too large, cut or packed wrongly; the status stands."""
    server.answers |= {
        "/large": answer(body=b"a" * 5000),
        "/short": answer(body=b"hello", Content_Length=9),
        "/broken": answer(body=b"hello", Content_Encoding="br"),
    }
    for path, kept in (("/large", b"a" * 10), ("/short", b"hello"), ("/broken", b"")):
        with guarded().open("POST", server.url(path), content=b"{}", limits=SMALL) as got:
            assert (got.status, got.head(10)) == (200, kept)


# Time


IMPATIENT = Limits(total_seconds=0.6, connect_seconds=5, read_seconds=5)


def _seconds(
    fetch: Callable[[], object], kind: type[AddressError] | tuple[type[AddressError], ...] = TimedOut
) -> float:
    began = time.monotonic()
    failed = fails(kind, fetch)
    assert failed.host
    return time.monotonic() - began


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX-", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"])
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_dripping_answer_ends_in_time(tmp_path: Path, encrypted: bool, head: bytes):
    """A byte now and then resets every time-out but the whole's: in the first line, a header, the body."""
    ours, theirs = certificate(tmp_path)
    with serving(tls=ours if encrypted else None) as slow:
        slow.answers["/"] = dripping(slow, head, 0.1)
        assert 0.5 < _seconds(lambda: guarded(tls=theirs).fetch("GET", slow.url("/"), limits=IMPATIENT)) < 2


def test_a_dripping_handshake_ends_in_time():
    """The head of a TLS record that announces 16 KB, and then a byte now and then."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def drip() -> None:
            with listener.accept()[0] as line:
                line.sendall(b"\x16\x03\x03\x3f\xff\x02")
                while not done.wait(0.1):
                    line.sendall(b"\0")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        assert 0.5 < _seconds(lambda: guarded().fetch("GET", url, limits=IMPATIENT)) < 2
        done.set()
        thread.join()


def test_silence_ends_one_read(server: Server):
    """Nothing at all is waited for no longer than one read may take."""
    server.answers["/"] = lambda _line: server.stopping.wait(10)
    limits = Limits(read_seconds=0.3, total_seconds=30)
    assert 0.2 < _seconds(lambda: guarded().fetch("GET", server.url("/"), limits=limits)) < 2


def test_a_server_that_does_not_read_ends_in_time(server: Server):
    """A request's body larger than the buffers on the way, to a server that takes none of it."""
    server.answers["/"] = lambda _line: server.stopping.wait(10)
    body = b"a" * 2**25
    assert _seconds(lambda: guarded().fetch("POST", server.url("/"), content=body, limits=IMPATIENT)) < 2


def test_redirects_share_the_time(server: Server):
    """A chain of slow redirects is not given the whole time for each."""

    def slowly(line: socket.socket) -> None:
        server.stopping.wait(0.25)
        redirect("/")(line)

    server.answers["/"] = slowly
    limits = Limits(total_seconds=0.6, redirects=50)
    assert 0.5 < _seconds(lambda: guarded().fetch("GET", server.url("/"), limits=limits)) < 2


def test_names_that_hang_end_in_time_and_leave_room():
    """More hanging look-ups than places: each ends in time, and all places are free again once the resolver gave up."""
    give_up = threading.Event()

    def hanging(_host: str, _port: int) -> list[str]:
        give_up.wait(20)
        return []

    client = guarded(hanging)
    names = [f"http://slow{number}.example/" for number in range(12)]
    took: list[float] = []
    threads = [
        threading.Thread(
            target=lambda url=url: took.append(
                _seconds(lambda: client.fetch("GET", url, limits=IMPATIENT), (TimedOut, Busy))
            )
        )
        for url in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(took) == 12
    assert max(took) < 3
    give_up.set()
    for url in names:
        fails(Unresolvable, lambda url=url: client.fetch("GET", url))


def test_a_streamed_body_of_a_known_length_is_told(server: Server):
    """No chunks: some receivers take none. Pieces that come to another length are a fault of the caller's."""
    server.answers["/in"] = answer()
    told = {"content": iter([b"ab", b"cd"]), "length": 4}
    with Guarded(ONE_HOST).open("PUT", server.url("/in"), **told) as done:
        assert done.status == 200
    assert server.headers()["content-length"] == "4"
    assert "transfer-encoding" not in server.headers()
    assert server.requests[-1].endswith("\r\n\r\nabcd")
    short = Guarded(ONE_HOST).open("PUT", server.url("/in"), content=iter([b"abc"]), length=4)
    with pytest.raises(ValueError, match="length"), short:
        pass
