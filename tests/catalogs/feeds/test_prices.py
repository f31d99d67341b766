"""Prices as people write them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.catalogs.feeds.prices import NoPrice, read_price


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("19.90 EUR", "19.90", "EUR"),
        ("EUR 19.90", "19.90", "EUR"),
        ("eur19.90", "19.90", "EUR"),
        ("€19,90", "19.90", "EUR"),
        ("19,90\u00a0€", "19.90", "EUR"),
        ("$1,299.00", "1299.00", "USD"),
        ("US$ 1,299", "1299", "USD"),
        ("1.299,00", "1299.00", None),
        ("1 299,00 zł", "1299.00", "PLN"),
        ("CHF 1'299.50", "1299.50", "CHF"),
        ("₹12,34,567.00", "1234567.00", "INR"),
        ("1.234.567", "1234567", None),
        ("5,- €", "5", "EUR"),
        ("1 USD", "1", "USD"),
        ("0.125", "0.125", None),
        ("1234.567", "1234.567", None),
        ("12.345 KWD", "12.345", "KWD"),
        (".99", "0.99", None),
        ("0", "0", None),
        ("5 kr", "5", None),
    ],
)
def test_readable(text: str, amount: str, currency: str | None):
    """Amount as read, currency where it is said."""
    price = read_price(text)
    assert (price.amount, price.currency) == (amount, currency)


@pytest.mark.parametrize(
    "text", ["free", "-5 EUR", "$-5", "10 - 20 EUR", "1,2,3", "1.2,3.4,5", "5 EUR / 3 kg", "9" * 70, ","]
)
def test_unreadable(text: str):
    """No guess is made of them."""
    with pytest.raises(NoPrice) as none:
        read_price(text)
    assert none.value.code == "price.unreadable"


@pytest.mark.parametrize("text", ["1.299", "12.500 USD", "€ 1.299"])
def test_ambiguous(text: str):
    """A price that is wrong by a thousand would be shown in a video."""
    with pytest.raises(NoPrice) as none:
        read_price(text)
    assert none.value.code == "price.ambiguous"


def test_a_currency_of_its_own():
    """Counts where the price names none."""
    assert read_price("5", "SEK").currency == "SEK"
    assert read_price("5 EUR", "SEK").currency == "EUR"
    assert read_price("1.500", "KWD").amount == "1.500"


@given(st.decimals(0, 10**9, places=2), st.sampled_from(["EUR", "USD", "JPY"]))
def test_what_is_written_is_read(amount, currency: str):
    """With dots or commas, with thousands parted or not."""
    plain = f"{amount:.2f}"
    english = f"{amount:,.2f}"
    german = english.translate(str.maketrans(",.", ".,"))
    for text in (f"{plain} {currency}", f"{currency}{english}", f"{german} {currency}"):
        assert (read_price(text).amount, read_price(text).currency) == (plain, currency)


@given(st.text(max_size=80))
def test_any_text(text: str):
    """Is a plain number or is told to be none."""
    with contextlib.suppress(NoPrice):
        assert float(read_price(text).amount) >= 0
