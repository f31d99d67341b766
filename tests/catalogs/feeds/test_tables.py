"""Tables that people really have: encodings, delimiters, comments, aliases, broken rows."""

import time

import pytest

from tests.catalogs.feeds.reading import PICTURE, Feed, read, table
from worker.catalogs.feeds import lines
from worker.catalogs.feeds.lines import MAX_RECORD

ROWS = [["1", "Größe “L” – Übergröße", PICTURE, "19.90 EUR"], ["2", "Second", PICTURE, "5 EUR"]]
HEADER = "id,title,image_link,price"
MARKED = [("utf-8", ""), ("utf-8", "\ufeff"), ("utf-16-le", "\ufeff"), ("utf-16-be", "\ufeff"), ("utf-16-le", ""),
          ("utf-16-be", ""), ("cp1252", "")]  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(("encoding", "mark"), MARKED)
def test_encoding_delimiter_and_line_end_are_found(tmp_path, encoding: str, mark: str, delimiter: str, end: str):
    """From the content alone, in every combination."""
    feed = read(tmp_path, mark + table(HEADER, ROWS, delimiter, end), encoding)
    assert (feed.reading.encoding, feed.reading.delimiter) == (encoding, delimiter)
    assert feed.reading.format == ("google_tsv" if delimiter == "\t" else "meta_csv")
    assert [(one.ref, one.title, one.price, one.currency, one.place) for one in feed.products] == [
        ("1", "Größe “L” – Übergröße", "19.90", "EUR", 2),
        ("2", "Second", "5", "EUR", 3),
    ]
    assert feed.problems == []


def test_a_stray_byte_does_not_spoil_the_rest(tmp_path):
    """UTF-8 with one cp1252 byte in it stays UTF-8, and that byte is read as what it was meant to be."""
    content = table(HEADER, ROWS).encode() + "3,Süß,,1\r\n".encode("cp1252")
    feed = read(tmp_path, content)
    assert feed.reading.encoding == "utf-8"
    assert [one.title for one in feed.products] == ["Größe “L” – Übergröße", "Second", "Süß"]


def test_nul_and_half_surrogates_are_cleaned_away(tmp_path):
    """PostgreSQL refuses the one, JSON's readers the other."""
    feed = read(
        tmp_path,
        table(HEADER, [["1", "aXbYc", PICTURE, "1"]]).encode().replace(b"X", b"\0").replace(b"Y", b"\xed\xa0\x80"),
    )
    assert feed.only.title == "abc"
    wide = table(HEADER, [["1", "aYc", PICTURE, "1"]], "\t").encode("utf-16-le").replace(b"Y\0", b"\x00\xd8")
    assert read(tmp_path, wide).only.title == "ac"


@pytest.mark.parametrize(
    "before",
    ['# Required | "unique, id\n# Required | text\n', "sep=,\r\n", "\n\n", "#\n,,,\n", "Export of 2026\n"],
)
def test_lines_before_the_header_are_passed_over(tmp_path, before: str):
    """Meta's comments, Excel's `sep=`, blank lines; places are physical lines all the same."""
    feed = read(tmp_path, before + table(HEADER, ROWS))
    assert [one.ref for one in feed.products] == ["1", "2"]
    assert feed.products[0].place == before.count("\n") + 2


def test_a_header_that_is_marked_as_a_comment(tmp_path):
    """Is the header all the same."""
    assert read(tmp_path, "#" + table(HEADER, ROWS)).products[0].ref == "1"


def test_aliases_and_case(tmp_path):
    """What was recognised is told, and what was not."""
    header = "ID;Name;Sale_Price;PRICE;Image;URL;Hersteller;Stock;Währung;Colour"
    row = "1;Lampe;9,90;19,90;https://shop.example/1.jpg;https://shop.example/p;Eiche;0;eur;red"
    feed = read(tmp_path, f"{header}\r\n{row}\r\n", "cp1252")
    assert feed.reading.format == "csv"
    assert feed.reading.columns["Sale_Price"] == "sale_price"
    assert feed.reading.unknown == ("Colour",)
    one = feed.only
    assert (one.price, one.sale_price, one.currency, one.brand, one.link) == (
        "19.90",
        "9.90",
        "EUR",
        "Eiche",
        "https://shop.example/p",
    )
    assert one.available is False


@pytest.mark.parametrize(("delimiter", "format"), [(",", "csv"), (";", "csv"), ("|", "csv"), ("\t", "tsv")])
def test_a_table_of_ones_own(tmp_path, delimiter: str, format: str):
    """Nobody's dialect: an id, a name and something to show it by."""
    feed = read(tmp_path, table("SKU,Name,Photo,Colour", [["1", "Mug", PICTURE, "red"]], delimiter))
    assert (feed.reading.format, feed.reading.delimiter, feed.reading.unknown) == (format, delimiter, ("Colour",))
    assert (feed.only.ref, feed.only.title, feed.only.pictures) == ("1", "Mug", (PICTURE,))


