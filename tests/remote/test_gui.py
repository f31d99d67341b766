"""GUI instructions never reach a user; what is said about the video does."""

import pytest

from worker.remote.gui import translate

# what the backend says: (what a person reads, what is wanted)
INSTRUCTIONS: dict[str, tuple[str, set[str]]] = {
    "Click the Export button to download your video.": ("", {"export"}),
    "You can click [Export] in the top right corner.": ("", {"export"}),
    "Please click **Export** when you're ready.": ("", {"export"}),
    'Now click "Export" and choose MP4.': ("", {"export"}),
    "When you're happy with it, click the Export button.": ("", {"export"}),
    "To download your video, simply tap the download icon.": ("", {"export"}),
    "The Export button is in the top-right corner.": ("", {"export"}),
    "You'll find the Export button above the preview.": ("", {"export"}),
    "You can now export your video.": ("", {"export"}),
    "Your video is ready! You can download it now.": ("Your video is ready!", {"export"}),
    "I added a title at 0-3s, and you can click the Export button to save it.": (
        "I added a title at 0-3s.",
        {"export"},
    ),
    "Your 10-second city timelapse is ready. Click Export to download it.": (
        "Your 10-second city timelapse is ready.",
        {"export"},
    ),
    "Open the media panel to see your clips.": ("", {"state"}),
    "You can open the timeline panel on the left.": ("", {"state"}),
    "Go to the Settings tab.": ("", {"state"}),
    "Switch to the audio panel, then click the volume slider.": ("", {"state", "edit"}),
    "Drag the clip to the second track.": ("", {"edit"}),
    "You can drag and drop your files into the timeline.": ("", {"edit"}),
    "Simply drag it to where you want.": ("", {"edit"}),
    "You can preview it in the timeline.": ("", {"summary"}),
    "Preview in timeline": ("", {"summary"}),
    "You can watch the result in the editor.": ("", {"summary"}),
    "Please check your account balance.": ("", {"credits"}),
    "Visit the billing page to top up.": ("", {"credits"}),
    "You can check your credits in the dashboard.": ("", {"credits"}),
    "Click the Generate button to start again.": ("", {"edit"}),
    "You can adjust the volume in the right panel.": ("", {"edit"}),
    "Select the clip and press Delete.": ("", {"edit"}),
    "By clicking the undo icon, you can go back.": ("You can go back.", {"edit"}),
    "Here is what I did:\n- Added lo-fi music\n- Click Export to finish\nEnjoy!": (
        "Here is what I did:\n- Added lo-fi music\nEnjoy!",
        {"export"},
    ),
    "The video is done.\n\nNext steps:\n1. Click Preview\n2. Click Export": ("The video is done.", {"edit", "export"}),
    "点击右上角的导出按钮，即可下载视频。": ("", {"export"}),
    "视频已生成。您可以点击“导出”下载。": ("视频已生成。", {"export"}),
    "您可以导出视频了。": ("", {"export"}),
    "请打开素材面板查看。": ("", {"state"}),
    "打开时间线面板": ("", {"state"}),
    "您可以将素材拖拽到时间线上。": ("", {"edit"}),
    "请拖动片段调整顺序": ("", {"edit"}),
    "可以在时间线中预览效果。": ("", {"summary"}),
    "请查看您的账户余额。": ("", {"credits"}),
    "点击“生成”按钮重新开始。": ("", {"edit"}),
    "我已添加标题，您可以点击导出按钮保存。": ("我已添加标题。", {"export"}),
    "已为视频添加背景音乐，如果满意，请点击导出。": ("已为视频添加背景音乐。", {"export"}),
}

CONTENT = [
    "A man opens a door and clicks a pen.",
    "I added end credits over the last three seconds.",
    "The scene shows a woman dragging a suitcase through the airport.",
    "Two people try to drag the boat ashore.",
    "The hero reaches out to press the elevator button.",
    'I added the caption "Click the link below" at 0:05.',
    'The title now reads "Open the door to adventure".',
    "A hand clicks the shutter and the screen goes white.",
    "Added a click sound at 0:02.",
    "Drag racing cars line up at dawn.",
    "A drag queen opens the show with a song.",
    "The dragon opens its wings over the timeline of history.",
    "Open on a wide shot of the beach, then cut to the surfers.",
    "Coffee exports from Brazil grew by 20%.",
    "The narrator talks about exporting wine.",
    "The video is 10.5 seconds long, with lo-fi music at 35%.",
    "Would you like a longer version?",
    "Your video is ready: a city timelapse with a title from 0 to 3 s.",
    "The children drop their toys and run.",
    "Scene 2: the shop opens, people walk in.",
    "A credit card lies on the table.",
    "Balance beam, slow motion, soft light.",
    "Timeline (2 tracks): 1. Video: city (0-10s) 2. BGM: Lo-fi (0-10s, 35%)",
    "He hits the ball and selects a new club.",
    "I chose warm colours and a slow zoom.",
    "Press coverage of the launch is shown at the end.",
    "一个男人打开门，点击鼠标。",
    "已添加点击声。",
    "画面中一条龙拖着船前进。",
    "视频展示了打开盒子的过程。",
    "视频已导出成功。",
    "我添加了标题“点击了解更多”。",
    "背景音乐为轻快的钢琴曲，音量35%。",
    "她打开窗户，阳光洒进来。",
]


@pytest.mark.parametrize("said", INSTRUCTIONS)
def test_instructions_are_translated(said: str):
    """What to click is taken out and told as a want; the rest of the text stays a whole sentence."""
    shown, wants = INSTRUCTIONS[said]
    spoken = translate(said)
    assert (spoken.text, set(spoken.wants)) == (shown, wants)


@pytest.mark.parametrize("said", CONTENT)
def test_content_is_kept(said: str):
    """Descriptions of the video are not touched, whatever words they use."""
    spoken = translate(said)
    assert (spoken.text, spoken.wants) == (said, frozenset())


def test_many_content_sentences_together_are_kept():
    """Neighbours do not change the verdict, and line breaks stay."""
    text = "\n".join(CONTENT)
    assert translate(text).text == text


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a\x00b", "ab"),
        ("a\ud83db", "ab"),
        ("", ""),
        ("  \n ", ""),
        ("e.g. v1.2 at 0.5s. Ok?", "e.g. v1.2 at 0.5s. Ok?"),
    ],
)
def test_text_is_made_fit_to_keep(said: str, shown: str):
    """NUL and lone surrogates go; nothing else does."""
    assert translate(said).text == shown


def test_a_long_text_is_quick():
    """A page of text takes no noticeable time: no pattern backtracks without end."""
    import time

    began = time.monotonic()
    for text in ("you can " * 3000, "click " * 3000, "请" * 3000, '"' * 3000, "a, " * 3000, "在" * 2000 + "时间线"):
        translate(text)
    assert time.monotonic() - began < 5
