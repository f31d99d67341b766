"""Only a message that is nothing but a request is routed away from generation."""

import time

import pytest

from worker.remote.routing import route

REQUESTS = {
    "export": [
        "export",
        "Export!",
        "please export",
        "export the video",
        "Export it, please",
        "download",
        "download my video",
        "Can you download it?",
        "send me the video",
        "Send me the video please.",
        "give me the final video",
        "export as mp4",
        "export the video as mp4",
        "导出",
        "导出视频",
        "请导出",
        "下载视频",
        "把视频发给我",
        "帮我导出视频吧",
        "save the video",
        "export mp4",
        "export as mov",
        "export in mp4",
        "export it as an mp4 file",
        "download as mp4",
        "download the mp4 file",
        "save as mp4",
        "send me the mp4",
        "export and download",
        "give me the new video",
        "get me the clip",
        "send the result",
        "导出为mp4",
        "导出成MP4",
        "导出 MP4",
        "导出最终视频",
        "把最后的视频导出为MP4格式",
        "重新导出",
        "再导出一次",
        "再次下载",
        "导出 视频",
        "帮我导出一下视频",
        "把成片发我",
        "给我视频",
        "请给我成片",
        "发视频给我",
    ],
    "credits": [
        "credits",
        "Credits?",
        "balance",
        "show my credits",
        "how many credits do I have left?",
        "How many credits are left",
        "what's my balance?",
        "check balance",
        "积分",
        "余额",
        "查询余额",
        "我还有多少积分？",
        "我的积分",
        "credit balance",
        "积分余额",
        "余额查询",
        "查一下积分",
        "查看一下余额",
        "我的积分余额还有多少？",
        "当前余额",
    ],
    "state": [
        "status",
        "Status?",
        "show tracks",
        "show me the tracks",
        "show the timeline",
        "状态",
        "查看状态",
        "what is the status?",
        "is it ready yet?",
        "进度",
        "什么状态",
        "现在什么状态",
        "我的视频现在是什么状态？",
        "视频好了吗",
        "做好了没有",
    ],
    "upload": [
        "upload",
        "上传",
        "upload a file",
        "上传文件",
        "a file",
        "I want to upload a video",
        "upload some images",
    ],
}

EDITS = [
    "add end credits",
    "add credits at the end",
    "export the scene to black and white",
    "roll the credits over a starry sky",
    "balance the colours",
    "make a video about exporting coffee",
    "create a video about download speeds",
    "export business promo",
    "a status symbol",
    "show tracks in the snow",
    "upload animation of a rocket",
    "credits in gold letters",
    "send me the video of a cat",
    "send a rocket to the moon",
    "generate a video",
    "a cat",
    "导出一个关于猫的视频动画",
    "制作积分商城的宣传视频",
    "状态良好的汽车",
    "上传动画效果",
    "余额宝广告",
    "the video",
    "please",
    "",
    "  ",
    "!!!",
    "export it and add music",
    "give me the video a warmer look",
    "show my credits as golden text",
    "download festival aftermovie",
    "add a file icon",
    "progress bar animation",
    "timeline of the history of flight",
    "status update for my team: we shipped",
    "give me new video",
    "give me video",
    "give me a new video",
    "get me a clip",
    "give me a movie in mp4",
    "render it",
    "mp4",
    "export an animation as mp4",
    "再来一个视频",
    "再发我一个视频",
    "给我新视频",
    "给我一个视频",
    "给我视频加字幕",
    "重新生成",
    "再导出一个竖版的",
    "导出口贸易宣传片",
    "视频好了就加字幕",
    "积分余额宣传片",
    "什么状态下猫会跳舞",
]


@pytest.mark.parametrize(("expected", "text"), [(name, text) for name, texts in REQUESTS.items() for text in texts])
def test_requests_are_routed(expected: str, text: str):
    """The contract's words, alone or politely wrapped, go where the contract says."""
    assert route(text) == expected


@pytest.mark.parametrize("text", EDITS)
def test_everything_else_generates(text: str):
    """The same words inside a wish for a video are a wish for a video."""
    assert route(text) == "generate"


def test_long_text_is_quick():
    """No text makes the patterns run long."""
    began = time.monotonic()
    for text in ("please " * 12, "the " * 20, "my " * 26, "export " * 11, "把" * 79, "x" * 100_000):
        route(text)
    assert time.monotonic() - began < 1
