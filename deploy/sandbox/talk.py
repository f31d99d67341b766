"""What the sandbox says during a turn, in English and Chinese."""

from .draft import MUSIC
from .prompt import Plan

NOISE = "I encountered a temporary issue"
GUI_TALK = {
    "en": (
        'The rough cut is ready: "{title}", {seconds:g} seconds. Click the Export button to download your video. '
        "Open the timeline panel to see the tracks. Drag and drop the clips to change their order. "
        "You can preview in timeline. Go to account settings to check your billing."
    ),
    "zh": (
        "初剪完成：《{title}》，{seconds:g}秒。点击“导出”按钮下载视频。打开时间线面板查看轨道。"
        "拖拽片段可以调整顺序。您可以在时间线中预览。"
    ),
}
QUESTION = {
    "en": "Before I start: which style would you like, and should there be a voice-over?",
    "zh": "开始之前想确认一下：您想要什么风格？需要配音吗？",
}


def opening(language: str, edit: bool) -> str:
    """Said before the work."""
    if language == "zh":
        return "好的，我来修改。" if edit else "好的，我来为您制作视频。"
    return "Sure, I will change that." if edit else "Sure, I will put your video together."


def thought(edit: bool) -> str:
    """Thought before the work."""
    return (
        "The user wants an edit; find the segment first." if edit else "Plan the scenes, then pick music and a title."
    )


def closing(language: str, plan: Plan) -> str:
    """Said after the work."""
    music = MUSIC[plan.mood][0]
    if language == "zh":
        return f"视频已完成：《{plan.title}》，{plan.seconds:g}秒，配乐 {music}。"
    return f'Your video is ready: "{plan.title}", {plan.seconds:g} seconds, with {music} music.'


def gui_talk(language: str, plan: Plan) -> str:
    """The same, as if the user sat in front of an editor."""
    return GUI_TALK[language].format(title=plan.title, seconds=plan.seconds)
