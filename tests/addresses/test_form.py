"""Which addresses are refused by their text alone."""

import pytest

from tests.stack import here
from worker.addresses.errors import BadForm, BadScheme, Private, Refused
from worker.addresses.form import checked_form, checked_target, parse
from worker.addresses.policy import DEVELOPMENT, PUBLIC

HOSTILE = [
    # This machine and private networks.
    ("https://127.0.0.1/", Private),
    ("https://127.255.255.254/", Private),
    ("https://127.0.0.1./", Private),
    ("https://0.0.0.0/", Private),
    ("https://10.0.0.1/", Private),
    ("https://172.16.0.1/", Private),
    ("https://172.31.255.255/", Private),
    ("https://192.168.1.1/", Private),
    ("https://100.64.0.1/", Private),
    ("https://169.254.0.1/", Private),
    ("https://192.0.0.8/", Private),
    ("https://192.0.2.1/", Private),
    ("https://192.88.99.1/", Private),
    ("https://198.18.0.1/", Private),
    ("https://198.51.100.1/", Private),
    ("https://203.0.113.1/", Private),
    ("https://224.0.0.1/", Private),
    ("https://240.0.0.1/", Private),
    ("https://255.255.255.255/", Private),
    # Where clouds keep a machine's credentials.
    ("https://169.254.169.254/latest/meta-data/", Private),
    ("https://169.254.170.2/v2/credentials", Private),
    ("https://100.100.100.200/", Private),
    ("https://168.63.129.16/", Private),
    ("https://192.0.0.192/", Private),
    ("https://[fd00:ec2::254]/", Private),
    ("https://[fd20:ce::254]/", Private),
    ("https://metadata.google.internal/", Private),
    ("https://METADATA.google.internal./", Private),
    # Other spellings of 127.0.0.1.
    ("https://127.1/", BadForm),
    ("https://127.0.1/", BadForm),
    ("https://2130706433/", BadForm),
    ("https://0x7f000001/", BadForm),
    ("https://0x7F.0.0.1/", BadForm),
    ("https://0x7f.1/", BadForm),
    ("https://0177.0.0.1/", BadForm),
    ("https://017700000001/", BadForm),
    ("https://127.0.0.01/", BadForm),
    ("https://127.0.0.0x1/", BadForm),
    ("https://0/", BadForm),
    ("https://0x/", BadForm),
    ("https://127.0.0.1.0x/", BadForm),
    ("https://127.0.0.257/", BadForm),
    ("https://1.127.0.0.1/", BadForm),
    ("https://１２７.0.0.1/", Private),
    ("https://127。0。0。1/", Private),
    ("https://127．0．0．1/", Private),
    ("https://①②⑦.0.0.1/", Private),
    ("https://127.0.0.1\u00ad/", Private),
    ("https://127.0.0.1\u200b/", Private),
    ("https://%31%32%37.0.0.1/", BadForm),
    ("https://127%2e0.0.1/", BadForm),
    # IPv6.
    ("https://[::1]/", Private),
    ("https://[::]/", Private),
    ("https://[0:0:0:0:0:0:0:1]/", Private),
    ("https://[::127.0.0.1]/", Private),
    ("https://[::ffff:127.0.0.1]/", Private),
    ("https://[::ffff:8.8.8.8]/", Private),
    ("https://[::ffff:0:127.0.0.1]/", Private),
    ("https://[64:ff9b::127.0.0.1]/", Private),
    ("https://[64:ff9b::8.8.8.8]/", Private),
    ("https://[64:ff9b:1::1]/", Private),
    ("https://[2002:7f00:1::]/", Private),
    ("https://[2001:0:4136:e378:8000:63bf:80ff:fffe]/", Private),
    ("https://[2001:db8::1]/", Private),
    ("https://[3fff::1]/", Private),
    ("https://[fc00::1]/", Private),
    ("https://[fe80::1]/", Private),
    ("https://[fe80::1%25eth0]/", Private),
    ("https://[2606:4700::1111%25eth0]/", Private),
    ("https://[fec0::1]/", Private),
    ("https://[ff02::1]/", Private),
    ("https://[100::1]/", Private),
    ("https://[5f00::1]/", Private),
    ("https://[v1.fe80::1]/", BadForm),
    ("https://[127.0.0.1]/", BadForm),
    ("https://[::1/", BadForm),
    ("https://a[::1]/", BadForm),
    ("https://[::1]a/", BadForm),
    ("https://::1/", BadForm),
    # Names of this machine and its network.
    ("https://localhost/", Private),
    ("https://LOCALHOST./", Private),
    ("https://ｌocalhost/", Private),
    ("https://a.localhost/", Private),
    ("https://localhost.localdomain/", Private),
    ("https://redis/", Private),
    ("https://printer.local/", Private),
    ("https://db.internal/", Private),
    ("https://api.svc.cluster.local/", Private),
    ("https://router.home.arpa/", Private),
    ("https://wiki.corp/", Private),
    # Read by one as this host and by another as that one.
    ("https://good.example@127.0.0.1/", BadForm),
    ("https://user:secret@good.example/", BadForm),
    ("https://@good.example/", BadForm),
    ("https://good.example\\@127.0.0.1/", BadForm),
    ("https:\\\\good.example/", BadForm),
    ("https://good.example\t.evil/", BadForm),
    (" https://good.example/", BadForm),
    ("https://good.example/\r\nHost: 127.0.0.1", BadForm),
    ("https://good.example\x00.evil/", BadForm),
    ("https://good.example\x85/", BadForm),
    ("https://127.0.0.1:80:443/", BadForm),
    ("https://good.example:443@127.0.0.1/", BadForm),
    ("https://good..example/", BadForm),
    ("https://.example/", BadForm),
    ("https://good.example../", BadForm),
    ("https://-good.example/", BadForm),
    ("https://good.exa mple/", BadForm),
    ("https://good.ex\u2100mple/", BadForm),
    ("https://\ud800.example/", BadForm),
    (f"https://{'a' * 64}.example/", BadForm),
    (f"https://{'a.' * 127}example/", BadForm),
    ("https:///path", BadForm),
    ("https://:443/", BadForm),
    ("https:good.example", BadForm),
    ("https://", BadForm),
    # Ports.
    ("https://good.example:0/", BadForm),
    ("https://good.example:65536/", BadForm),
    ("https://good.example:-1/", BadForm),
    ("https://good.example:+443/", BadForm),
    ("https://good.example:４４３/", BadForm),
    ("https://good.example:x/", BadForm),
    ("https://good.example:25/", BadForm),
    ("https://good.example:22/", BadForm),
    # Other schemes.
    ("", BadScheme),
    ("good.example/1.jpg", BadScheme),
    ("//good.example/", BadScheme),
    ("file:///etc/passwd", BadScheme),
    ("ftp://good.example/", BadScheme),
    ("gopher://127.0.0.1:6379/_INFO", BadScheme),
    ("unix:///run/docker.sock", BadScheme),
    ("http+unix://%2frun%2fdocker.sock/", BadScheme),
    ("data:text/plain,hello", BadScheme),
    ("javascript:alert(1)", BadScheme),
    ("jar:https://good.example!/", BadScheme),
]


