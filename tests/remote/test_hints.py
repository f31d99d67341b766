"""Hints on vague prompts and awkward files; none where there is nothing to say."""

import pytest

from worker.remote.hints import hints


@pytest.mark.parametrize(
    "prompt",
    [
        "make it better",
        "make it look better",
        "Create a video",
        "a cool video please",
        "make something nice",
        "做一个视频",
        "帮我弄好看一点",
        "!!!",
    ],
)
def test_vague_prompts_are_told(prompt: str):
    """A prompt that would fit any video gets the contract's advice."""
    assert [hint.code for hint in hints(prompt, [])] == ["prompt.vague"]


@pytest.mark.parametrize(
    "prompt",
    [
        "a cat on a skateboard",
        "create a 30-second promotional video from my text and images",
        "city timelapse",
        "add end credits",
        "Kaffee",
        "一只猫在滑板上",
        "做一个咖啡广告",
        "make the title red",
    ],
)
def test_specific_prompts_are_left_alone(prompt: str):
    """Anything with a subject of its own is specific enough."""
    assert hints(prompt, []) == []


def test_a_page_of_text_is_told():
    """A pasted page gets the advice to be short."""
    assert [hint.code for hint in hints("The harbour at dawn. " * 100, [])] == ["prompt.long"]


@pytest.mark.parametrize(
    "name",
    [
        "a.mp4",
        "b.MOV",
        "https://x.test/c.jpg?sig=1.webm",
        "d.png",
        "e.mp3",
        "noextension",
        "https://x.test/picture",
        "v1.2 final",
    ],
)
def test_smooth_files_are_left_alone(name: str):
    """The smoothest formats, sound, and what names no format need no advice."""
    assert hints("a cat", [name]) == []


@pytest.mark.parametrize("name", ["a.webm", "b.AVI", "c.mkv", "https://x.test/d.gif?e=1", "e.webp"])
def test_awkward_files_are_told(name: str):
    """Accepted, but not among the smoothest."""
    assert [hint.code for hint in hints("a cat", [name])] == ["asset.format"]


@pytest.mark.parametrize("name", ["a.heic", "b.pdf", "https://x.test/d.tiff?sig=secret"])
def test_unsupported_files_are_told(name: str):
    """Not accepted: the message names what is, and no URL's query."""
    (hint,) = hints("a cat", [name])
    assert hint.code == "asset.unsupported"
    assert "MP4" in hint.message
    assert "secret" not in hint.message
