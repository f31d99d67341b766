"""Prices as people write them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalogs.feeds.reading import read, table
from worker.catalogs.feeds.prices import NoPrice, decimal_sign, read_price


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


@pytest.mark.parametrize(
    ("text", "sign"),
    [("999,00", ","), ("19.9 EUR", "."), ("1.299,00", ","), ("$1,299.00", "."), ("1.234.567", ","), ("12,34,567", "."),
     ("1.299", None), ("1,299", None), ("5", None), ("5 EUR", None), ("free", None), ("", None), ("1,2,3", None)],
)  # fmt: skip
def test_which_sign_parts_the_cents(text: str, sign: str | None):
    """Where a price shows it."""
    assert decimal_sign(text) == sign


@pytest.mark.parametrize(
    ("text", "sign", "amount"),
    [("1.299 EUR", ",", "1299"), ("1,299", ".", "1299"), ("1,299", None, "1299"), ("19.90", ",", "19.90"),
     ("1.299,00", ".", "1299.00"), ("12.345 KWD", ".", "12.345")],
)  # fmt: skip
def test_another_price_decides(text: str, sign: str | None, amount: str):
    """What may be either is what the product's other price says; what is plain stays so."""
    assert read_price(text, decimal=sign).amount == amount


@pytest.mark.parametrize(("text", "sign"), [("1.299 EUR", "."), ("1,299", ",")])
def test_nobodys_cents_are_three(text: str, sign: str):
    """Where the other price contradicts thousands, neither is guessed."""
    with pytest.raises(NoPrice) as none:
        read_price(text, decimal=sign)
    assert none.value.code == "price.ambiguous"


def test_a_product_is_read_by_its_own_prices(tmp_path):
    """Never by another product's: one that goes would change the prices of those that stay."""
    header = "id,title,link,price,sale_price"
    link = "https://shop.example"
    rows = [
        ["1", "A", link, "1.299 EUR", "999,00 EUR"],
        ["2", "B", link, "1299,00 EUR", "1.199 EUR"],
        ["3", "C", link, "1.299 EUR", "1.199 EUR"],
        ["4", "D", link, "1.299 EUR", ""],
    ]
    feed = read(tmp_path, table(header, rows))
    assert [(one.price, one.sale_price) for one in feed.products] == [
        ("1299", "999.00"),
        ("1299.00", "1199"),
        (None, None),
        (None, None),
    ]
    assert [(code, place) for code, place in feed.codes] == [
        ("price.ambiguous", 4),
        ("price.ambiguous", 4),
        ("price.ambiguous", 5),
    ]


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
        assert decimal_sign(text) in (None, ".", ",")
        for sign in (None, ".", ","):
            assert float(read_price(text, decimal=sign).amount) >= 0