def test_google_as_text(tmp_path):
    """Tabs, names with or without `g:`, further pictures in one list, a price whose shipping has one too."""
    header = "id\ttitle\tg:image_link\tadditional_image_link\tprice\tsale_price\tshipping(price)\tavailability\tbrand"
    row = f"A1\tLamp\t{PICTURE}\t{PICTURE}?2,{PICTURE}?3\t19.90 EUR\t9.90 EUR\t4.90 EUR\tin_stock\tOak"
    feed = read(tmp_path, f"{header}\n{row}\n")
    assert (feed.reading.format, feed.reading.unknown) == ("google_tsv", ("shipping(price)",))
    one = feed.only
    assert (one.ref, one.price, one.sale_price, one.currency, one.brand) == ("A1", "19.90", "9.90", "EUR", "Oak")
    assert one.pictures == (PICTURE, f"{PICTURE}?2", f"{PICTURE}?3")


@pytest.mark.parametrize(("delimiter", "format"), [(",", "meta_csv"), ("\t", "meta_tsv")])
def test_metas_template(tmp_path, delimiter: str, format: str):
    """Comments above the header, pictures in columns or as JSON in a cell, price and currency in two columns."""
    header = "id,title,price,currency,image[0].url,image[1].url,image[1].tag[0],image,fb_product_category"
    as_json = '[{"url": "https://shop.example/3.jpg", "tag": ["Ad"]}]'
    rows = [
        ["1", "Coffee", "3.99", "USD", PICTURE, f"{PICTURE}?2", "Ad", "", "food"],
        ["2", "Tea", "4", "eur", "", "", "", as_json, "food"],
    ]
    comments = "# Required | A unique ID, for the item.\n# Required | text\n"
    feed = read(tmp_path, comments + table(header, rows, delimiter))
    assert feed.reading.format == format
    assert [(one.price, one.currency, one.place) for one in feed.products] == [("3.99", "USD", 4), ("4", "EUR", 5)]
    assert [one.pictures for one in feed.products] == [(PICTURE, f"{PICTURE}?2"), ("https://shop.example/3.jpg",)]
    assert feed.problems == []


def test_too_many_cells_are_reported_and_shift_nothing(tmp_path):
    """Empty ones too many do no harm, one too few is a remark."""
    text = f"{HEADER}\r\n1,One,{PICTURE},1,299.00 EUR\r\n2,Two,{PICTURE},2,,\r\n3,Three\r\n,,,\r\n\r\n"
    feed = read(tmp_path, text)
    assert [(one.ref, one.price) for one in feed.products] == [("2", "2"), ("3", None)]
    assert feed.codes == [("row.too_many_cells", 2), ("row.too_few_cells", 4)]
    assert [one.fatal for one in feed.problems if one.code.startswith("row.")] == [True, False]


def test_lines_inside_a_cell_keep_places_right(tmp_path):
    """CRLF records with LF inside."""
    rows = [["1", "One", "a\nb\r\nc", "1"], ["2", "Two", "x", "2"]]
    feed = read(tmp_path, table("id,title,description,price", rows))
    assert [(one.ref, one.place, one.description) for one in feed.products] == [("1", 2, "a\nb\nc"), ("2", 5, "x")]


def test_a_quote_that_is_a_mere_sign(tmp_path):
    """Inches at the start of a cell swallow no rows, whether another quote follows or none."""
    header = "id\ttitle\tprice\tlink\n"
    rows = [f'{number}\t"{number} inch\t1 EUR\thttps://shop.example\n' for number in range(1, 4)]
    feed = read(tmp_path, header + "".join(rows) + "4\tFour\t1 EUR\thttps://shop.example\n")
    assert [(one.ref, one.title) for one in feed.products] == [
        ("1", '"1 inch'),
        ("2", '"2 inch'),
        ("3", '"3 inch'),
        ("4", "Four"),
    ]
    assert {code for code, _ in feed.codes} == {"row.stray_quote"}


def test_a_quote_that_is_never_closed(tmp_path):
    """Costs its own row, not the rows below it; the inside of the broken cell makes no rows."""
    feed = read(tmp_path, 'id,title,description,price\n1,One,"<p>open\n<p>more\n2,Two,plain,2\n3,Three,plain,3\n')
    assert [one.ref for one in feed.products] == ["2", "3"]
    assert feed.codes == [("row.unclosed_quote", 2)]


def test_a_file_that_is_cut_inside_a_cell(tmp_path):
    """What is left of the cell makes no product."""
    feed = read(tmp_path, 'id,title,price,description\n1,One,1,x\n2,Two,2,"cut <p>of\nhere, and')
    assert [one.ref for one in feed.products] == ["1", "2"]
    assert feed.codes == [("row.stray_quote", 3)]


