"""Formats are told by content, strictly."""

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from worker.media import kinds
from worker.media.kinds import ACCEPTED, KINDS, SNIFF_BYTES, sniff, sniff_file


def picture(form: str, **options) -> bytes:
    data = io.BytesIO()
    Image.effect_mandelbrot((64, 48), (-2, -1, 1, 1), 20).convert("RGB").save(data, form, **options)
    return data.getvalue()


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + b"\0\0\0\0" + b"".join(compatible)
    return (len(body) + 4).to_bytes(4, "big") + body + b"\0\0\0\x08free" * 4


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("end.mp4", kinds.MP4),
        ("start.mp4", kinds.MP4),
        ("fragments.mp4", kinds.MP4),
        ("clip.mov", kinds.MOV),
        ("clip.mkv", kinds.MKV),
        ("live.mkv", kinds.MKV),
        ("clip.avi", kinds.AVI),
        ("clip.webm", kinds.WEBM),
        ("sound.m4a", kinds.M4A),
        ("sound.aac", kinds.AAC),
        ("sound.mp3", kinds.MP3),
        ("bare.mp3", kinds.MP3),
        ("voice.mp3", kinds.MP3),
        ("sound.wav", kinds.WAV),
    ],
)
def test_encoded_files_are_recognised(clip, name, kind):
    """What a real encoder writes is recognised from its first 4 KiB."""
    assert sniff_file(clip(name)) == kind


@pytest.mark.parametrize("name", ["sound.flac", "sound.ogg", "clip.3gp", "clip.ts"])
def test_other_media_are_refused(clip, name):
    """Real media in formats that the backend does not take are not taken for one that it does."""
    assert sniff_file(clip(name)) is None


def test_pictures_are_recognised():
    """Pillow's JPEG, PNG, GIF and three WebP variants are recognised; its BMP, TIFF and AVIF are not."""
    assert sniff(picture("JPEG")) == sniff(picture("JPEG", progressive=True)) == kinds.JPG
    assert sniff(picture("PNG")) == kinds.PNG
    assert sniff(picture("GIF")) == kinds.GIF
    assert sniff(picture("WEBP")) == sniff(picture("WEBP", lossless=True)) == kinds.WEBP
    assert sniff(picture("WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")) == kinds.WEBP
    assert [sniff(picture(form)) for form in ("BMP", "TIFF", "AVIF")] == [None, None, None]


def test_brands_decide_in_the_iso_family():
    """Pictures (HEIC, AVIF) and 3GP in the same box format are refused, even with a generic brand in the list."""
    for refused in (b"heic", b"heix", b"mif1", b"avif", b"avis", b"crx ", b"3gp5", b"zzzz", b"M4P "):
        assert sniff(ftyp(refused)) is None
    assert sniff(ftyp(b"avif", b"mif1", b"isom")) is sniff(ftyp(b"isom", b"avif", b"mp42")) is None
    assert sniff(ftyp(b"3gp4", b"isom")) is None
    assert sniff(ftyp(b"mp42", b"isom")) == sniff(ftyp(b"XAVC", b"mp42")) == sniff(ftyp(b"zzzz", b"iso6")) == kinds.MP4
    assert sniff(ftyp(b"M4V ", b"M4A ", b"mp42")) == kinds.MP4
    assert sniff(ftyp(b"M4A ", b"isom")) == kinds.M4A
    assert sniff(ftyp(b"qt  ")) == kinds.MOV


def test_what_only_calls_itself_a_picture_is_refused(tmp_path: Path):
    """HTML, ZIP, text, SVG, PDF, an empty and a one-byte file are None whatever their name says."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.png", picture("PNG"))
    for content in (
        b"<!doctype html><html>", packed.getvalue(), b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n", b"", b"\xff", b"\xff\xfe<\0h\0t\0m\0l\0>\0", b"RIFF", b"\x1a\x45\xdf\xa3", b"GIF8", b"ID3",
    ):  # fmt: skip
        (tmp_path / "liar.png").write_bytes(content)
        assert sniff_file(tmp_path / "liar.png") is None


def test_a_tagged_sound_is_told_by_what_follows_its_tag(clip):
    """An ID3 tag before ADTS frames is AAC, before MP3 frames MP3, before neither nothing; a tag that fills all that
    was read is taken for an MP3's cover art."""

    def tag(length: int) -> bytes:
        size = bytes((length >> shift) & 0x7F for shift in (21, 14, 7, 0))
        return b"ID3\x04\0\0" + size + bytes(length)

    assert sniff(tag(300) + clip("sound.aac").read_bytes()) == kinds.AAC
    assert sniff(tag(300) + bytes(40) + clip("bare.mp3").read_bytes()) == kinds.MP3
    assert sniff(tag(300) + b"fLaC" + bytes(5000)) is None
    assert sniff(tag(100_000)[:SNIFF_BYTES]) == kinds.MP3
    assert sniff(tag(100_000)[:500]) is None


@given(st.binary(max_size=200), st.sampled_from([b"", b"RIFF", b"\x1a\x45\xdf\xa3", b"ID3", b"\xff\xfb", b"\xff\xf1"]))
def test_no_bytes_make_it_fail(data: bytes, start: bytes):
    """Any bytes give a kind or None."""
    assert sniff(start + data) in (*KINDS, None)


def test_the_message_names_every_format():
    """The words for people name each accepted format."""
    assert all(kind.extension in ACCEPTED for kind in KINDS)
    assert len(KINDS) == 13