@pytest.mark.parametrize(("url", "refusal"), HOSTILE, ids=[ascii(url)[1:60] for url, _ in HOSTILE])
def test_a_hostile_address_is_refused(url: str, refusal: type[Refused]):
    """By its kind of refusal, for handing on and for fetching, with a sentence that repeats no secret."""
    for check in (checked_form, checked_target):
        with pytest.raises(refusal) as refused:
            check(url)
        assert "secret" not in str(refused.value)
        assert refused.value.help


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://shop.example/1.jpg", "https://shop.example/1.jpg"),
        ("HTTPS://Shop.Example", "https://shop.example/"),
        ("https://shop.example./", "https://shop.example/"),
        ("https://shop.example:443/", "https://shop.example/"),
        ("https://shop.example:8443/", "https://shop.example:8443/"),
        ("https://shop.example:/", "https://shop.example/"),
        ("https://shop.example/a?b=c&d=%20#top", "https://shop.example/a?b=c&d=%20"),
        ("https://shop.example?x", "https://shop.example/?x"),
        ("https://shop.example//a//b", "https://shop.example//a//b"),
        ("https://shop.example/@user:name", "https://shop.example/@user:name"),
        ("https://shop.example/#@127.0.0.1/", "https://shop.example/"),
        ("https://shop.example/日本.jpg", "https://shop.example/%E6%97%A5%E6%9C%AC.jpg"),
        ("https://münchen.example/", "https://xn--mnchen-3ya.example/"),
        ("https://例え.テスト/", "https://xn--r8jz45g.xn--zckzah/"),
        ("https://xn--r8jz45g.xn--zckzah/", "https://xn--r8jz45g.xn--zckzah/"),
        ("https://my_bucket.s3.example/", "https://my_bucket.s3.example/"),
        ("https://localhost.example/", "https://localhost.example/"),
        ("https://internal.example/", "https://internal.example/"),
        ("https://127.0.0.1.example/", "https://127.0.0.1.example/"),
        ("https://1e100.net/", "https://1e100.net/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://172.32.0.1/", "https://172.32.0.1/"),
        ("https://100.63.255.255/", "https://100.63.255.255/"),
        ("https://[2606:4700:4700::1111]/", "https://[2606:4700:4700::1111]/"),
        ("https://[2606:4700:4700:0:0:0:0:1111]:8443/x", "https://[2606:4700:4700::1111]:8443/x"),
    ],
)
def test_a_public_address_passes(url: str, canonical: str):
    """It is kept as it was given; what is fetched is written anew from the parts that were checked."""
    assert checked_form(url) == url
    assert checked_target(url) == url
    assert str(parse(url, PUBLIC)) == canonical


