"""`/metrics` of the processes that have no web server: a port of their own, for this machine or its private network.

A fault here is logged and nothing more: a worker that cannot be watched works on.
"""

import platform
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from config.logging import get
from config.settings import settings
from worker.metrics import sharing
from worker.metrics.declared import BUILD_INFO, REGISTRY

log = get(__name__)

_stop: Callable[[], object] | None = None


class _Build(Collector):
    """What runs here."""

    def __init__(self, process: str) -> None:
        self._values = (process, version("vivideo"), platform.python_version())

    def collect(self) -> Iterable[Metric]:
        """One sample, always 1."""
        told = GaugeMetricFamily(BUILD_INFO.name, BUILD_INFO.told, labels=BUILD_INFO.labels)
        told.add_metric(self._values, 1)
        return [told]


def collected(process: str, *more: Collector) -> CollectorRegistry:
    """All there is to scrape of this process, its pool's children included; `more` is read at each scrape."""
    every = CollectorRegistry()
    every.register(_Build(process))
    ProcessCollector(namespace="vivideo", registry=every)
    if sharing.is_shared():
        every.register(sharing.Together())
    else:
        every.register(_Own())
    for one in more:
        every.register(one)
    return every


class _Own(Collector):
    """This process's counts."""

    def collect(self) -> Iterable[Metric]:
        """As they stand."""
        return REGISTRY.collect()


def serve(process: str, *more: Collector) -> None:
    """Answer scrapes at `VIVIDEO_METRICS_HOST` and `VIVIDEO_METRICS_PORT`; nothing where that is 0."""
    global _stop
    host, port = settings().servers.metrics_host, settings().servers.metrics_port
    if not port or _stop is not None:
        return
    begin = _in_greenlets if _patched() else _in_threads
    try:
        _stop = begin(host, port, collected(process, *more))
    except OSError as error:  # taken, or no address of this machine
        log.warning("metrics.unserved", host=host, port=port, error=str(error))


def child_began() -> None:
    """In a child just forked: the port is its main process's alone, or it would stay taken when that one dies."""
    global _stop
    sharing.child_began()
    if _stop is not None:
        _stop()
        _stop = None


def _patched() -> bool:
    """Whether a thread of this process is a greenlet, which must never wait in the kernel."""
    if "gevent" not in sys.modules:
        return False
    from gevent import monkey

    return monkey.is_module_patched("socket")


def _in_greenlets(host: str, port: int, every: CollectorRegistry) -> Callable[[], object]:
    """The library's own server waits in a selector that gevent does not know: gevent's serves its application."""
    from gevent.pywsgi import WSGIServer

    server: Any = WSGIServer((host, port), make_wsgi_app(every), log=None)
    server.start()
    return server.close


def _in_threads(host: str, port: int, every: CollectorRegistry) -> Callable[[], object]:
    server, _ = start_http_server(port, host, every)
    return server.server_close
