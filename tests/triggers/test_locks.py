"""Who changes a trigger gets a turn while its messages come, and keeps nobody else's waiting."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.stack import until
from tests.triggers.stand import Shop, product

SENDERS = 10


pytestmark = pytest.mark.usefixtures("no_shops")


def test_a_trigger_is_paused_while_its_messages_come():
    """Ten senders without a breath between their messages: the pause stands in the same queue as they do, and whatever
    is decided behind it is kept."""
    shop, over, verdicts = Shop(), threading.Event(), list[str]()

    def sends(number: int) -> None:
        while not over.is_set():
            verdicts.append(shop.verdict(product(number)))

    with ThreadPoolExecutor(SENDERS + 1) as pool:
        senders = [pool.submit(sends, number) for number in range(SENDERS)]
        try:
            until(lambda: len(verdicts) >= 2 * SENDERS, 30, what="all senders at it")
            pool.submit(shop.pauses).result(timeout=5.0)
        finally:
            over.set()
        for one in senders:
            one.result()
    assert shop.verdict(product(1)) == "held"
