"""How fast product feeds are read, and in how much memory: python -m tests.bench.feeds --megabytes 200

Each format is written to a file of that size and read by a process of its own, once small and once in full: memory that
grows with the file would show in the two peaks.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from worker.catalogs.feeds import Product, open_feed

_TEXT = "A lamp for long evenings, made of oiled oak &amp; linen; its light is warm and does not flicker. " * 4
_HTML = f'"<p>{_TEXT}</p>\n<ul><li>Oak</li><li>Linen, ""natural""</li></ul>"'
_SHOP = "https://cdn.example.com/s/files/1/0559/0089/7434/products"
SMALL = 10
"""Megabytes of the file that the full one's memory is compared with."""


def shopify() -> Iterator[str]:
    """A product of three rows: two variants, and a picture alone."""
    yield "Handle,Title,Body (HTML),Vendor,Tags,Option1 Value,Variant SKU,Variant Price,Image Src,Image Position,Status"
    yield "\n"
    number = 0
    while True:
        number += 1
        handle, picture = f"lamp-{number}", f"{_SHOP}/lamp-{number}"
        yield f'{handle},Lamp {number},{_HTML},Oak & Co,"a, b",Oak,SKU-{number},69.90,{picture}-1.jpg?v=1,1,active\n'
        yield f"{handle},,,,,Linen,SKU-{number}-2,79.90,{picture}-2.jpg?v=1,2,\n"
        yield f"{handle},,,,,,,,{picture}-3.jpg?v=1,3,\n"


def rss() -> Iterator[str]:
    """Every tenth item is not well-formed."""
    yield '<?xml version="1.0"?>\n<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel>\n'
    number = 0
    while True:
        number += 1
        text = f"bread & butter<br>{_TEXT}" if number % 10 == 0 else _TEXT
        picture = f"{_SHOP}/lamp-{number}"
        yield (
            f"<item><g:id>SKU-{number}</g:id><g:title>Lamp {number}</g:title>"
            f"<g:description>{text}</g:description><g:link>https://example.com/lamp-{number}</g:link><g:image_link>{picture}-1.jpg</g:image_link>"
            f"<g:additional_image_link>{picture}-2.jpg</g:additional_image_link><g:price>69.90 EUR</g:price>"
            "<g:availability>in_stock</g:availability><g:brand>Oak</g:brand>"
            "<g:shipping><g:country>DE</g:country><g:price>4.90 EUR</g:price></g:shipping></item>\n"
        )


def meta_csv() -> Iterator[str]:
    """One row a product."""
    yield "id,title,description,availability,condition,price,link,image_link,additional_image_link,brand\n"
    number = 0
    while True:
        number += 1
        link, picture = f"https://example.com/{number}", f"{_SHOP}/{number}"
        more = f"{picture}-2.jpg,{picture}-3.jpg"
        yield f'SKU-{number},Lamp {number},{_HTML},in stock,new,69.90 EUR,{link},{picture}-1.jpg,"{more}",Oak\n'


def json_lines() -> Iterator[str]:
    """One object a line."""
    number = 0
    while True:
        number += 1
        pictures = f'[{{"src": "{_SHOP}/{number}-1.jpg"}}, {{"src": "{_SHOP}/{number}-2.jpg"}}]'
        texts = f'"title": "Lamp {number}", "body_html": "<p>{_TEXT}</p>"'
        yield f'{{"id": {number}, {texts}, "price": "69.90", "images": {pictures}}}\n'


def json_list() -> Iterator[str]:
    """The same in a list in an object."""
    yield '{"products": [\n'
    for number, line in enumerate(json_lines()):
        yield f",{line}" if number else line


FORMATS: dict[str, tuple[Callable[[], Iterator[str]], str]] = {
    "shopify_csv": (shopify, ""),
    "meta_csv": (meta_csv, ""),
    "google_rss": (rss, "</channel></rss>\n"),
    "jsonl": (json_lines, ""),
    "json": (json_list, "]}\n"),
}
"""What writes a format, and how such a file ends."""


def write(path: Path, name: str, size: int) -> None:
    """A file of that format, of `size` bytes and a record more."""
    records, end = FORMATS[name]
    with path.open("w", encoding="utf-8", newline="") as file:
        written = 0
        for record in records():
            written += file.write(record)
            if written >= size:
                break
        file.write(end)


def read(path: Path) -> tuple[int, float, float, float]:
    """Products, seconds, CPU seconds and the highest resident memory in MB, of a process of its own."""
    command = [sys.executable, "-m", "tests.bench.feeds", "--read", str(path)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    products, seconds, cpu, peak = map(float, answer.split())
    return int(products), seconds, cpu, peak


def _read_here(path: Path) -> None:
    began, used = time.perf_counter(), time.process_time()
    products = sum(isinstance(item, Product) for item in open_feed(path).items())
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(products, seconds, cpu, peak)  # noqa: T201 # its output is what it is for


def measure(name: str, megabytes: int) -> str:
    """A line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "feed"
        write(path, name, min(SMALL, megabytes) * 1_000_000)
        *_, small = read(path)
        write(path, name, megabytes * 1_000_000)
        products, seconds, cpu, peak = read(path)
    speed = f"{seconds:7.1f} s {cpu:7.1f} s {megabytes / cpu:6.1f} MB/s"
    return f"{name:12} {products:9,} {speed} {small:8.0f} MB {peak:8.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--format", choices=sorted(FORMATS), action="append")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        _read_here(options.read)
        return
    print(f"{'format':12} {'products':>9} {'seconds':>9} {'CPU':>9} {'per CPU s':>11} {'peak, small':>11} {'peak':>11}")  # noqa: T201
    for name in options.format or FORMATS:
        print(measure(name, options.megabytes), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