def test_a_row_that_never_ends_is_passed_over(tmp_path):
    """One line of many megabytes, and a cell of one."""
    long, huge = "x" * 1_000_000, "y" * (MAX_RECORD + 5)
    feed = read(tmp_path, f"id,title,description,price\n1,One,{long},1\n2,Two,{huge},2\n3,Three,z,3\n")
    assert [(one.ref, len(one.description), one.place) for one in feed.products] == [("1", 20_000, 2), ("3", 1, 4)]
    assert feed.codes == [("text.too_long", 2), ("row.too_large", 3)]


def test_pictures_in_lists_columns_and_json(tmp_path):
    """In their order and distinct; an address may hold commas; what is no address is told of."""
    header = "id,title,image_link,additional_image_link,image[0].url,image[1].url,image\n"
    shop = "https://shop.example"
    listed = f'"{shop}/w_1,h_2/b.jpg, {shop}/a.jpg"'
    as_json = f'"[{{""url"":""{shop}/e.jpg"",""tag"":[""x""]}}]"'
    row = f"1,One,{shop}/a.jpg,{listed},{shop}/c.jpg,/d.jpg,{as_json}\n"
    feed = read(tmp_path, header + row)
    assert set(feed.only.pictures) == {f"{shop}/{name}" for name in ("a.jpg", "w_1,h_2/b.jpg", "c.jpg", "e.jpg")}
    assert feed.only.pictures[0] == f"{shop}/a.jpg"
    assert [(one.code, one.ref, one.fatal) for one in feed.problems] == [("picture.invalid", "1", False)]


@pytest.mark.parametrize(
    "address",
    ["a.jpg", "/a.jpg", "//cdn.example/a.jpg", "ftp://x/a.jpg", "data:image/png;base64,AA", "https://", "http://a b/c"],
)
def test_what_is_no_picture_address(tmp_path, address: str):
    """Is left out with a remark; the product stays."""
    feed = read(tmp_path, table(HEADER, [["1", "One", address, "1"]]))
    assert feed.only.pictures == ()
    assert [one.code for one in feed.problems] == ["picture.invalid", "item.no_picture"]


def test_too_many_pictures_are_bounded(tmp_path):
    """One remark, however many there are."""
    many = ",".join(f"{PICTURE}?{number}" for number in range(300))
    feed = read(tmp_path, table(HEADER, [["1", "One", many, "1"]]))
    assert len(feed.only.pictures) == 250
    assert feed.codes == [("picture.too_many", 2)]


def test_a_ref_is_there_once(tmp_path):
    """The first is the product; a row without, and one without a title, are none."""
    rows = [["1", "One", PICTURE, "1"], ["", "Two", PICTURE, "1"], ["3", " ", PICTURE, "1"], ["1", "Again", "", "x"],
            ["r" * 300, "Long", PICTURE, "1"]]  # fmt: skip
    feed = read(tmp_path, table(HEADER, rows))
    assert feed.only.title == "One"
    assert feed.codes == [("item.no_ref", 3), ("item.no_title", 4), ("item.repeated", 5), ("item.bad_ref", 6)]
    assert all(one.fatal for one in feed.problems)


@pytest.mark.parametrize(
    ("words", "available"),
    [("in stock", True), ("in_stock", True), ("preorder", True), ("out of stock", False), ("Out_of_Stock", False),
     ("https://schema.org/OutOfStock", False), ("discontinued", False), ("", True)],
)  # fmt: skip
def test_availability(tmp_path, words: str, available: bool):
    """Sold out is marked, not left out."""
    feed = read(tmp_path, table(f"{HEADER},availability", [["1", "One", PICTURE, "1", words]]))
    assert feed.only.available is available


def test_reading_twice(tmp_path):
    """Begins anew, and stopping in the middle leaves nothing open."""
    feed = read(tmp_path, table(HEADER, ROWS))
    items = feed.reading.items()
    next(items)
    items.close()  # type: ignore[attr-defined] # a generator
    assert len(list(Feed(tmp_path / "upload").reading.items())) == 2


def test_a_file_of_broken_quotes_takes_no_time(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """Each line opens a quote that the next one closes and opens again: read to the end from each of them it would be
    months. What is in front of them is read."""
    monkeypatch.setattr(lines, "MAX_GIVEN_BACK", 1 << 20)  # 64 times that are seconds
    began = time.process_time()
    feed = read(tmp_path, table(HEADER, ROWS) + 'a","\n' * 40_000)
    assert [one.ref for one in feed.products] == ["1", "2"]
    assert feed.problems
    assert time.process_time() - began < 10