def test_plain_http_may_be_handed_on_but_not_fetched():
    """An asset's address may be http, as the backend fetches it; one that we fetch may not."""
    assert checked_form("http://shop.example/1.jpg")
    with pytest.raises(BadScheme):
        checked_target("http://shop.example/1.jpg")


LOCAL = ["http://localhost:8080/", "http://127.0.0.1/", "http://[::1]/", "https://192.168.0.9/", "http://10.1.1.1/"]
LOCAL += ["http://host.docker.internal/", "http://receiver:3000/", "http://[fd12::1]/"]
NEVER = ["http://169.254.169.254/", "http://[fd00:ec2::254]/", "http://metadata.google.internal/", "http://127.1/"]
NEVER += ["http://[::ffff:127.0.0.1]/", "http://0.0.0.0/", "http://224.0.0.1/", "http://[fe80::1]/", "ftp://localhost/"]


@pytest.mark.parametrize("url", LOCAL)
def test_local_addresses_are_for_development(url: str):
    """They pass where the setting says so, and only there."""
    assert parse(url, DEVELOPMENT).host
    with pytest.raises(Private):
        parse(url, PUBLIC)


@pytest.mark.parametrize("url", NEVER)
def test_some_addresses_are_refused_in_development_too(url: str):
    """Metadata, disguises, and what is no single machine."""
    with pytest.raises(Refused):
        parse(url, DEVELOPMENT)


def test_the_setting_decides():
    """`VIVIDEO_ALLOW_LOCAL_ADDRESSES` opens both checks; unset, they are closed."""
    url = "http://127.0.0.1:8080/hook"
    with here({"VIVIDEO_ALLOW_LOCAL_ADDRESSES": "true"}):
        assert (checked_form(url), checked_target(url)) == (url, url)
    for value in ("", "false"):
        with here({"VIVIDEO_ALLOW_LOCAL_ADDRESSES": value}), pytest.raises(Private):
            checked_form(url)
