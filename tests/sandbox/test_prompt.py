"""What a prompt is taken to ask for."""

import pytest

from deploy.sandbox.prompt import edited_plan, first_plan


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Create a 30-second promotional video", 30),
        ("a 5s clip", 5),
        ("做一个10秒的视频", 10),
        ("生成 12.5 秒 短片", 12.5),
        ("a video", 10),
        ("a 500 second video", 60),
        ("a one-minute film", 60),
        ("a 0 second clip", 1),
        ("a video in the 80s style", 10),
    ],
)
def test_the_length_asked_for(text: str, seconds: float):
    """From 1 to 60 seconds, 10 where nothing is asked; a decade is no length."""
    assert first_plan(text).seconds == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("a 16:9 video", (1920, 1080)),
        ("横屏视频", (1920, 1080)),
        ("a square clip", (1080, 1080)),
        ("in 1:1", (1080, 1080)),
        ("a video at 9:16", (1080, 1920)),
        ("a video", (1080, 1920)),
    ],
)
def test_the_shape_asked_for(text: str, size: tuple[int, int]):
    """Portrait, where nothing else is asked."""
    plan = first_plan(text)
    assert (plan.width, plan.height) == size


@pytest.mark.parametrize(
    ("text", "title", "captions"),
    [
        (
            "Create a 10-second promo video for Aurora Lamp, a warm light. Hand-blown glass. 16:9, calm music.",
            "Aurora Lamp",
            ("A warm light", "Hand-blown glass"),
        ),
        ("请帮我制作一个10秒的关于春茶的宣传视频，清新自然。手工采摘。", "春茶", ("清新自然", "手工采摘")),
        ('Make a video titled "Urban Dreams". Neon at night.', "Urban Dreams", ("Neon at night",)),
        ("生成视频，标题：《城市之梦》。霓虹闪烁。", "城市之梦", ("霓虹闪烁",)),
        ("make a video", "Untitled", ()),
    ],
)
def test_title_and_captions(text: str, title: str, captions: tuple[str, ...]):
    """What is to be done becomes no caption, what is to be told does."""
    plan = first_plan(text)
    assert (plan.title, plan.captions) == (title, captions)


def test_edits_change_what_they_name_and_always_something():
    """An edit keeps the rest, and even one nobody understands changes the draft."""
    plan = first_plan("Create a 10-second video for Aurora Lamp. Warm light.")
    edited = edited_plan(plan, "Change the title to Night Lamp and make it 15 seconds")
    assert (edited.title, edited.seconds, edited.captions) == ("Night Lamp", 15, plan.captions)
    assert not edited_plan(plan, "remove the music").music
    assert edited_plan(plan, 'add a caption "Only today"').captions == ("Warm light", "Only today")
    assert edited_plan(plan, "more oomph").revision == plan.revision + 1
