"""The page of settings says what the declarations say."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from config.settings import Capacity, Rates, Servers, Upstream, Waits

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([A-Z_]+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)
GROUPS = (Upstream, Servers, Rates, Capacity, Waits)


def _rows() -> dict[str, tuple[str, str, str]]:
    found = ROW.findall((ROOT / "docs" / "settings.md").read_text())
    return {name: (default.strip().strip("`"), unit.strip(), meaning.strip()) for name, default, unit, meaning in found}


def _declared() -> dict[str, Any]:
    """Default by environment name."""
    return {
        str(field.validation_alias or f"VIVIDEO_{name.upper()}"): field.default
        for group in GROUPS
        for name, field in group.model_fields.items()
    }


def _shown(default: Any) -> str:
    match default:
        case None:
            return "none"
        case timedelta():
            return f"{default.total_seconds():g}"
        case tuple():
            return ",".join(map(_shown, default))
        case bool():
            return str(default).lower()
        case SecretStr():
            raise AssertionError("a secret has no default to show")
        case _:
            return str(default)


def _read_elsewhere() -> set[str]:
    """The variables that code asks the environment for by itself."""
    files = [path for room in ("config", "worker", "api", "deploy") for path in (ROOT / room).rglob("*.py")]
    reading = re.compile(r"os\.environ(?:\.get\(|\[)[\"'](VIVIDEO_[A-Z_]+)[\"']")
    return {name for path in files for name in reading.findall(path.read_text())}


@pytest.mark.parametrize("name", sorted(_declared()))
def test_every_setting_is_on_the_page(name: str):
    """With its default, a unit and a meaning."""
    rows = _rows()
    assert name in rows, f"add {name} to docs/settings.md"
    default, unit, meaning = rows[name]
    assert default == _shown(_declared()[name])
    assert unit
    assert len(meaning) > 10


def test_variables_read_outside_the_settings_are_on_the_page_too():
    """None is left to be found in the code alone."""
    assert _read_elsewhere() - _rows().keys() == set()


def test_the_page_names_no_setting_that_is_gone():
    """Whoever sets what the page says sets something."""
    assert _rows().keys() - _declared().keys() - _read_elsewhere() == set()
