"""What is answered to a request in a session, in English and Chinese."""

from api.bodies import CreditsBody
from worker.media.kinds import ACCEPTED
from worker.remote.language import detect
from worker.renders.models import Render


def speaks_chinese(text: str | None, language: str | None) -> bool:
    """By the words themselves, else by the session's language: a request is too short for more."""
    return detect(text) == "zh" if text else (language or "").startswith("zh")


def credits(found: CreditsBody, *, chinese: bool) -> str:
    """How much is left."""
    if found.available is None:
        return "余额尚未读取。" if chinese else "The balance has not been read yet."
    return f"剩余积分：{found.available:g}。" if chinese else f"{found.available:g} credits are left."


def state(summary: str | None, turn: Render | None, *, chinese: bool) -> str:
    """The tracks, and what is under way."""
    if chinese:
        shown = summary or "还没有时间线。"
        return f"{shown}\n正在处理：{turn.id}（{turn.status}）。" if turn else shown
    shown = summary or "There is no timeline yet."
    return f"{shown}\nUnder way: {turn.id} ({turn.status})." if turn else shown


def exported(render: Render, *, chinese: bool) -> str:
    """An export was begun."""
    if chinese:
        return f"正在导出，免费：{render.id}。"
    return f"Exporting the timeline as it stands, free of charge: {render.id}."


def comes_by_itself(render: Render, *, chinese: bool) -> str:
    """Nothing needs to be exported: a render is under way."""
    if chinese:
        return f"{render.id} 正在处理，完成后视频会自动导出。"
    return f"{render.id} is under way; its video is exported by itself when it is ready."


def kept(files: int, *, chinese: bool) -> str:
    """Files were taken."""
    if chinese:
        return f"已收到，{files} 个文件等待下一条指令。"
    return (
        f"Received: {files} file{'' if files == 1 else 's'} wait{'s' if files == 1 else ''} for the next instruction."
    )


def how_to_upload(*, chinese: bool) -> str:
    """No file came along."""
    if chinese:
        return f"请用 POST /v1/uploads 上传文件（最大 200 MB：{ACCEPTED}），再把它的 id 放进消息的 assets。"
    return (
        f"Send the file to POST /v1/uploads (up to 200 MB: {ACCEPTED}), then give its id, or a public address, in a "
        "message's `assets`."
    )
