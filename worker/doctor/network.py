"""The way to the backend: its name, the connection, and its certificate."""

import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from worker.doctor.findings import Case, Finding, fail, ok, warn
from worker.remote.client import tls_context

NAME = "network"
SECONDS = 10.0
DAYS_LEFT = 7


def look(case: Case) -> Iterator[Finding]:
    parts = urlsplit(case.settings.upstream.api_url)
    host = parts.hostname or ""
    proxies = getproxies()
    if not proxy_bypass(host) and (proxy := proxies.get(parts.scheme) or proxies.get("all")):
        yield ok(NAME, f"{host} is reached through the proxy {urlsplit(proxy).hostname}")
        return
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        yield fail(NAME, "the port in NEMO_API_URL is none", "correct NEMO_API_URL")
        return
    yield from _connected(parts, host, port)


def _connected(parts: SplitResult, host: str, port: int) -> Iterator[Finding]:
    began = time.monotonic()
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        yield fail(NAME, f"{host} has no address: {error}", "correct NEMO_API_URL, or see to this machine's DNS")
        return
    named = time.monotonic()
    try:
        with socket.create_connection((host, port), timeout=SECONDS) as connection:
            took = f"name in {_ms(began, named)}, connection in {_ms(named, time.monotonic())}"
            yield ok(NAME, f"{host}:{port}: {len(addresses)} addresses, {took}")
            if parts.scheme == "https":
                yield _certificate(connection, host)
    except OSError as error:
        remedy = "look at firewall, proxy (HTTPS_PROXY) and NEMO_API_URL"
        yield fail(NAME, f"{host}:{port} does not take a connection: {error}", remedy)


def _certificate(connection: socket.socket, host: str) -> Finding:
    began = time.monotonic()
    try:
        with tls_context().wrap_socket(connection, server_hostname=host) as secured:
            found, protocol = secured.getpeercert() or {}, secured.version()
    except ssl.SSLCertVerificationError as error:
        remedy = "something between here and there presents another certificate (SSL_CERT_FILE names one to trust)"
        return fail(NAME, f"{host}'s certificate is not trusted: {error.verify_message}", remedy)
    except OSError as error:
        return fail(NAME, f"no TLS with {host}: {error}", "look at proxies between here and there, and NEMO_API_URL")
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(found["notAfter"])), UTC)
    days = (ends - datetime.now(UTC)).days
    seen = f"{protocol} in {_ms(began, time.monotonic())}, certificate until {ends:%Y-%m-%d}"
    return warn(NAME, seen, "the backend has to renew it soon") if days < DAYS_LEFT else ok(NAME, seen)


def _ms(start: float, end: float) -> str:
    return f"{(end - start) * 1000:.0f} ms"
