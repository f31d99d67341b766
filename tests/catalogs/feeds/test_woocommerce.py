"""WooCommerce: variations belong to parents that may come later; lists, guards and newlines in its own spelling."""

import pytest

from tests.catalogs.feeds.reading import read, table

HEADER = "ID,Type,SKU,Name,Published,Short description,Description,In stock?,Sale price,Regular price,Images,Parent"
SHOP = "https://woo.example"


def row(number: str, kind: str, sku: str, name: str, pictures: str = "", parent: str = "", published: str = "1",
        text: str = "", stock: str = "1", sale: str = "", price: str = "5") -> list[str]:  # fmt: skip
    return [number, kind, sku, name, published, "short", text, stock, sale, price, pictures, parent]


def test_variations_belong_to_their_parent(tmp_path):
    """Named by SKU in any case or by id, before the parent or after it; their pictures come behind the parent's, whose
    price theirs is."""
    rows = [
        row("2", "variation", "tee-red", "Tee - Red", f"{SHOP}/red.jpg", "TEE"),
        row("1", "variable", "tee", "Tee", f"{SHOP}/1.jpg, {SHOP}/2.jpg", price=""),
        row("3", "variation", "tee-blue", "Tee - Blue", f"{SHOP}/1.jpg", "id:1"),
        row("4", "variation, virtual", "", "Lost", "", "nobody"),
        row("5", "variation", "", "Lost too"),
        row("6", "simple", "", "By id"),
    ]
    feed = read(tmp_path, "\ufeff" + table(HEADER, rows))
    tee, other = feed.products
    assert (tee.ref, tee.price, tee.pictures) == ("tee", "5", (f"{SHOP}/1.jpg", f"{SHOP}/2.jpg", f"{SHOP}/red.jpg"))
    assert other.ref == "6"
    assert sorted(feed.codes) == [("variation.no_parent", 5), ("variation.no_parent", 6)]


def test_a_variable_products_price_is_its_first_variations(tmp_path):
    """It has none of its own by nature: the first one that is on sale in the shop says it, with its sale price. A
    price of its own stands; a simple product without one has none."""
    rows = [
        row("1", "variable", "tee", "Tee", price=""),
        row("2", "variation", "tee-0", "Tee 0", "", "tee", published="0", price="1"),
        row("3", "variation", "tee-1", "Tee 1", "", "tee", price=""),
        row("4", "variation", "tee-2", "Tee 2", "", "tee", price="20", sale="18"),
        row("5", "variation", "tee-3", "Tee 3", "", "tee", price="30"),
        row("6", "variable", "cap", "Cap", price="9"),
        row("7", "variation", "cap-1", "Cap 1", "", "cap", price="7", sale="6"),
        row("8", "simple", "mug", "Mug", price=""),
        row("9", "variation", "late-1", "Late 1", "", "late", price="4"),
        row("10", "variable", "late", "Late", price=""),
    ]
    feed = read(tmp_path, table(HEADER, rows))
    assert {one.ref: (one.price, one.sale_price) for one in feed.products} == {
        "tee": ("20", "18"), "cap": ("9", None), "mug": (None, None), "late": ("4", None)}  # fmt: skip
    rows[3][10 - 1] = "21"
    assert read(tmp_path, table(HEADER, rows)).products[0].price == "21"


def test_hidden_is_a_draft(tmp_path):
    """What the shop shows nowhere is not published; in the catalog or the search alone it is."""
    header = f"{HEADER},Visibility in catalog"
    words = ["visible", "hidden", "search", "catalog", ""]
    rows = [[*row(str(at), "simple", f"s{at}", "A"), word] for at, word in enumerate(words)]
    products = read(tmp_path, table(header, rows)).products
    assert [one.status for one in products] == ["active", "draft", "active", "active", "active"]


def test_its_own_spelling(tmp_path):
    r"""`\,` in lists, `\n` for a line end, `'` before what a spreadsheet would run."""
    rows = [
        row("1", "simple", "a", "'=Sum", rf"{SHOP}/w_1\,h_2.jpg, {SHOP}/b.jpg", text=r"One\nTwo\n\n'Three'", sale="4")
    ]
    one = read(tmp_path, table(HEADER, rows)).only
    assert (one.title, one.description) == ("=Sum", "One\nTwo\n'Three'")
    assert one.pictures == (f"{SHOP}/w_1,h_2.jpg", f"{SHOP}/b.jpg")
    assert (one.price, one.sale_price) == ("5", "4")


@pytest.mark.parametrize("sign", "=+-@")
def test_what_a_spreadsheet_would_run_has_a_guard(tmp_path, sign: str):
    """In each column, titles, SKUs and parents alike; a quote before anything else is a quote."""
    rows = [
        row("1", "variable", f"'{sign}sku", f"'{sign}Title", price=""),
        row("2", "variation", "", "V", f"{SHOP}/v.jpg", f"'{sign}sku", price="3"),
        row("3", "simple", "plain", "'Quoted'", text=f"a '{sign}b"),
    ]
    guarded, plain = read(tmp_path, "\ufeff" + table(HEADER, rows)).products
    assert (guarded.ref, guarded.title, guarded.price) == (f"{sign}sku", f"{sign}Title", "3")
    assert guarded.pictures == (f"{SHOP}/v.jpg",)
    assert (plain.title, plain.description) == ("'Quoted'", f"a '{sign}b")


def test_marks(tmp_path):
    """Private and draft are drafts; 0 in `In stock?` is sold out, `backorder` is not."""
    rows = [
        row("1", "simple", "a", "A", published="0", stock="0"),
        row("2", "simple", "b", "B", published="-1", stock="backorder"),
        row("3", "grouped", "c", "C", published="1"),
    ]
    products = read(tmp_path, table(HEADER, rows)).products
    assert [(one.status, one.available) for one in products] == [("draft", False), ("draft", True), ("active", True)]


def test_a_repeated_sku(tmp_path):
    """The first is the product; a row with neither SKU nor id is none."""
    rows = [row("1", "simple", "a", "A"), row("2", "simple", "a", "B"), row("", "simple", "", "C")]
    feed = read(tmp_path, table(HEADER, rows))
    assert feed.only.title == "A"
    assert sorted(feed.codes) == [("item.no_ref", 4), ("item.repeated", 3)]
