"""HTML becomes text that a person reads."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.catalogs.feeds import to_plain_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p>\n<p>Two &amp; <b>three</b></p>", "One\nTwo & three"),
        ("One<br>two<br/>three", "One\ntwo\nthree"),
        ("<ul><li>a</li><li>b</li></ul>", "a\nb"),
        ("<p>wrapped\n   line</p>", "wrapped line"),
        ("plain\r\n\r\ntext  here ", "plain\ntext here"),
        ("plain\nwith <b>bold</b>\nlines", "plain\nwith bold\nlines"),
        ("2 < 3 and 5 > 4", "2 < 3 and 5 > 4"),
        ("a <3 b", "a <3 b"),
        ("Fish &amp; Chips &copy; &#8364;5", "Fish & Chips © €5"),
        ("&lt;p&gt;escaped&lt;/p&gt;&lt;p&gt;twice&lt;/p&gt;", "escaped\ntwice"),
        ("<p>the &lt;b&gt; tag</p>", "the <b> tag"),
        ("<style>p{}</style><script>alert(1)</script><p>seen</p>", "seen"),
        ("<!-- note --><p>seen</p>", "seen"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ('<img alt="a > b" src="x"><p>text</p>', "text"),
        ("<p>open <b>tags", "open tags"),
        ("<meta charset=latin1><p>Größe 😀</p>", "Größe 😀"),
        ("a\0b\ud800c\x0b", "abc"),
        ("", ""),
    ],
)
def test_plain_text(html: str, text: str):
    """No tags, entities decoded, a paragraph a line."""
    assert to_plain_text(html) == text


@pytest.mark.parametrize(
    "hostile", ["<div>" * 40_000, "<a <a " * 30_000, "<!--" * 50_000, '<a "' * 50_000 + ">", "&" * 200_000]
)
def test_hostile_markup_takes_no_time(hostile: str):
    """Depth and unclosed tags cost nothing."""
    began = time.process_time()
    to_plain_text(hostile + "<p>end</p>")
    assert time.process_time() - began < 5


@given(st.text(st.characters(exclude_characters="<>&"), max_size=200))
def test_text_without_markup_keeps_its_words(text: str):
    """And reading it again changes nothing."""
    once = to_plain_text(text)
    assert to_plain_text(once) == once
    assert not set("\0\r\t") & set(once)


@given(st.text(max_size=300))
def test_any_text(text: str):
    """Can be read, and stored as UTF-8."""
    to_plain_text(text).encode()
