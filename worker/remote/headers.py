"""Attribution: the headers without which the backend blocks exports."""

from collections.abc import Mapping
from pathlib import Path

SOURCE = "vivideo-ai-video-generator"
VERSION = "1.0.0"


def platform(override: str | None, install_path: Path = Path(__file__)) -> str:
    """Where this copy came from: `SKILL_SOURCE` if set, else told by the path it is installed under."""
    if override:
        return override
    path = install_path.as_posix()
    if "/.clawhub/" in path:
        return "clawhub"
    return "cursor" if "/.cursor/skills/" in path else "unknown"


def attribution(platform_name: str) -> Mapping[str, str]:
    return {"X-Skill-Source": SOURCE, "X-Skill-Version": VERSION, "X-Skill-Platform": platform_name}


def bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}
