"""A price out of whatever people write: "19.90 EUR", "€19,90", "$1,299.00", "1.299,00"."""

import re
from dataclasses import dataclass

from worker.catalogs.feeds.currencies import SYMBOLS, THREE_DECIMALS, code_of
from worker.catalogs.feeds.text import one_line

_PRICE = re.compile(r"(?P<before>[^0-9]*?)(?P<amount>[.,]?[0-9][0-9.,'’ ]*)(?P<after>[^0-9]*)")
_FILLING = " .,:-–—"
"""What stands between amount and currency, "5,- €" included."""
_OTHER = {".": ",", ",": "."}
_LONGEST = 64
"""Characters; nothing longer is a price."""


@dataclass(frozen=True, slots=True)
class Price:
    """`amount` is a plain decimal number, with as many decimal places as were read."""

    amount: str
    currency: str | None


class NoPrice(Exception):
    """`code` is a key of `problems.KINDS`."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


def read_price(text: str, currency: str | None = None, decimal: str | None = None) -> Price:
    """The price in `text`; `currency` (a code) is from elsewhere and stands behind one in the text, and so does
    `decimal`, the sign that parts the cents. Raises NoPrice."""
    line = one_line(text[: 4 * _LONGEST])
    match = _PRICE.fullmatch(line)
    if not match or len(line) > _LONGEST or _is_negative(match["before"]):
        raise NoPrice("price.unreadable")
    found = _currency(match["before"], match["after"]) or currency
    return Price(_decimal(match["amount"].rstrip(_FILLING), found, decimal), found)


def decimal_sign(text: str) -> str | None:
    """The sign that parts the cents in this price; None where it does not show ("5", "1.299")."""
    match = _PRICE.fullmatch(one_line(text[: 4 * _LONGEST]))
    signs = re.sub(r"[^.,]", "", match["amount"].rstrip(_FILLING)) if match else ""
    try:
        if len(set(signs)) == 2:
            read_price(text)
            return signs[-1]
        if len(signs) == 1:
            fraction = read_price(text, "KWD").amount.partition(".")[2]  # three are no thousands there
            return signs if len(fraction) in (1, 2) else None
        read_price(text)
        return _OTHER[signs[0]] if signs else None
    except NoPrice:
        return None


def _is_negative(before: str) -> bool:
    return before.rstrip(" $€£¥").endswith(("-", "−", "–"))


def _currency(before: str, after: str) -> str | None:
    for text in (before.strip(_FILLING), after.strip(_FILLING)):
        if text and (code := code_of(text) or SYMBOLS.get(text.casefold())):
            return code
    return None


def _decimal(amount: str, currency: str | None, decimal: str | None) -> str:
    digits = re.sub(r"['’ ]", "", amount)
    dots, commas = digits.count("."), digits.count(",")
    if dots and commas:
        return _by_last(digits)
    if dots + commas > 1:
        return _thousands(digits, "." if dots else ",")
    whole, separator, fraction = digits.replace(",", ".").partition(".")
    if len(fraction) == 3 and 1 <= len(whole) <= 3 and whole[0] != "0" and currency not in THREE_DECIMALS:
        if decimal != ("," if dots else ".") and (dots or decimal):
            # A thousand of euros in one country, a fraction in another; and nobody's cents are three.
            raise NoPrice("price.ambiguous")
        return whole + fraction
    return f"{whole or '0'}{separator and '.'}{fraction}"


def _by_last(digits: str) -> str:
    """Both signs are there: the last one is the decimal sign, the other groups thousands."""
    decimal = "." if digits.rfind(".") > digits.rfind(",") else ","
    whole, _, fraction = digits.rpartition(decimal)
    if decimal in whole:
        raise NoPrice("price.unreadable")
    return f"{re.sub('[.,]', '', whole)}.{fraction}"


def _thousands(digits: str, sign: str) -> str:
    first, *groups = digits.split(sign)
    if not 1 <= len(first) <= 3 or len(groups[-1]) != 3 or any(len(group) not in (2, 3) for group in groups):
        raise NoPrice("price.unreadable")  # groups of two are Indian: 12,34,567
    return first + "".join(groups)
